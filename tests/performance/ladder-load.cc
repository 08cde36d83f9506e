// ladder-load: what the daemon bears on this machine, against the gates that it should hold on two cores with the
// client beside it. The GPU is a fake one; compilers are real where they have to burn the cores.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/storage/sqlite_kernel_store.h"
#include "tests/performance/load_calls.h"
#include "tests/performance/load_daemon.h"
#include "tests/server/storage/sample_records.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {
namespace {

constexpr int kBatch = 64;

struct Flags {
  double seconds = 5;
  int64_t records = 1'000'000;
  bool counts_only = false;  // a busy machine says nothing about times
  bool batches_only = false;
  std::string json;
};

class Report {
 public:
  explicit Report(bool counts_only) : counts_only_(counts_only) {}
  void AtLeast(const std::string& name, double value, double gate) {
    Add(name, value, gate, value >= gate, true, ">=");
  }
  void AtMost(const std::string& name, double value, double gate) { Add(name, value, gate, value <= gate, true, "<="); }
  void Exactly(const std::string& name, double value, double gate) {
    Add(name, value, gate, value == gate, false, "=");
  }
  void MemoryAtMost(const std::string& name, double value, double gate) {
    Add(name, value, gate, value <= gate, false, "<=");
  }
  bool passed() const { return passed_; }
  const nlohmann::json& figures() const { return figures_; }

