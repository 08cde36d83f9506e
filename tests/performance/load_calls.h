// Calls against a service as fast as they go, with the times they took.
#ifndef LADDER_TESTS_PERFORMANCE_LOAD_CALLS_H_
#define LADDER_TESTS_PERFORMANCE_LOAD_CALLS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "ladder/tune/v1/service.grpc.pb.h"

namespace ladder {

struct CallTimes {
  double per_second = 0;
  double p50_ms = 0, p99_ms = 0;
  int64_t calls = 0, failed = 0;  // failed: an error, or a miss
};

// A small operator of n output channels at M = 1.
tune::v1::OperatorDescriptor LoadOperator(int64_t n);

// Look-ups of the operators in turn for `duration`, `outstanding` of them at any time.
CallTimes LookUp(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators, int outstanding,
                 absl::Duration duration);
// Batches of `size`, one at a time; `per_second` counts look-ups.
CallTimes LookUpInBatches(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators,
                          int size, absl::Duration duration);
// Whether every one of them was tuned.
bool TuneAll(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators);

struct SharedTune {
  int callers = 0, cancelled = 0, completed = 0;
  int64_t generations = 0;  // different ones among the results: one if there was one tune
};
// `callers` ask for the same tune at once; all but `staying` of them leave before it is done.
SharedTune TuneTogether(const std::shared_ptr<grpc::Channel>& channel, int64_t n, int callers, int staying);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_LOAD_CALLS_H_
