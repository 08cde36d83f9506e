// The operators that schedules are tested on, read from the .txt files beside this one.
#ifndef LADDER_TESTS_SCHEDULES_OPERATORS_H_
#define LADDER_TESTS_SCHEDULES_OPERATORS_H_

#include <string>
#include <vector>

#include "core/operator/operator.h"
#include "core/schedule/candidate.h"

namespace ladder {

// A line is "w zeros a scale out group bias n k", then what else the epilogue does: act=silu, output_scale, residual,
// a_scale=row, tensor_scale.
// Fails the test (and returns what could be read) if the file is missing or says something Normalize refuses.
std::vector<NormalizedOperator> ReadOperators(const std::string& file);

// Up to `count` candidates, each the one with most pairs of parameter values that `seen` lacks; they enter `seen`. Few
// candidates then show every value of every parameter, and most pairs.
struct PairCoverage {
  std::vector<std::string> seen;  // sorted
};
std::vector<Candidate> PickCandidates(const std::vector<Candidate>& all, size_t count, PairCoverage& coverage);

}  // namespace ladder

#endif  // LADDER_TESTS_SCHEDULES_OPERATORS_H_
