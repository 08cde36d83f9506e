// Counts and durations of calls, by call and status code.
#ifndef LADDER_SERVER_MONITORING_CALL_METRICS_H_
#define LADDER_SERVER_MONITORING_CALL_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace prometheus {
class Counter;
class Histogram;
class Registry;
}  // namespace prometheus

namespace ladder {

// Thread-safe; counting takes no lock but the histogram's own.
class CallMetrics {
 public:
  // Of one call ("KernelCache/Lookup"). Lives as long as its CallMetrics.
  class Call {
   public:
    void Count(int code, absl::Duration duration);
    const std::string& name() const { return name_; }

   private:
    friend class CallMetrics;
    static constexpr size_t kCodes = 17;  // gRPC's, OK to UNAUTHENTICATED
    std::string name_;
    std::array<prometheus::Counter*, kCodes> by_code_{};
    prometheus::Histogram* seconds_ = nullptr;
  };

  // For the calls that roles.h lists; all their numbers exist, as zeros, from the beginning.
  explicit CallMetrics(prometheus::Registry& registry);
  CallMetrics(const CallMetrics&) = delete;
  CallMetrics& operator=(const CallMetrics&) = delete;

  // Null for calls that aren't ours, such as health's.
  Call* Find(absl::string_view name);

  struct Summary {
    std::string name;
    int64_t ok = 0, failed = 0;
    double mean_ms = 0;
  };
  // Of those that were called, in the order of names.
  std::vector<Summary> Summaries() const;

 private:
  std::map<std::string, std::unique_ptr<Call>, std::less<>> calls_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_MONITORING_CALL_METRICS_H_
