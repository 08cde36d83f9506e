// Whether repeated tuning of one operator chooses kernels of the same speed.
#ifndef LADDER_TESTS_PERFORMANCE_SELECTION_REPEAT_H_
#define LADDER_TESTS_PERFORMANCE_SELECTION_REPEAT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"
#include "core/schedule/schedule.h"
#include "tests/performance/bench_compile.h"

namespace ladder {

struct RepeatedSelection {
  BenchProblem problem;
  std::map<std::string, int> chosen;  // candidate -> how often
  // Of each repeat: the chosen kernel's time over that of the best known, both from one last timing of everything that
  // ever reached a final.
  std::vector<double> ratios;
  double best_us = 0;       // of the best known
  double time_spread = 0;   // (slowest - fastest) / best_us of the times that the tunes themselves told
  double tune_seconds = 0;  // of all
};

// Tunes `repeats` times from nothing, as the service does; only compilations are remembered.
absl::StatusOr<RepeatedSelection> RepeatSelection(const ScheduleCatalog& catalog, Compiler& compiler, Device& device,
                                                  const BenchProblem& problem, int repeats);

// Of these, how many are at most `limit` times the best.
int Within(const std::vector<double>& ratios, double limit);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_SELECTION_REPEAT_H_
