// Verifies and times the candidates of one problem on the GPU.
#ifndef LADDER_TESTS_PERFORMANCE_BENCH_MEASURE_H_
#define LADDER_TESTS_PERFORMANCE_BENCH_MEASURE_H_

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "core/backend/device.h"
#include "tests/performance/bench_compile.h"
#include "tests/performance/policy_trace.h"
#include "tests/performance/watchdog.h"

namespace ladder {

struct BenchOptions {
  ProfilePolicy policy;
  int finalists = 4;
  bool keep_rejected = false;  // also time candidates that spill
  uint64_t seed = 1;
  std::vector<std::string> yardsticks;  // "cublaslt_fp16", ...
};

struct BenchResult {
  BenchProblem problem;
  int tried = 0;
  int rejected = 0;
  double us = 0;  // of the best candidate; 0: none is correct
  double error = 0;
  std::string best;
  std::vector<TimedCandidate> times;           // of every correct candidate, fastest first
  std::map<std::string, double> yardstick_us;  // by name; absent where unavailable
  std::vector<std::string> lines;              // one per candidate, for --all
  double verify_ms = 0, profile_ms = 0;
};

class BenchMeasurer {
 public:
  BenchMeasurer(Device& device, BenchOptions options, Watchdog& watchdog)
      : device_(device), options_(std::move(options)), watchdog_(watchdog) {}

  // An error means that the GPU is lost; `culprit` is then the candidate that was running (or empty).
  absl::StatusOr<BenchResult> Measure(const BenchJob& job, std::string& culprit);

 private:
  absl::Status MeasureYardsticks(BenchResult& result);
  bool Lost(const absl::Status& status);

  Device& device_;
  const BenchOptions options_;
  Watchdog& watchdog_;
  // Yardsticks don't depend on the weight type.
  std::map<std::tuple<std::string, DataType, int64_t, int64_t, int64_t>, double> yardsticks_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_BENCH_MEASURE_H_
