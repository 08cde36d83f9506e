// Tunes and times operators in one process, without daemon or store: plan, compile, verify, profile, print.
//   ladder-bench --shapes 4096x4096,8192x28672 --m 1,16,256 --w int4,nf4 --all --json figures.json
//   ladder-bench --dry-run --target sm_90a       compiles only
// A candidate that breaks or hangs the GPU is reported; the program then starts itself again without it.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/backend/cuda/cuda_device.h"
#include "core/backend/cuda/nvrtc.h"
#include "core/tuning/quiet.h"
#include "schedules/catalog.h"
#include "schedules/support/support.h"
#include "tests/performance/bench_compile.h"
#include "tests/performance/bench_flags.h"
#include "tests/performance/bench_measure.h"
#include "tests/performance/bench_report.h"
#include "tests/performance/m_sweep.h"
#include "tests/performance/policy_trace.h"
#include "tests/performance/selection_repeat.h"
#include "tests/performance/watchdog.h"

namespace ladder {
namespace {

constexpr int kMostRestarts = 20;

int Fail(const absl::Status& status) {
  absl::FPrintF(stderr, "ladder-bench: %s\n", status.message());
  return 1;
}

BenchSelection Selection(const BenchFlags& flags) {
  BenchSelection selection;
  selection.candidates = flags.candidates;
  if (!flags.schedules.empty()) selection.schedules = absl::StrSplit(flags.schedules, ',');
  if (!flags.only.empty()) selection.only = absl::StrSplit(flags.only, ';');
  selection.denied.insert(flags.deny.begin(), flags.deny.end());
  // sm_80 -> compute_80.
  if (!flags.kernels_for.empty()) selection.arch = absl::StrCat("compute_", flags.kernels_for.substr(3));
  return selection;
}

// The GPU as it was measured, with the kernels of flags.kernels_for.
absl::StatusOr<Target> KernelTarget(const BenchFlags& flags, Target target) {
  if (flags.kernels_for.empty()) return target;
  const absl::StatusOr<Target> older = Target::FromName(flags.kernels_for);
  // PTX of "a" architectures runs on that generation alone.
  if (!older.ok() || older->arch != flags.kernels_for || older->vendor != target.vendor ||
      absl::EndsWith(older->arch, "a") || older->capability() > target.capability()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--kernels-for: '", flags.kernels_for, "' is no architecture whose PTX runs on ", target.arch));
  }
  target.arch = older->arch;
  return target;
}

// The binary and the source of a candidate, for a disassembler: FOLDER/candidate-COUNT.cubin and .cu.
void Dump(const std::string& folder, int count, const BenchCandidate& candidate) {
  const std::string path = absl::StrCat(folder, "/candidate-", count);
  std::ofstream(path + ".cubin", std::ios::binary) << candidate.kernel->binary;
  std::ofstream source(path + ".cu");
  source << "// " << candidate.candidate.ToString() << "\n" << candidate.lowered.source.text;
  for (const auto& [name, text] : candidate.lowered.source.extra_headers) source << "// " << name << "\n" << text;
}

int DryRun(const BenchFlags& flags, const ScheduleCatalog& catalog, Compiler& compiler,
           const std::vector<BenchProblem>& problems) {
  const absl::StatusOr<Target> machine = Target::FromName(flags.target);
  if (!machine.ok()) return Fail(machine.status());
  const absl::StatusOr<Target> target = KernelTarget(flags, *machine);
  if (!target.ok()) return Fail(target.status());
  absl::PrintF("%s, %s: compiling only, nothing is measured\n", compiler.Version(), target->ToString());
  const CompileRequest support = {target->arch, SupportSource(), kSupportEntry};
  const absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&support, 1}, nullptr).front();
  if (!compiled.ok()) return Fail(compiled.status());
  absl::PrintF("support kernels: %d bytes, %.0f ms\n", compiled->binary.size(), compiled->compile_ms);
  CompileAhead jobs(catalog, compiler, *target, Selection(flags), problems, flags.first);
  int failed = 0, dumped = 0;
  while (const std::unique_ptr<BenchJob> job = jobs.Next()) {
    absl::PrintF("%s m=%d: %d candidates, %.0f ms%s\n", job->problem.op.ToString(), job->problem.m,
                 job->candidates.size(), job->compile_ms, job->error.empty() ? "" : "; " + job->error);
    if (!job->error.empty()) failed++;
    for (const BenchCandidate& c : job->candidates) {
      if (!c.reason.empty()) failed++;
      if (!flags.dump.empty() && c.kernel) Dump(flags.dump, dumped++, c);
      if (!flags.all && c.reason.empty()) continue;
      absl::PrintF("  predicted %9.2f us  regs %3d  spills %4d  shared %6d  threads %4d  %5.0f ms  %s%s%s\n",
                   c.predicted_us, c.kernel ? c.kernel->registers : 0, c.kernel ? c.kernel->spill_bytes : 0,
                   c.lowered.launch.shared_bytes, c.lowered.launch.threads, c.kernel ? c.kernel->compile_ms : 0,
                   c.candidate.ToString(), c.reason.empty() ? "" : "  REJECTED: ", c.reason);
    }
    std::fflush(stdout);
  }
  absl::PrintF("%d rejected or without candidates\n", failed);
  return failed == 0 ? 0 : 2;
}

