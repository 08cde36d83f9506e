// Few cells in which every pair of values that is served together occurs.
#ifndef LADDER_TESTS_SCHEDULES_PAIR_COVER_H_
#define LADDER_TESTS_SCHEDULES_PAIR_COVER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/schedules/support_space.h"

namespace ladder {

// A set of pairs of values of different factors.
class PairSet {
 public:
  explicit PairSet(const SupportSpace& space);
  bool Has(int factor, int value, int other_factor, int other_value) const;
  // The pairs of a cell that the set lacks, of its first `factors` factors; of one of its factors with those before.
  int Lacks(const Cell& cell, int factors = kFactors) const;
  void Add(const Cell& cell);
  size_t size() const { return size_; }

 private:
  size_t At(int factor, int value, int other_factor, int other_value) const;
  std::array<size_t, kFactors + 1> first_;  // of each factor's values, numbered through
  std::vector<bool> has_;
  size_t size_ = 0;
};

// Pairs that are served together: some format of space.formats() is served with both values and otherwise the first
// value of each factor from kFormatFactors on. Every format is asked until one says yes. (A pair that is served only
// together with a third value is not in it; no schedule says so.)
PairSet ServedPairs(const SupportSpace& space);

// Cells, all served, that hold every pair of `wanted`. Greedy and always the same; stops at `most` cells. Among equals
// it takes first values, which are the cheaper ones to run.
std::vector<Cell> CoverPairs(const SupportSpace& space, const PairSet& wanted, size_t most = SIZE_MAX);

}  // namespace ladder

#endif  // LADDER_TESTS_SCHEDULES_PAIR_COVER_H_
