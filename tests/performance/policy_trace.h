// What a wide search measured on one GPU: operators, and the time of every candidate tried. ladder-bench writes it, the
// replay of tests/schedules ranks it again without a GPU.
//
// A JSON file: {"gpu", "date", "schedules_digest", "target": Target::ToString(), "operators": [{"a", "w", "scale",
// "zeros", "group", "out", "bias", "n", "k", "m", "times": [["decode(rows=1,...)", microseconds], ...]}]}, an operator
// a line, times ascending.
#ifndef LADDER_TESTS_PERFORMANCE_POLICY_TRACE_H_
#define LADDER_TESTS_PERFORMANCE_POLICY_TRACE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/target/target.h"

namespace ladder {

struct TimedCandidate {
  Candidate candidate;
  double us = 0;
};

struct OperatorTrace {
  NormalizedOperator op;
  int64_t m = 1;
  std::vector<TimedCandidate> times;  // of the correct ones, fastest first
};

struct PolicyTrace {
  std::string gpu, date, schedules_digest;
  Target target;  // with the limits that the model predicted from
  std::vector<OperatorTrace> operators;
};

// One line, without a line break; a run keeps them in a file of such lines until its end.
std::string FormatOperator(const OperatorTrace& trace);
// InvalidArgument saying what is wrong.
absl::StatusOr<OperatorTrace> ParseOperator(const std::string& text);

std::string FormatTrace(const PolicyTrace& trace);
// InvalidArgument naming what is wrong.
absl::StatusOr<PolicyTrace> ParseTrace(const std::string& text);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_POLICY_TRACE_H_