// The program and its flags; what it needs to start itself again.
struct Self {
  std::vector<std::string> arguments;
  BenchFlags flags;
  std::mutex mutex;
  size_t current = 0;  // problem being measured

  // Does not return.
  [[noreturn]] void Restart(const std::string& culprit, const std::string& why) {
    absl::FPrintF(stderr, "ladder-bench: %s: %s\n", why, culprit);
    std::fflush(nullptr);
    if (culprit.empty() || flags.deny.size() >= kMostRestarts) _exit(3);
    std::vector<std::string> next = arguments;
    const std::lock_guard lock(mutex);
    for (const std::string& extra :
         {std::string("--deny"), culprit, std::string("--first"), absl::StrCat(current), std::string("--rows"),
          flags.rows, std::string("--started"), absl::StrFormat("%.3f", flags.started_unix)}) {
      next.push_back(extra);
    }
    std::vector<char*> pointers;
    pointers.reserve(next.size() + 1);
    for (std::string& argument : next) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    execv("/proc/self/exe", pointers.data());
    std::perror("ladder-bench: cannot start again");
    _exit(3);
  }
};

absl::StatusOr<std::unique_ptr<CudaDevice>> OpenDevice(const BenchFlags& flags, Compiler& compiler) {
  absl::StatusOr<std::unique_ptr<CudaDevice>> device =
      CudaDevice::Open({.device = flags.device, .memory_budget_bytes = flags.memory_mib << 20});
  if (!device.ok()) return device;
  const absl::StatusOr<Target> bare = (*device)->GetTarget();
  if (!bare.ok()) return bare.status();
  const CompileRequest support = {bare->arch, SupportSource(), kSupportEntry};
  const absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&support, 1}, nullptr).front();
  if (!compiled.ok()) return compiled.status();
  if (absl::Status status = (*device)->LoadSupport(*compiled); !status.ok()) return status;
  return device;
}

// Gathers the operators' lines, those from before a restart included, into one file.
absl::Status WriteTraces(const BenchFlags& flags, const BenchRun& run, const Target& target) {
  PolicyTrace trace = {run.gpu, run.date, run.schedules_digest, target, {}};
  std::ifstream lines(flags.trace_rows());
  for (std::string line; std::getline(lines, line);) {
    absl::StatusOr<OperatorTrace> op = ParseOperator(line);
    if (!op.ok()) return op.status();
    trace.operators.push_back(*std::move(op));
  }
  std::ofstream file(flags.traces, std::ios::trunc);
  file << FormatTrace(trace) << std::flush;
  if (!file) return absl::InternalError(absl::StrCat("cannot write ", flags.traces));
  std::remove(flags.trace_rows().c_str());
  return absl::OkStatus();
}

// The figure of repeated tuning: how often the choice is within 3% of the best known.
int RepeatSelections(const BenchFlags& flags, const ScheduleCatalog& catalog, Compiler& compiler, Device& device,
                     const std::vector<BenchProblem>& problems) {
  constexpr double kAgree = 1.03;
  int agreeing = 0, all = 0;
  for (const BenchProblem& problem : problems) {
    const absl::StatusOr<RepeatedSelection> repeated =
        RepeatSelection(catalog, compiler, device, problem, flags.repeat_selection);
    if (!repeated.ok()) return Fail(repeated.status());
    const std::vector<double>& ratios = repeated->ratios;
    agreeing += Within(ratios, kAgree);
    all += static_cast<int>(ratios.size());
    absl::PrintF(
        "%s m=%d: best %.2f us; %d of %d within 3%%, worst %.3f; %d kernels chosen; times told spread %.1f%%; "
        "%.2f s a tune\n",
        problem.op.ToString(), problem.m, repeated->best_us, Within(ratios, kAgree), ratios.size(),
        *std::ranges::max_element(ratios), repeated->chosen.size(), 100 * repeated->time_spread,
        repeated->tune_seconds / static_cast<double>(ratios.size()));
    std::fflush(stdout);
  }
  absl::PrintF("%d of %d choices (%.1f%%) within 3%% of the best known\n", agreeing, all, 100.0 * agreeing / all);
  return 0;
}

