// When a GPU's worker died, and whether that is too often for the GPU to be left in service.
#ifndef LADDER_SERVER_WORKER_DEATH_LOG_H_
#define LADDER_SERVER_WORKER_DEATH_LOG_H_

#include <cstddef>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace ladder {

// Not thread-safe. `limit` deaths within `window` put the GPU out of service for another `window`; then the count
// starts anew, so that a driver that was repaired meanwhile needs no restart here.
class DeathLog {
 public:
  DeathLog(int limit, absl::Duration window) : limit_(static_cast<size_t>(limit)), window_(window) {}

  void Add(absl::Time now) {
    deaths_.push_back(now);
    ++total_;
    while (deaths_.front() <= now - window_) deaths_.pop_front();
    if (deaths_.size() < limit_) return;
    out_until_ = now + window_;
    deaths_.clear();
  }
  // Until when it is out of service; nothing if it isn't.
  std::optional<absl::Time> OutUntil(absl::Time now) const {
    return now < out_until_ ? std::optional(out_until_) : std::nullopt;
  }
  int64_t total() const { return total_; }

 private:
  const size_t limit_;
  const absl::Duration window_;
  std::deque<absl::Time> deaths_;  // within the window
  absl::Time out_until_ = absl::InfinitePast();
  int64_t total_ = 0;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_DEATH_LOG_H_
