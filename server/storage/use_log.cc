#include "server/storage/use_log.h"

#include <algorithm>
#include <chrono>

namespace ladder {

void UseLog::StartAfter(int64_t floor) { last_ = std::max(last_.load(), floor); }

int64_t UseLog::Now() {
  using std::chrono::duration_cast, std::chrono::microseconds, std::chrono::system_clock;
  const int64_t clock = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
  int64_t last = last_.load(std::memory_order_relaxed);
  while (!last_.compare_exchange_weak(last, std::max(clock, last + 1), std::memory_order_relaxed)) {
  }
  return std::max(clock, last + 1);
}

void UseLog::Touch(const std::string& sha256) {
  const int64_t now = Now();
  const std::lock_guard lock(mutex_);
  used_[sha256] = now;
}

std::vector<std::pair<std::string, int64_t>> UseLog::Take(size_t limit) {
  std::vector<std::pair<std::string, int64_t>> taken;
  const std::lock_guard lock(mutex_);
  while (!used_.empty() && taken.size() < limit) {
    taken.emplace_back(used_.begin()->first, used_.begin()->second);
    used_.erase(used_.begin());
  }
  return taken;
}

}  // namespace ladder
