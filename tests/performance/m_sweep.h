// The time of an operator at every M, with the kernel that a client would launch there.
#ifndef LADDER_TESTS_PERFORMANCE_M_SWEEP_H_
#define LADDER_TESTS_PERFORMANCE_M_SWEEP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"
#include "core/operator/operator.h"
#include "core/schedule/schedule.h"

namespace ladder {

struct SweepPoint {
  int64_t m = 1;
  double us = 0;
  std::string candidate;
};

struct MSweep {
  std::vector<SweepPoint> points;  // by ascending m
  double tune_seconds = 0;         // of all buckets
};

// Where fewer rows take longest against more of them: time(m) / time(larger_m), the greatest of all pairs.
struct Cliff {
  double ratio = 0;  // 0: there is one M only
  int64_t m = 0, larger_m = 0;
};
Cliff WorstCliff(const std::vector<SweepPoint>& points);

// Tunes the buckets that serve `ms` from nothing, as the service does, then verifies and times the kernel of each of
// `ms` at that M. REQUIRES: ms ascending, not empty.
absl::StatusOr<MSweep> SweepM(const ScheduleCatalog& catalog, Compiler& compiler, Device& device,
                              const NormalizedOperator& op, const std::vector<int64_t>& ms);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_M_SWEEP_H_
