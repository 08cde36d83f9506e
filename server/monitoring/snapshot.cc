#include "server/monitoring/snapshot.h"

#include <unistd.h>

#include <fstream>

#include "absl/time/clock.h"
#include "core/backend/compiler.h"
#include "server/serving/machines.h"

namespace ladder {
namespace {

constexpr absl::Duration kCountPause = absl::Seconds(5);

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

Snapshot SnapshotTaker::Take() {
  Snapshot snapshot;
  snapshot.version = LADDER_VERSION;
  snapshot.now = absl::Now();
  snapshot.started = started_;
  snapshot.resident_bytes = ResidentBytes();
  snapshot.compiler = serving_.machines.KnownCompiler();
  snapshot.gpus = gpus_();
  snapshot.tunes = serving_.tunes.Running();
  snapshot.totals = serving_.tunes.Totals();
  snapshot.winners = serving_.tunes.LastWinners();
  snapshot.calls = calls_.Summaries();
  const std::lock_guard lock(mutex_);
  if (snapshot.now - counted_at_ >= kCountPause) {
    // A store that can't be counted at the moment (a disk error) keeps its former numbers.
    if (absl::StatusOr<StoreStats> stats = serving_.cache.Stats(); stats.ok()) counted_ = *std::move(stats);
    counted_at_ = snapshot.now;
  }
  snapshot.cache = counted_;
  return snapshot;
}

}  // namespace ladder
