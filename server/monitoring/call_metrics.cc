#include "server/monitoring/call_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>

#include "server/access/roles.h"

namespace ladder {
namespace {

// Names of the codes as gRPC writes them.
constexpr std::array<const char*, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// From a look-up out of memory to a tune of many buckets, in seconds.
const prometheus::Histogram::BucketBoundaries kBuckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                          0.05,   0.25,    1,      5,     30,     120,   600};

}  // namespace

void CallMetrics::Call::Count(int code, absl::Duration duration) {
  if (code < 0 || code >= static_cast<int>(kCodes)) code = 2;  // UNKNOWN
  by_code_[static_cast<size_t>(code)]->Increment();
  seconds_->Observe(absl::ToDoubleSeconds(duration));
}

CallMetrics::CallMetrics(prometheus::Registry& registry) {
  auto& counts = prometheus::BuildCounter()
                     .Name("ladder_calls_total")
                     .Help("Calls that ended, by call and status code")
                     .Register(registry);
  auto& seconds = prometheus::BuildHistogram()
                      .Name("ladder_call_seconds")
                      .Help("Time from a call's arrival to its status; for streams, all of it")
                      .Register(registry);
  for (const absl::string_view name : ListedCalls()) {
    auto call = std::make_unique<Call>();
    call->name_ = std::string(name);
    for (size_t code = 0; code < kCodeNames.size(); ++code) {
      call->by_code_[code] = &counts.Add({{"call", call->name_}, {"code", kCodeNames[code]}});
    }
    call->seconds_ = &seconds.Add({{"call", call->name_}}, kBuckets);
    calls_[call->name_] = std::move(call);
  }
}

CallMetrics::Call* CallMetrics::Find(absl::string_view name) {
  const auto found = calls_.find(std::string_view(name.data(), name.size()));
  return found == calls_.end() ? nullptr : found->second.get();
}

std::vector<CallMetrics::Summary> CallMetrics::Summaries() const {
  std::vector<Summary> summaries;
  for (const auto& [name, call] : calls_) {
    Summary summary{name};
    summary.ok = static_cast<int64_t>(call->by_code_[0]->Value());
    for (size_t code = 1; code < Call::kCodes; ++code) {
      summary.failed += static_cast<int64_t>(call->by_code_[code]->Value());
    }
    if (summary.ok + summary.failed == 0) continue;
    const auto histogram = call->seconds_->Collect().histogram;
    summary.mean_ms = 1e3 * histogram.sample_sum / std::max<double>(1, static_cast<double>(histogram.sample_count));
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

}  // namespace ladder
