// What a catalog serves, as factors: every value that a field of an operator, M, an architecture or a schedule can
// have, taken from the code's own lists. A cell is one value of each; whether it is served is asked of the schedule.
#ifndef LADDER_TESTS_SCHEDULES_SUPPORT_SPACE_H_
#define LADDER_TESTS_SCHEDULES_SUPPORT_SPACE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/operator/operator.h"
#include "core/schedule/format_axes.h"
#include "core/schedule/schedule.h"
#include "core/target/target.h"

namespace ladder {

// The formats of the support matrix and where they are served come first, then what goes with any format.
enum Factor : uint8_t {
  kArchitecture,
  kSchedule,
  kWeight,
  kActivation,
  kScale,
  kTensorScale,
  kZeros,
  kGroup,
  kFormatFactors,
  kActivationScale = kFormatFactors,
  kOut,
  kBias,
  kAct,
  kOutputScale,
  kResidual,
  kRows,
  kN,
  kK,
  kFactors,
};

// "arch", "schedule", "w", ...
inline constexpr const char* kFactorNames[kFactors] = {
    "arch",         "schedule", "w", "a", "scale", "tensor_scale", "zeros", "group", "a_scale", "out", "bias", "act",
    "output_scale", "residual", "m", "n", "k"};

// The value of each factor, as an index of SupportSpace::values.
using Cell = std::array<uint8_t, kFactors>;

// The sizes that stand for all. N: what fills tiles, and what does not.
struct SupportSizes {
  std::vector<int64_t> rows;  // M; the first is one that every schedule serves
  std::vector<int64_t> n;     // the first is a multiple of 64
  // K by the group that must divide it (0: none does, the whole of K has one scale or there are none). Equally many for
  // every group; where a kind is of no use to a group, 0.
  std::function<std::vector<int64_t>(int64_t group)> k;
  std::vector<std::string> k_names;
};

class SupportSpace {
 public:
  // Keeps a reference to the catalog. Targets that nothing serves have no cells.
  SupportSpace(const ScheduleCatalog& catalog, std::vector<Target> targets, SupportSizes sizes);

  const std::vector<std::string>& values(int factor) const { return values_[factor]; }
  const Target& target(const Cell& cell) const { return targets_[cell[kArchitecture]]; }
  const Schedule& schedule(const Cell& cell) const { return *catalog_.schedules[cell[kSchedule]]; }
  int64_t rows(const Cell& cell) const { return sizes_.rows[cell[kRows]]; }
  // What Normalize makes of the cell's descriptor; InvalidArgument too where a value means nothing (a group without
  // scales, a K that has none of its kind).
  absl::StatusOr<NormalizedOperator> Operator(const Cell& cell) const;
  bool Served(const Cell& cell) const;
  // "sm_80 decode w=int4 a=fp16 ..."
  std::string Text(const Cell& cell) const;

  // Every cell that is served with the first value of each factor from kFormatFactors on, in order. Those with equal
  // operators (all but the first two factors) lie together.
  const std::vector<Cell>& formats() const { return formats_; }

 private:
  const ScheduleCatalog& catalog_;
  std::vector<Target> targets_;
  SupportSizes sizes_;
  std::vector<WeightCase> weights_;
  std::vector<int64_t> groups_;
  std::array<std::vector<std::string>, kFactors> values_;
  std::vector<Cell> formats_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SCHEDULES_SUPPORT_SPACE_H_
