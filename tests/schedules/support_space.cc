#include "tests/schedules/support_space.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace ladder {
SupportSpace::SupportSpace(const ScheduleCatalog& catalog, std::vector<Target> targets, SupportSizes sizes)
    : catalog_(catalog), targets_(std::move(targets)), sizes_(std::move(sizes)), weights_(WeightCases()) {
  for (const Target& target : targets_) values_[kArchitecture].push_back(target.arch);
  for (const auto& schedule : catalog_.schedules) values_[kSchedule].emplace_back(schedule->name());
  for (const WeightCase& weight : weights_) values_[kWeight].push_back(weight.name);
  values_[kActivation] = ActivationNames();
  values_[kScale] = ScaleNames();
  values_[kZeros] = ZeroModeNames();
  groups_ = GroupSizes();
  groups_.push_back(0);
  for (const int64_t group : groups_) {
    values_[kGroup].push_back(group == -1 ? "channel" : group == 0 ? "none" : absl::StrCat(group));
  }
  values_[kActivationScale] = ActivationScaleNames();
  values_[kOut] = OutputTypeNames();
  values_[kAct] = ActivationFunctionNames();
  for (const Factor flag : {kTensorScale, kBias, kOutputScale, kResidual}) values_[flag] = {"0", "1"};
  for (const int64_t m : sizes_.rows) values_[kRows].push_back(absl::StrCat(m));
  for (const int64_t n : sizes_.n) values_[kN].push_back(absl::StrCat(n));
  values_[kK] = sizes_.k_names;

  Cell cell = {};
  const auto walk = [&](auto& self, int factor) -> void {
    if (factor < kFormatFactors) {
      for (size_t value = 0; value < values_[factor].size(); value++) {
        cell[factor] = static_cast<uint8_t>(value);
        self(self, factor + 1);
      }
      return;
    }
    const absl::StatusOr<NormalizedOperator> op = Operator(cell);
    if (!op.ok()) return;
    for (size_t at = 0; at < targets_.size(); at++) {
      for (size_t schedule = 0; schedule < catalog_.schedules.size(); schedule++) {
        if (!catalog_.schedules[schedule]->Supports(*op, sizes_.rows[0], targets_[at]).ok()) continue;
        formats_.push_back(cell);
        formats_.back()[kArchitecture] = static_cast<uint8_t>(at);
        formats_.back()[kSchedule] = static_cast<uint8_t>(schedule);
      }
    }
  };
  walk(walk, kWeight);
}

absl::StatusOr<NormalizedOperator> SupportSpace::Operator(const Cell& cell) const {
  const WeightCase& weight = weights_[cell[kWeight]];
  const auto name = [&](Factor factor) { return values_[factor][cell[factor]]; };
  const int64_t group = groups_[cell[kGroup]];
  OperatorDescriptor d;
  d.w = weight.w;
  d.element = weight.element;
  d.a = name(kActivation);
  // Plain weights have no scales even to deny; of a named type its own may be repeated.
  d.scale = weight.plain && name(kScale) == "none" ? "" : name(kScale);
  d.tensor_scale = cell[kTensorScale] != 0;
  d.zeros = name(kZeros);
  if (group != 0) d.group = group;
  // Unsaid where there are none, so that activations which have scales of their own keep them.
  d.a_scale = name(kActivationScale) == "none" ? "" : name(kActivationScale);
  d.out = name(kOut);
  d.bias = cell[kBias] != 0;
  d.act = name(kAct);
  d.output_scale = cell[kOutputScale] != 0;
  d.residual = cell[kResidual] != 0;
  d.n = sizes_.n[cell[kN]];
  d.k = sizes_.k(group > 0 ? group : 0)[cell[kK]];
  if ((group == 0) != (name(kScale) == "none")) return absl::InvalidArgumentError("group: goes with scales");
  if (d.k == 0) return absl::InvalidArgumentError("k: none of this kind");
  absl::StatusOr<NormalizedOperator> op = Normalize(d);
  if (op.ok() && op->weight().tensor_scale != d.tensor_scale) {
    return absl::InvalidArgumentError("tensor_scale: this type has one");
  }
  return op;
}

bool SupportSpace::Served(const Cell& cell) const {
  const absl::StatusOr<NormalizedOperator> op = Operator(cell);
  return op.ok() && schedule(cell).Supports(*op, rows(cell), target(cell)).ok();
}

std::string SupportSpace::Text(const Cell& cell) const {
  std::string text;
  for (int factor = 0; factor < kFactors; factor++) {
    absl::StrAppend(&text, factor == 0 ? "" : " ", kFactorNames[factor], "=", values_[factor][cell[factor]]);
  }
  return text;
}

}  // namespace ladder
