// The tunes of the service: one for all callers of the same request, going on when they leave.
#ifndef LADDER_SERVER_SERVING_TUNE_REGISTRY_H_
#define LADDER_SERVER_SERVING_TUNE_REGISTRY_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/kernel_service.h"
#include "server/serving/executor.h"
#include "server/serving/machines.h"

namespace ladder {

struct TuneSpec {
  NormalizedOperator op;
  std::vector<int64_t> m;  // ascending
  std::string target;      // as the caller said
  TuningOptions options;
};

// One step of a tune. The last of an M bucket has a record.
struct TuneUpdate {
  int64_t m = 0;
  TuningProgress progress;
  double eta_ms = 0;  // until the whole tune is done, at most
  std::shared_ptr<const TuningRecord> record;
  bool cache_hit = false;
};

struct TuneListener {
  std::function<void(const TuneUpdate&)> update;
  std::function<void(const absl::Status&)> end;  // the last call
};

struct TuneSummary {
  std::string id;
  std::string op_text;
  TuneUpdate latest;
  int callers = 0;
};

// Tunes that ended, since the start.
struct TuneTotals {
  int64_t done = 0, failed = 0, cancelled = 0;
};

// What a tune found for one M bucket.
struct TuneWinner {
  absl::Time at;
  std::string op_text;
  int64_t m = 0;
  std::string candidate;
  double median_us = 0;  // 0: only ranked
};

// Thread-safe. Listeners are called from the tune's thread, or from Attach's for what already happened.
class TuneRegistry {
 public:
  TuneRegistry(Machines& machines, Executor& executor) : machines_(machines), executor_(executor) {}

  // The id of the running tune of this request, started if need be. ResourceExhausted if the queue is full, Unavailable
  // when draining. In the background, a request that failed a short while ago (1 min, then doubling up to 1 h) is not
  // started again but its failure returned.
  absl::StatusOr<std::string> Start(const TuneSpec& spec, bool background);
  // Hears everything from the beginning: finished buckets again, then what comes. The result detaches when called.
  // NotFound for a tune that never was or ended long ago.
  absl::StatusOr<std::function<void()>> Attach(const std::string& id, TuneListener listener);
  absl::Status Cancel(const std::string& id);
  std::vector<TuneSummary> Running() const;
  TuneTotals Totals() const;
  // The latest few, newest first; what was found in the cache is none.
  std::vector<TuneWinner> LastWinners() const;

  // Refuses new tunes.
  void Close();
  // Whether all tunes have ended by `deadline`, and their listeners have heard it.
  bool WaitIdle(absl::Time deadline);
  void CancelAll();

 private:
  struct Tune;
  void Run(const std::shared_ptr<Tune>& tune);
  absl::Status RunBuckets(Tune& tune);
  void Publish(Tune& tune, TuneUpdate update);
  // `ran`: a tune that was only turned away says nothing about its request.
  void End(const std::shared_ptr<Tune>& tune, const absl::Status& status, bool ran);

  struct Failure {
    absl::Status status;
    absl::Time until;
    absl::Duration pause;
  };

  Machines& machines_;
  Executor& executor_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::map<std::string, std::shared_ptr<Tune>> running_;  // by digest of the spec
  std::map<std::string, std::shared_ptr<Tune>> by_id_;    // and the last ones that ended
  std::deque<std::string> ended_;                         // ids, oldest first
  int telling_ = 0;                                       // tunes that ended and whose listeners are being told
  std::map<std::string, Failure> failures_;               // by digest
  TuneTotals totals_;
  std::deque<TuneWinner> winners_;  // newest first
  uint64_t sequence_ = 0;
  bool draining_ = false;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_TUNE_REGISTRY_H_