// The figure of "no cliff": the time at every M, and the worst ratio to a larger M's.
int SweepOperators(const BenchFlags& flags, const ScheduleCatalog& catalog, Compiler& compiler, Device& device) {
  const absl::StatusOr<std::vector<NormalizedOperator>> operators = MakeOperators(flags);
  if (!operators.ok()) return Fail(operators.status());
  const absl::StatusOr<std::vector<int64_t>> ms = EveryM(flags);
  if (!ms.ok()) return Fail(ms.status());
  for (const NormalizedOperator& op : *operators) {
    const absl::StatusOr<MSweep> sweep = SweepM(catalog, compiler, device, op, *ms);
    if (!sweep.ok()) return Fail(sweep.status());
    absl::PrintF("%s, tuned in %.1f s:\n", op.ToString(), sweep->tune_seconds);
    std::string former;
    for (const SweepPoint& point : sweep->points) {
      if (point.candidate != former) absl::PrintF("%s %s:\n ", former.empty() ? "" : "\n", point.candidate);
      absl::PrintF(" %d %.2f", point.m, point.us);
      former = point.candidate;
    }
    const Cliff cliff = WorstCliff(sweep->points);
    absl::PrintF("\nworst: m=%d takes %.3f times the time of m=%d\n", cliff.m, cliff.ratio, cliff.larger_m);
    std::fflush(stdout);
  }
  return 0;
}

