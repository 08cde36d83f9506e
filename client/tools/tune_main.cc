// ladder-tune: finds, checks, times and keeps the best kernels of operators.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/tools/connection.h"
#include "client/tools/connection_flags.h"
#include "client/tools/exit_status.h"
#include "client/tools/operator_input.h"
#include "client/tools/roofline.h"
#include "client/tools/text_table.h"
#include "client/tools/tune_session.h"
#include "client/tools/weight_type_input.h"
#include "server/offline/quantize_file.h"
#include "server/offline/support_matrix.h"

namespace ladder::tools {
namespace {

namespace pb = tune::v1;
constexpr char kProgram[] = "ladder-tune";

struct Flags {
  std::string op = "matmul", a = "fp16", w = "int4", scale, zeros, out, m = "1,16,64,256,4096";
  int64_t group = 0, n = 8192, k = 8192;
  bool bias = false, output_scale = false, residual = false;
  std::string act, a_scale;
  ConnectionOptions connection;
  std::string target, json, budget, ops;
  QuantizeJob quantize;
  int candidates = 0, duty = 0;
  bool compare = false, force = false, share_gpu = false, trace = false, plan = false, list = false, running = false;
  bool has_group = false;
};

void AddFlags(CLI::App& app, Flags& flags, CLI::Option*& group) {
  app.add_option("--op", flags.op, "The operation: matmul, Y[M,N] = X[M,K] * W[N,K]^T")->capture_default_str();
  app.add_option("--a", flags.a,
                 "Type of the activations X: fp16, bf16, fp8_e4m3, fp8_e5m2, int8, mxfp8_e4m3, mxfp8_e5m2")
      ->capture_default_str();
  app.add_option(
      "--a-scale", flags.a_scale,
      "fp32 factors of 8-bit activations, given at launch: none, tensor, row, group128 and the like (default: none)");
  app.add_option("--w", flags.w,
                 "Type of the weights W: int4, uint4, fp4_e2m1, nf4, fp16, bf16, or @FILE with one of your own (JSON)")
      ->capture_default_str();
  group = app.add_option(
      "--group", flags.group,
      "Consecutive k that share a scale; -1: one scale per output channel (default: 64 for tables, else 128)");
  app.add_option("--zeros", flags.zeros, "Zero points: none, original, rescale, quantized (default: none)");
  app.add_option("--scale", flags.scale, "Type of the scales: fp16, bf16 (default: that of X)");
  app.add_option("--out", flags.out, "Type of Y: fp16, bf16, fp32 (default: that of X)");
  app.add_flag("--bias", flags.bias, "Y has a bias of N values added");
  app.add_option("--act", flags.act,
                 "Function of the sum and the bias: none, silu, gelu, gelu_tanh, swiglu (default: none)");
  app.add_flag("--output-scale", flags.output_scale, "Y is multiplied by an fp32 factor given at launch");
  app.add_flag("--residual", flags.residual, "Y has a matrix of its type and shape added");
  app.add_option("--m", flags.m,
                 "Rows of X: numbers and ranges, \"1,16,1..4096\"; a range is served by its powers of two")
      ->capture_default_str();
  CLI::Option* n = app.add_option("--n", flags.n, "Rows of W, columns of Y")->capture_default_str();
  CLI::Option* k = app.add_option("--k", flags.k, "Columns of X and W")->capture_default_str();
  CLI::Option* ops =
      app.add_option("--ops", flags.ops, "Operators from a JSON file: a list of objects with the keys above");
  AddTlsFlags(app, flags.connection.tls);
  app.add_option("--server", flags.connection.server,
                 "Ask this daemon (unix:/path or host:port), not a service in here");
  app.add_option("--cache", flags.connection.cache, "The cache's folder (default: ladder in the user's cache folder)");
  app.add_option("--target", flags.target,
                 "Compile and rank for this GPU (h200, a100-80g, ...) or architecture (sm_90a), without one");
  app.add_flag("--compare", flags.compare,
               "Time cuBLASLt (fp16; fp8 and int8 where they apply) on the same shapes too");
  app.add_option("--json", flags.json, "Write operators, rows and traces to this file");
  app.add_option("--budget", flags.budget, "Time for each M: 10s, 500ms (default: 10s)");
  app.add_option("--candidates", flags.candidates, "Candidates tried for each M (default: 16)")
      ->check(CLI::Range(1, 4096));
  app.add_flag("--force", flags.force, "Tune although the cache has a current record");
  CLI::Option* share = app.add_flag("--share-gpu", flags.share_gpu,
                                    "Tune although other processes use the GPU, which slows them down; refused "
                                    "otherwise, so that nobody tunes beside "
                                    "a serving process by mistake");
  app.add_option("--duty", flags.duty,
                 "Percent of the time that verifying and timing may take beside other processes (default: 25)")
      ->check(CLI::Range(1, 100))
      ->needs(share);
  app.add_flag("--trace", flags.trace, "Print every candidate: its figures or why it fell");
  app.add_flag("--plan", flags.plan, "Only print what would be tried, best predicted first");
  app.add_flag("--list", flags.list,
               "Only print which weights, activations, scales and zero points are served, on every architecture or on "
               "--target; needs no GPU and no service");
  CLI::Option* quantize = app.add_option(
      "--quantize", flags.quantize.path,
      "Only quantize this N x K matrix (.npy: fp32, fp16; .safetensors: F32, F16, BF16) to --w, --scale, --group and "
      "--zeros, and print the error made; any weight type, served or not; needs no GPU and no service");
  quantize->check(CLI::ExistingFile)->excludes(n)->excludes(k)->excludes(ops);
  app.add_option("--tensor", flags.quantize.tensor, "The tensor's name in the .safetensors file")->needs(quantize);
  app.add_option(
         "--output", flags.quantize.folder,
         "Write the quantized weight to this folder: codes.npy, and scales.npy, zeros.npy, tensor_scale.npy as the "
         "type has them")
      ->needs(quantize);
  app.add_flag("--running", flags.running, "Only print the tunes that are running");
  app.set_version_flag("--version", LADDER_VERSION);
  app.footer(kExitStatusHelp);
}

absl::StatusOr<std::vector<pb::OperatorDescriptor>> OperatorsOf(const Flags& flags) {
  if (!flags.ops.empty()) return ReadOperators(flags.ops);
  pb::OperatorDescriptor op;
  op.set_op(flags.op);
  op.set_a(flags.a);
  op.set_a_scale(flags.a_scale);
  op.set_scale(flags.scale);
  op.set_zeros(flags.zeros);
  op.set_out(flags.out);
  if (flags.has_group) op.set_group(flags.group);
  if (absl::Status status = SetWeight(flags.w, op); !status.ok()) return status;
  op.set_bias(flags.bias);
  op.set_act(flags.act);
  op.set_output_scale(flags.output_scale);
  op.set_residual(flags.residual);
  op.set_n(flags.n);
  op.set_k(flags.k);
  const absl::StatusOr<std::vector<pb::MRange>> ranges = ParseMList(flags.m);
  if (!ranges.ok()) return ranges.status();
  for (const pb::MRange& range : *ranges) *op.add_m() = range;
  return std::vector<pb::OperatorDescriptor>{op};
}

int Plan(TuneSession& session, const std::vector<pb::OperatorDescriptor>& operators, const std::string& target) {
  for (const pb::OperatorDescriptor& op : operators) {
    const absl::StatusOr<pb::PlanResponse> plan = session.Plan(op, target);
    if (!plan.ok()) return Fail(kProgram, plan.status());
    TextTable table;
    table.Column("M").Column("predicted us").Column("candidate", TextTable::Align::kLeft);
    for (const pb::PlanResponse::Entry& entry : plan->entries()) {
      table.Row({absl::StrCat(entry.m()), Digits(entry.predicted_us()), Describe(entry.candidate())});
    }
    std::cout << Describe(op) << " on " << TargetName(plan->target()) << "\n\n" << table.ToString() << "\n";
  }
  std::cout << "Predicted by the policy; nothing was compiled or measured.\n";
  return kExitDone;
}

int PrintSupportMatrix(const std::string& target) {
  const absl::StatusOr<std::string> matrix = SupportMatrixOf(target);
  if (!matrix.ok()) return Fail(kProgram, matrix.status());
  std::cout << *matrix;
  return kExitDone;
}

int Quantize(const pb::OperatorDescriptor& op, const QuantizeJob& job) {
  const absl::StatusOr<std::string> report = QuantizeFile(op, job);
  if (!report.ok()) return Fail(kProgram, report.status());
  std::cout << *report;
  return kExitDone;
}

int PrintRunning(TuneSession& session) {
  const absl::StatusOr<pb::ListTunesResponse> tunes = session.ListTunes();
  if (!tunes.ok()) return Fail(kProgram, tunes.status());
  TextTable table;
  table.Column("id", TextTable::Align::kLeft).Column("callers").Column("operator", TextTable::Align::kLeft);
  table.Column("progress", TextTable::Align::kLeft);
  for (const pb::ListTunesResponse::Entry& entry : tunes->tunes()) {
    const pb::TuneProgress& progress = entry.progress();
    table.Row({entry.tune_id(), absl::StrCat(entry.callers()), entry.op_text(),
               absl::StrCat("M=", progress.m(), " ", progress.phase(), " ", progress.done(), "/", progress.total())});
  }
  std::cout << (table.empty() ? "No tune is running.\n" : table.ToString());
  return kExitDone;
}

// Prints one operator's table with what a reader must know about it.
void PrintOperator(const TunedOperator& tuned, const Flags& flags, const pb::DescribeResponse& machine,
                   const std::string& target) {
  if (tuned.rows.empty()) return;
  const pb::TuningRecord& record = tuned.rows.front().record;
  std::cout << "\n"
            << record.op_text() << "\non " << TargetName(record.target()) << ", "
            << (record.environment().compiler().empty() ? "no compiler" : record.environment().compiler()) << "\n\n"
            << OperatorTable(tuned) << DisturbanceNotes(tuned);
  if (flags.trace) std::cout << TraceTables(tuned);
  if (!HasSeeds(tuned)) return;
  std::cout << "\n";
  if (machine.target().empty()) {
    std::cout << "No GPU was found (" << machine.no_gpu_reason() << "); compiled and ranked for " << target
              << "; nothing was measured.\n";
  } else {
    std::cout << "Compiled and ranked for " << target << ", which is not this machine's GPU; nothing was measured.\n";
  }
}

int WriteJson(const std::string& path, const TuneReport& report) {
  std::ofstream file(path, std::ios::trunc);
  file << ToJson(report);
  file.close();
  if (file) return kExitDone;
  return Fail(kProgram,
              absl::ResourceExhaustedError(absl::StrCat("--json: writing ", path, " failed; is the disk full?")));
}

int Tune(TuneSession& session, const Flags& flags, const std::vector<pb::OperatorDescriptor>& operators,
         const pb::DescribeResponse& machine, const std::string& target, absl::Duration budget, absl::Time started) {
  TuneReport report;
  report.machine = machine;
  int exit_status = kExitDone;
  const absl::Time begin = absl::Now();
  report.start_ms = absl::ToDoubleMilliseconds(begin - started);
  for (const pb::OperatorDescriptor& op : operators) {
    pb::TuneRequest request;
    *request.mutable_op() = op;
    request.set_target(target);
    request.mutable_options()->set_candidates(flags.candidates);
    request.mutable_options()->set_budget_ms(absl::ToInt64Milliseconds(budget));
    request.mutable_options()->set_force(flags.force);
    request.mutable_options()->set_share_gpu(flags.share_gpu);
    request.mutable_options()->set_share_duty_percent(flags.duty);
    TunedOperator tuned = session.Tune(request);
    if (flags.compare && tuned.error.ok() && machine.target().empty()) {
      std::cerr << "ladder-tune: --compare needs a GPU; no comparison was made\n";
    } else if (flags.compare && tuned.error.ok()) {
      const absl::Status status = session.Compare(tuned, flags.share_gpu);
      if (!status.ok()) std::cerr << "ladder-tune: no comparison was made: " << status.message() << "\n";
    }
    PrintOperator(tuned, flags, machine, target);
    if (!tuned.error.ok()) exit_status = Fail(kProgram, tuned.error);
    report.operators.push_back(std::move(tuned));
  }
  report.wall_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  if (exit_status == kExitDone) std::cout << "\n" << Totals(report);
  if (flags.json.empty()) return exit_status;
  const int written = WriteJson(flags.json, report);
  return exit_status == kExitDone ? written : exit_status;
}

int Run(const Flags& flags) {
  const absl::Time started = absl::Now();
  if (flags.list) return PrintSupportMatrix(flags.target);
  const absl::StatusOr<std::vector<pb::OperatorDescriptor>> operators = OperatorsOf(flags);
  if (!operators.ok()) return Fail(kProgram, operators.status());
  if (!flags.quantize.path.empty()) return Quantize(operators->front(), flags.quantize);
  absl::Duration budget = absl::ZeroDuration();  // the service's default
  if (!flags.budget.empty()) {
    const absl::StatusOr<absl::Duration> parsed = ParseTime("--budget", flags.budget);
    if (!parsed.ok()) return Fail(kProgram, parsed.status());
    budget = *parsed;
  }
  // Now rather than after minutes of tuning.
  if (!flags.json.empty() && !std::ofstream(flags.json, std::ios::app)) {
    return Fail(kProgram, absl::InvalidArgumentError(absl::StrCat("--json: ", flags.json, " can't be written")));
  }
  const absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(flags.connection);
  if (!connection.ok()) return Fail(kProgram, connection.status());
  for (const std::string& note : (*connection)->notes()) std::cerr << kProgram << ": " << note << "\n";
  ProgressLine progress(stderr, isatty(STDERR_FILENO) != 0);
  TuneSession session((*connection)->channel(), progress);
  if (flags.running) return PrintRunning(session);
  const absl::StatusOr<pb::DescribeResponse> machine = session.Describe();
  if (!machine.ok()) return Fail(kProgram, machine.status());
  const std::string target = flags.target.empty() && machine->target().empty() ? kDefaultTarget : flags.target;
  if (flags.plan) return Plan(session, *operators, target);
  return Tune(session, flags, *operators, *machine, target, budget, started);
}

}  // namespace
}  // namespace ladder::tools

int main(int argc, char** argv) {
  CLI::App app("Finds, checks, times and keeps the best kernels of an operator. Without a GPU it compiles and ranks.",
               ladder::tools::kProgram);
  ladder::tools::Flags flags;
  CLI::Option* group = nullptr;
  ladder::tools::AddFlags(app, flags, group);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return ladder::tools::Fail(ladder::tools::kProgram, absl::InvalidArgumentError(error.what()));
  }
  flags.has_group = group->count() > 0;
  return ladder::tools::Run(flags);
}
