// ladder-cache: looks into a cache of kernels and moves it between machines.
#include <CLI/CLI.hpp>
#include <iostream>

#include "client/tools/cache_commands.h"
#include "client/tools/connection.h"
#include "client/tools/connection_flags.h"
#include "client/tools/exit_status.h"
#include "client/tools/health.h"
#include "client/tools/operator_input.h"
#include "client/tools/weight_type_input.h"

namespace ladder::tools {
namespace {

constexpr char kProgram[] = "ladder-cache";

struct Flags {
  ConnectionOptions connection;
  bool json = false, trace = false, dry_run = false, allow_unsigned = false, remove = false;
  std::string file, trusted_key, health, m = "1,16,64,256,4096", w = "int4";
  std::vector<std::string> keys;
  int64_t group = 0;
  CLI::Option* has_group = nullptr;
  ExplainFlags explain;
  EvictFlags evict;
};

void AddExplain(CLI::App& app, Flags& flags) {
  CLI::App* explain = app.add_subcommand("explain", "Why an operator hits or misses: its keys, field by field");
  tune::v1::OperatorDescriptor& op = flags.explain.op;
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_n(8192);
  op.set_k(8192);
  explain->add_option("key", flags.explain.key, "A stored record's key, or the first digits of it");
  const auto text = [&](const char* name, std::string* field, const char* help) {
    explain->add_option(name, *field, help);
  };
  text("--a", op.mutable_a(), "Type of the activations (default: fp16)");
  explain->add_option("--w", flags.w, "Type of the weights, or @FILE with one of your own")->capture_default_str();
  text("--scale", op.mutable_scale(), "Type of the scales");
  text("--zeros", op.mutable_zeros(), "Zero points");
  text("--out", op.mutable_out(), "Type of Y");
  text("--a-scale", op.mutable_a_scale(), "Factors of 8-bit activations");
  text("--act", op.mutable_act(), "Function of the sum and the bias");
  text("--target", &flags.explain.target, "GPU or architecture (default: this machine's)");
  flags.has_group = explain->add_option("--group", flags.group, "Consecutive k that share a scale");
  explain->add_option_function<int64_t>(
      "--n", [&op](int64_t n) { op.set_n(n); }, "Rows of W (default: 8192)");
  explain->add_option_function<int64_t>(
      "--k", [&op](int64_t k) { op.set_k(k); }, "Columns of W (default: 8192)");
  explain->add_flag_callback(
      "--bias", [&op] { op.set_bias(true); }, "Y has a bias");
  explain->add_flag_callback(
      "--output-scale", [&op] { op.set_output_scale(true); }, "Y is multiplied by a factor");
  explain->add_flag_callback(
      "--residual", [&op] { op.set_residual(true); }, "Y has a residual added");
  explain->add_option("--m", flags.m, "Rows of X, as for ladder-tune")->capture_default_str();
}

void AddCommands(CLI::App& app, Flags& flags) {
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--server", flags.connection.server, "A daemon's address (unix:/path or host:port)");
  app.add_option("--cache", flags.connection.cache, "The cache's folder (default: ladder in the user's cache folder)");
  AddTlsFlags(app, flags.connection.tls);
  app.add_flag("--json", flags.json, "Print JSON");
  app.set_version_flag("--version", LADDER_VERSION);
  app.footer(kExitStatusHelp);

  app.add_subcommand("list", "Every record")->add_flag("--trace", flags.trace, "With traces (JSON)");
  AddExplain(app, flags);
  app.add_subcommand("verify", "Check every record and binary against its digest; exit 1 if one is damaged");
  CLI::App* exporting = app.add_subcommand("export", "Write records and binaries to a signed file");
  exporting->add_option("file", flags.file, "The file")->required();
  exporting->add_option("--key", flags.keys, "Only these records");
  CLI::App* importing = app.add_subcommand("import", "Take in an exported file");
  importing->add_option("file", flags.file, "The file")->required();
  importing->add_flag("--dry-run", flags.dry_run, "Check and count only");
  importing->add_flag("--allow-unsigned", flags.allow_unsigned,
                      "Take configurations without a trusted signature; they are compiled and verified here");
  CLI::App* evict = app.add_subcommand("evict", "Remove records");
  evict->add_option("keys", flags.evict.keys, "Keys of records");
  evict->add_option("--down-to", flags.evict.down_to, "Least recently used first, until binaries fit: 10GiB, 500MB");
  evict->add_flag("--all", flags.evict.all, "Everything");
  app.add_subcommand("stats", "Counts, sizes, keys");
  CLI::App* trust = app.add_subcommand("trust", "Trust a key's exports (hex or PEM; `stats` prints a cache's own)");
  trust->add_option("key", flags.trusted_key, "The public key")->required();
  trust->add_flag("--remove", flags.remove, "Trust it no longer");
  CLI::App* health = app.add_subcommand("health", "Exit 0 if the service, or a part of it, is serving; for probes");
  health->add_option("part", flags.health, "gpu:0 or ladder.tune.v1.KernelCache, for example (default: the whole)");
  app.add_subcommand("quarantine", "What was found damaged and set aside");
}

absl::Status Run(const CLI::App& app, Flags& flags) {
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "explain") {
    if (flags.has_group->count() > 0) flags.explain.op.set_group(flags.group);
    if (absl::Status status = SetWeight(flags.w, flags.explain.op); !status.ok()) return status;
    const absl::StatusOr<std::vector<tune::v1::MRange>> ranges = ParseMList(flags.m);
    if (!ranges.ok()) return ranges.status();
    for (const tune::v1::MRange& range : *ranges) *flags.explain.op.add_m() = range;
  }
  const absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(flags.connection);
  if (!connection.ok()) return connection.status();
  for (const std::string& note : (*connection)->notes()) std::cerr << kProgram << ": " << note << "\n";
  if (command == "health") return CheckHealth((*connection)->channel(), flags.health);
  CacheCommands commands((*connection)->channel(), flags.json);
  if (command == "list") return commands.List(flags.trace);
  if (command == "explain") {
    const absl::StatusOr<std::string> target = TargetOrDefault((*connection)->channel(), flags.explain.target);
    if (!target.ok()) return target.status();
    flags.explain.target = *target;
    return commands.Explain(flags.explain);
  }
  if (command == "verify") return commands.Verify();
  if (command == "export") return commands.Export(flags.file, flags.keys);
  if (command == "import") return commands.Import(flags.file, flags.dry_run, flags.allow_unsigned);
  if (command == "evict") return commands.Evict(flags.evict);
  if (command == "stats") return commands.Stats();
  if (command == "trust") return commands.Trust(flags.trusted_key, flags.remove);
  return commands.Quarantine();
}

}  // namespace
}  // namespace ladder::tools

int main(int argc, char** argv) {
  CLI::App app("Looks into a cache of kernels and moves it between machines.", ladder::tools::kProgram);
  ladder::tools::Flags flags;
  ladder::tools::AddCommands(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return ladder::tools::Fail(ladder::tools::kProgram, absl::InvalidArgumentError(error.what()));
  }
  const absl::Status status = ladder::tools::Run(app, flags);
  return status.ok() ? ladder::tools::kExitDone : ladder::tools::Fail(ladder::tools::kProgram, status);
}
