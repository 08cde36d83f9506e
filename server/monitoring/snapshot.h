// What the service is doing now: what /metrics and /statusz are made of.
#ifndef LADDER_SERVER_MONITORING_SNAPSHOT_H_
#define LADDER_SERVER_MONITORING_SNAPSHOT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/monitoring/call_metrics.h"
#include "server/serving/serving.h"
#include "server/serving/tune_registry.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {

struct GpuState {
  int number = 0;     // as the configuration names it
  std::string model;  // empty until it was asked
  std::string driver;
  bool serving = false;
  std::string trouble;  // why it isn't, if that is known
  int64_t worker_deaths = 0;
};

struct Snapshot {
  std::string version;
  std::string compiler;  // empty: none found, or not asked yet
  absl::Time now;
  absl::Time started;
  int64_t resident_bytes = 0;
  std::vector<GpuState> gpus;
  StoreStats cache;
  std::vector<TuneSummary> tunes;  // running and waiting
  TuneTotals totals;
  std::vector<TuneWinner> winners;  // newest first
  std::vector<CallMetrics::Summary> calls;
};

// Of what a host is made of; all of it outlives the object. Thread-safe.
class SnapshotTaker {
 public:
  using Gpus = std::function<std::vector<GpuState>()>;
  SnapshotTaker(const Serving& serving, const CallMetrics& calls, Gpus gpus)
      : serving_(serving), calls_(calls), gpus_(std::move(gpus)), started_(absl::Now()) {}
  // Starts nothing and waits for no worker. The cache's counts may be a few seconds old, since counting a million rows
  // holds up look-ups that go to the database.
  Snapshot Take();

 private:
  const Serving serving_;
  const CallMetrics& calls_;
  const Gpus gpus_;
  const absl::Time started_;
  std::mutex mutex_;
  StoreStats counted_;
  absl::Time counted_at_ = absl::InfinitePast();
};

}  // namespace ladder

#endif  // LADDER_SERVER_MONITORING_SNAPSHOT_H_