int Measure(Self& self, const ScheduleCatalog& catalog, Compiler& compiler, const std::vector<BenchProblem>& problems) {
  const BenchFlags& flags = self.flags;
  // Leaked on purpose: its thread may outlive this function.
  auto& watchdog = *new Watchdog(absl::Seconds(flags.timeout_s), [&self, &flags](const std::string& what) {
    self.Restart(what, absl::StrFormat("hung for %.0f s", flags.timeout_s));
  });
  const absl::StatusOr<std::unique_ptr<CudaDevice>> device = OpenDevice(flags, compiler);
  if (!device.ok()) return Fail(device.status());
  const absl::StatusOr<Target> target = (*device)->GetTarget();
  if (!target.ok()) return Fail(target.status());
  const absl::StatusOr<DeviceEnvironment> environment = (*device)->GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());

  BenchRun run;
  run.gpu = target->model;
  run.driver = environment->driver;
  run.date = absl::FormatTime("%Y-%m-%d %H:%M", absl::Now(), absl::UTCTimeZone());
  run.commit = flags.commit;
  run.schedules_digest = catalog.sources_digest;
  run.compiler = compiler.Version();
  run.read_gb_per_s = target->limits.read_gb_per_s;
  run.launch_us = target->limits.launch_us;
  run.rate_tflops = target->limits.dense_fp16_tflops;
  absl::PrintF("%s, driver %s, %s: reads %.0f GB/s, launch %.2f us, fp16 %.0f TFLOP/s\n", run.gpu, run.driver,
               run.compiler, run.read_gb_per_s, run.launch_us, run.rate_tflops);
  if (const absl::StatusOr<DeviceConditions> conditions = (*device)->GetConditions(); conditions.ok()) {
    const std::string disturbance = Disturbance(*conditions);
    if (IsShared(*conditions)) absl::PrintF("other processes use this GPU: what follows is not for a record\n");
    if (!disturbance.empty()) absl::PrintF("%s: what follows is not for a record\n", disturbance);
  }
  std::fflush(stdout);

  if (flags.m_sweep) return SweepOperators(flags, catalog, compiler, **device);
  if (flags.repeat_selection > 0) return RepeatSelections(flags, catalog, compiler, **device, problems);
  BenchOptions options;
  options.policy.repeats = flags.repeats;
  options.policy.replay_ms = flags.replay_ms;
  options.finalists = flags.finalists;
  options.keep_rejected = flags.keep_rejected;
  if (flags.yardsticks != "none") {
    for (const std::string& name : std::vector<std::string>(absl::StrSplit(flags.yardsticks, ',')))
      options.yardsticks.push_back("cublaslt_" + name);
  }
  BenchMeasurer measurer(**device, options, watchdog);
  const absl::StatusOr<Target> kernels = KernelTarget(flags, *target);
  if (!kernels.ok()) return Fail(kernels.status());
  if (!flags.kernels_for.empty()) absl::PrintF("kernels of %s, from PTX through the driver\n", kernels->arch);
  CompileAhead jobs(catalog, compiler, *kernels, Selection(flags), problems, flags.first);
  int status = 0;
  while (const std::unique_ptr<BenchJob> job = jobs.Next()) {
    if (absl::ToUnixMicros(absl::Now()) * 1e-6 - flags.started_unix > flags.budget_s) {
      absl::PrintF("the budget of %.0f s is used up: %d of %d problems not measured\n", flags.budget_s,
                   problems.size() - job->index, problems.size());
      status = 2;
      break;
    }
    {
      const std::lock_guard lock(self.mutex);
      self.current = job->index;
    }
    if (!job->error.empty()) {
      absl::PrintF("%s m=%d: %s\n", job->problem.op.ToString(), job->problem.m, job->error);
      status = 2;
      continue;
    }
    std::string culprit;
    const absl::StatusOr<BenchResult> result = measurer.Measure(*job, culprit);
    if (!result.ok()) self.Restart(culprit, absl::StrCat("broke the GPU: ", result.status().message()));
    const BenchRow row = MakeRow(*result);
    if (row.cublaslt_fp16_us > 0) {
      run.rate_tflops = std::max(run.rate_tflops, 2e-6 * static_cast<double>(row.m) * static_cast<double>(row.n) *
                                                      static_cast<double>(row.k) / row.cublaslt_fp16_us);
    }
    absl::PrintF("%s\n", FormatRow(row, run));
    if (flags.all) {
      for (const std::string& line : result->lines) absl::PrintF("%s\n", line);
      absl::PrintF("  compile %.0f ms, verify %.0f ms, profile %.0f ms\n", job->compile_ms, result->verify_ms,
                   result->profile_ms);
    } else if (row.us == 0) {
      for (size_t i = 0; i < std::min<size_t>(3, result->lines.size()); i++) absl::PrintF("%s\n", result->lines[i]);
    }
    std::fflush(stdout);
    if (row.us == 0) status = 2;
    if (absl::Status appended = AppendRow(flags.rows, row); !appended.ok()) return Fail(appended);
    if (!flags.traces.empty()) {
      std::ofstream(flags.trace_rows(), std::ios::app)
          << FormatOperator({result->problem.op, result->problem.m, result->times}) << std::endl;
    }
  }
  // The floor of every row by the best rate of the whole run.
  const std::vector<BenchRow> rows = ReadRows(flags.rows);
  for (const BenchRow& row : rows) {
    if (row.cublaslt_fp16_us == 0) continue;
    run.rate_tflops = std::max(run.rate_tflops, 2e-6 * static_cast<double>(row.m) * static_cast<double>(row.n) *
                                                    static_cast<double>(row.k) / row.cublaslt_fp16_us);
  }
  absl::PrintF("\nall problems, floors by the best rate seen (%.0f TFLOP/s):\n", run.rate_tflops);
  for (const BenchRow& row : rows) absl::PrintF("%s\n", FormatRow(row, run));
  if (!flags.json.empty()) {
    if (absl::Status written = WriteJson(flags.json, run, rows); !written.ok()) return Fail(written);
  }
  if (!flags.traces.empty()) {
    if (absl::Status written = WriteTraces(flags, run, *target); !written.ok()) return Fail(written);
  }
  std::remove(flags.rows.c_str());
  return status;
}

int Main(const std::vector<std::string>& arguments) {
  // Leaked on purpose: the watchdog's thread may use it to the end.
  Self& self = *new Self;
  self.arguments = arguments;
  absl::StatusOr<BenchFlags> flags = ParseBenchFlags({arguments.begin() + 1, arguments.end()});
  if (absl::IsCancelled(flags.status())) {
    absl::PrintF("%s", flags.status().message());
    return 0;
  }
  if (!flags.ok()) return Fail(flags.status());
  self.flags = *std::move(flags);
  if (self.flags.rows.empty()) {
    self.flags.rows = absl::StrCat("/tmp/ladder-bench.", getpid(), ".rows");
    std::remove(self.flags.rows.c_str());
    std::remove(self.flags.trace_rows().c_str());
  }
  if (self.flags.started_unix == 0) self.flags.started_unix = absl::ToUnixMicros(absl::Now()) * 1e-6;
  const absl::StatusOr<std::vector<BenchProblem>> problems = MakeProblems(self.flags);
  if (!problems.ok()) return Fail(problems.status());
  const ScheduleCatalog catalog = MakeCatalog();
  CudaCompiler compiler(catalog.sources, {}, self.flags.threads);
  if (self.flags.dry_run) return DryRun(self.flags, catalog, compiler, *problems);
  return Measure(self, catalog, compiler, *problems);
}

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) { return ladder::Main({argv, argv + argc}); }
