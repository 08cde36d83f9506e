#include "tests/performance/watchdog.h"

#include <thread>
#include <utility>

#include "absl/time/clock.h"

namespace ladder {

Watchdog::Watchdog(absl::Duration limit, std::function<void(const std::string& what)> expired)
    : limit_(limit), expired_(std::move(expired)) {
  // Lives as long as the process: it ends only by ending that.
  std::thread([this] { Run(); }).detach();
}

void Watchdog::Watch(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  since_ = absl::Now();
}

void Watchdog::Run() {
  for (;;) {
    absl::SleepFor(absl::Milliseconds(50));
    std::string what;
    {
      const std::lock_guard lock(mutex_);
      if (!what_.empty() && absl::Now() - since_ > limit_) what = what_;
    }
    if (what.empty()) continue;
    expired_(what);
    return;
  }
}

}  // namespace ladder
