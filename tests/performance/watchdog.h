// Notices a kernel that never returns: no call into the driver comes back then, so only another thread can act.
#ifndef LADDER_TESTS_PERFORMANCE_WATCHDOG_H_
#define LADDER_TESTS_PERFORMANCE_WATCHDOG_H_

#include <functional>
#include <mutex>
#include <string>

#include "absl/time/time.h"

namespace ladder {

class Watchdog {
 public:
  // Calls `expired(what)` from its own thread, at most once, when one step takes longer than `limit`.
  Watchdog(absl::Duration limit, std::function<void(const std::string& what)> expired);
  // From now on `what` runs; empty: nothing that could hang.
  void Watch(std::string what);

 private:
  void Run();
  const absl::Duration limit_;
  const std::function<void(const std::string&)> expired_;
  std::mutex mutex_;
  std::string what_;
  absl::Time since_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_WATCHDOG_H_