 private:
  void Add(const std::string& name, double value, double gate, bool holds, bool is_time, const char* sign) {
    const bool counts = !is_time || !counts_only_;
    std::printf("%-44s %14.2f   %s %g %s\n", name.c_str(), value, sign, gate,
                holds    ? "ok"
                : counts ? "FAILED"
                         : "missed (not held here)");
    std::fflush(stdout);
    if (!holds && counts) passed_ = false;
    figures_.push_back({{"name", name}, {"value", value}, {"gate", absl::StrCat(sign, " ", gate)}, {"holds", holds}});
  }
  const bool counts_only_;
  bool passed_ = true;
  nlohmann::json figures_ = nlohmann::json::array();
};

std::string BinFolder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

// Each is compiled for real, so a run that holds no times takes few.
std::vector<int64_t> Operators(const Flags& flags) {
  std::vector<int64_t> operators;
  for (int64_t n = 128; n <= 128 * (flags.counts_only ? 4 : 64); n += 128) operators.push_back(n);
  return operators;
}

CallTimes MeasureBatches(const LoadDaemon& daemon, const std::vector<int64_t>& operators, absl::Duration duration,
                         Report& report) {
  const absl::Duration cpu_before = daemon.cpu_of_both();
  const CallTimes batch = LookUpInBatches(daemon.channel(), operators, kBatch, duration);
  const absl::Duration cpu = daemon.cpu_of_both() - cpu_before;
  report.AtLeast("look-ups per second in batches of 64", batch.per_second, 150'000);
  // What other programs take part in least. One batch at a time makes both ends work in turn, so 150,000 a second leave
  // each look-up 6.7 us, less what passes between the two.
  report.AtMost("CPU us per look-up in batches, both ends",
                absl::ToDoubleMicroseconds(cpu) / static_cast<double>(std::max<int64_t>(1, batch.calls * kBatch)), 6.7);
  return batch;
}

absl::Status Serve(const Flags& flags, Report& report) {
  const TemporaryFolder folder;
  const absl::Duration duration = absl::Seconds(flags.seconds);
  absl::StatusOr<std::unique_ptr<LoadDaemon>> daemon =
      LoadDaemon::Start({folder.path().string(), BinFolder(), true, {}});
  if (!daemon.ok()) return daemon.status();
  absl::SleepFor(absl::Seconds(1));
  report.MemoryAtMost("idle, resident MB", static_cast<double>((*daemon)->resident_bytes()) / 1e6, 60);
  const std::vector<int64_t> operators = Operators(flags);
  const auto& channel = (*daemon)->channel();
  if (!TuneAll(channel, operators)) return absl::InternalError("the operators could not be tuned");
  // First, as by a client that only waits for its calls, as the client library does: once callbacks are used, their
  // threads poll as well and hand every answer on, which takes a quarter more.
  LookUpInBatches(channel, operators, kBatch, absl::Seconds(1));  // warms up both sides
  const CallTimes batch = MeasureBatches(**daemon, operators, duration, report);
  if (flags.batches_only) {
    report.Exactly("look-ups that failed or missed", static_cast<double>(batch.failed), 0);
    return absl::OkStatus();
  }
  LookUp(channel, operators, 16, absl::Seconds(1));
  int64_t failed = 0;
  const CallTimes one = LookUp(channel, operators, 1, duration);
  report.AtMost("look-up alone, p50 ms", one.p50_ms, 1);
  const CallTimes many = LookUp(channel, operators, 16, duration);
  report.AtLeast("look-ups per second, 16 at a time", many.per_second, 15'000);
  report.AtMost("look-ups 16 at a time, p99 ms", many.p99_ms, 4);
  // Rankings for another GPU need the compilers alone.
  std::atomic<bool> enough = false;
  std::vector<std::thread> tuners;
  for (int i = 0; i < 4; ++i) {
    tuners.emplace_back([&, i] {
      const auto stub = tune::v1::Tuner::NewStub(channel);
      for (int64_t n = 256 + 64 * i; !enough; n += 256) {
        tune::v1::TuneRequest request;
        *request.mutable_op() = LoadOperator(n);
        request.set_target("a100-80g");
        grpc::ClientContext context;
        const auto reader = stub->Tune(&context, request);
        for (tune::v1::TuneProgress progress; reader->Read(&progress);) {
        }
        if (!reader->Finish().ok()) break;
      }
    });
  }
  absl::SleepFor(absl::Milliseconds(500));
  const CallTimes busy = LookUp(channel, operators, 1, duration);
  enough = true;
  report.AtMost("look-up while compilers take every core, p99 ms", busy.p99_ms, 5);
  for (std::thread& tuner : tuners) tuner.join();
  for (const CallTimes& times : {one, many, batch, busy}) failed += times.failed;
  report.Exactly("look-ups that failed or missed", static_cast<double>(failed), 0);
  return absl::OkStatus();
}

absl::Status Share(const Flags& flags, Report& report) {
  const int callers = flags.counts_only ? 200 : 1000;
  const TemporaryFolder folder;
  absl::StatusOr<std::unique_ptr<LoadDaemon>> daemon =
      LoadDaemon::Start({folder.path().string(), BinFolder(), false, {"LADDER_FAKE_DELAY_MS=4000"}});
  if (!daemon.ok()) return daemon.status();
  const SharedTune all = TuneTogether((*daemon)->channel(), 1024, callers, callers);
  report.Exactly("callers of one key that got its tune", all.completed, callers);
  report.Exactly("tunes made for them", static_cast<double>(all.generations), 1);
  const SharedTune leaving = TuneTogether((*daemon)->channel(), 2048, callers, 1);
  report.Exactly("callers that left a tune", leaving.cancelled, callers - 1);
  report.Exactly("callers that stayed and got it", leaving.completed, 1);
  return absl::OkStatus();
}

absl::Status OpenBig(const Flags& flags, Report& report) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "cache");
  {
    SqliteStoreOptions options;
    options.path = folder / "cache/cache.db";
    absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options);
    if (!store.ok()) return store.status();
    // Rankings: records without binaries, as a build farm makes them.
    TuningRecord record = SampleRecord(8192, 1, "", /*traced=*/0);
    int64_t made = 0;
    const auto next = [&]() -> absl::StatusOr<std::optional<TuningRecord>> {
      if (made == flags.records) return std::nullopt;
      record.key = CacheKey{Sha256Hex(absl::StrCat("record ", made++))};
      return record;
    };
    const auto no_binary = [](const std::string&) -> absl::StatusOr<std::string> {
      return absl::NotFoundError("none");
    };
    const absl::StatusOr<MergeOutcome> merged = (*store)->Merge(next, no_binary, /*dry_run=*/false);
    if (!merged.ok()) return merged.status();
    if (merged->records != flags.records) return absl::InternalError("the cache could not be filled");
  }
  const absl::Time begin = absl::Now();
  absl::StatusOr<std::unique_ptr<LoadDaemon>> daemon =
      LoadDaemon::Start({folder.path().string(), BinFolder(), false, {}});
  if (!daemon.ok()) return daemon.status();
  const std::string records = absl::StrCat("a cache of ", flags.records, " records");
  report.AtMost(absl::StrCat("seconds to serve ", records), absl::ToDoubleSeconds(absl::Now() - begin), 2);
  absl::SleepFor(absl::Seconds(1));
  report.MemoryAtMost(absl::StrCat("resident MB, ", records), static_cast<double>((*daemon)->resident_bytes()) / 1e6,
                      60);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what the daemon bears, against its gates. Exit status 1 if one is missed.", "ladder-load");
  Flags flags;
  app.add_option("--seconds", flags.seconds, "Length of each measurement")->capture_default_str();
  app.add_option("--records", flags.records, "Records of the big cache")->capture_default_str();
  app.add_flag("--counts-only", flags.counts_only,
               "Times are shown but not held: for a machine that does other things");
  app.add_flag("--batches-only", flags.batches_only, "Measure only look-ups in batches");
  app.add_option("--json", flags.json, "Write the figures to this file");
  CLI11_PARSE(app, argc, argv);
  Report report(flags.counts_only);
  for (const auto part : {Serve, Share, OpenBig}) {
    if (flags.batches_only && part != Serve) break;
    const absl::Status status = part(flags, report);
    if (status.ok()) continue;
    std::fprintf(stderr, "ladder-load: %s\n", std::string(status.message()).c_str());
    return 3;
  }
  if (!flags.json.empty()) {
    double load = 0;  // of a minute; the benchmark makes about one per core itself
    if (::getloadavg(&load, 1) != 1) load = -1;
    const nlohmann::json document = {{"version", LADDER_VERSION},
                                     {"load_average", load},
                                     {"cores", std::thread::hardware_concurrency()},
                                     {"date", absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone())},
                                     {"figures", report.figures()}};
    std::ofstream(flags.json) << document.dump(1) << "\n";
  }
  return report.passed() ? 0 : 1;
}

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) { return ladder::Main(argc, argv); }
