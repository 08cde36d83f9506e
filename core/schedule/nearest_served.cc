#include "core/schedule/nearest_served.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/schedule/format_axes.h"

namespace ladder {
namespace {

// Another value of one field.
struct Change {
  int field = 0;  // no two changes of the same one
  double loss = 0;
  std::string text;  // "w=int4"
  std::function<void(OperatorDescriptor&)> apply;
};

enum Field : uint8_t { kScale, kGroup, kEpilogue, kTensorScale, kZeros, kActivation, kElement };

// Narrower loses more than wider; another kind more than any width.
double ElementLoss(const ElementType& from, const ElementType& to) {
  const double width = std::abs(from.bits - to.bits) + (to.bits < from.bits ? 0.5 : 0);
  return 10 + width + (from.kind == to.kind ? 0 : from.tabular() == to.tabular() ? 4 : 10);
}

std::vector<Change> Changes(const NormalizedOperator& op) {
  std::vector<Change> changes;
  const WeightType& weight = op.weight();
  double loss = 1;
  for (const std::string& scale : ScaleNames()) {  // in the order of preference
    if (scale == (weight.has_scale ? Name(weight.scale) : "none")) continue;
    changes.push_back({kScale, loss += 0.1, absl::StrCat("scale=", scale), [scale](OperatorDescriptor& d) {
                         d.scale = scale;
                         if (scale == "none") d.group.reset();
                       }});
  }
  for (const int64_t group : GroupSizes()) {
    const auto size = static_cast<double>(group == -1 ? op.k() : group);
    if (!weight.has_scale || size == static_cast<double>(weight.group)) continue;
    changes.push_back({kGroup, 2 + std::fabs(std::log2(size / static_cast<double>(weight.group))) / 10,
                       absl::StrCat("group=", group), [group](OperatorDescriptor& d) { d.group = group; }});
  }
  if (op.bias()) changes.push_back({kEpilogue, 3, "bias=0", [](OperatorDescriptor& d) { d.bias = false; }});
  if (op.act() != ActivationFunction::kNone) {
    changes.push_back({kEpilogue, 3.1, "act=none", [](OperatorDescriptor& d) { d.act.clear(); }});
    if (op.bias()) {
      changes.push_back({kEpilogue, 3.2, "bias=0 act=none", [](OperatorDescriptor& d) {
                           d.bias = false;
                           d.act.clear();
                         }});
    }
  }
  if (weight.tensor_scale) {
    changes.push_back({kTensorScale, 4, "tensor_scale=0", [](OperatorDescriptor& d) { d.tensor_scale = false; }});
  }
  for (const std::string& zeros : ZeroModeNames()) {
    if (zeros == Name(weight.zeros)) continue;
    changes.push_back({kZeros, 5, absl::StrCat("zeros=", zeros), [zeros](OperatorDescriptor& d) { d.zeros = zeros; }});
  }
  for (const std::string& a : ActivationNames()) {
    if (a == op.activation_name()) continue;
    changes.push_back({kActivation, 6, absl::StrCat("a=", a), [a](OperatorDescriptor& d) { d.a = a; }});
  }
  for (const std::string& w : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(w);
    if (element == weight.element || element.quantized() != weight.element.quantized()) continue;
    changes.push_back(
        {kElement, ElementLoss(weight.element, element), absl::StrCat("w=", w), [w](OperatorDescriptor& d) {
           d.w = w;
           d.element.reset();
         }});
  }
  std::ranges::stable_sort(changes, {}, &Change::loss);
  return changes;
}

// Sets of `count` changes of different fields, least loss first.
std::vector<std::vector<const Change*>> Sets(const std::vector<Change>& changes, int count) {
  std::vector<std::vector<const Change*>> sets = {{}};
  for (int i = 0; i < count; i++) {
    std::vector<std::vector<const Change*>> longer;
    for (const std::vector<const Change*>& set : sets) {
      for (const Change& change : changes) {
        if (!set.empty() && change.field <= set.back()->field) continue;
        longer.push_back(set);
        longer.back().push_back(&change);
      }
    }
    sets = std::move(longer);
  }
  const auto loss = [](const std::vector<const Change*>& set) {
    double sum = 0;
    for (const Change* change : set) sum += change->loss;
    return sum;
  };
  std::ranges::stable_sort(sets, {}, loss);
  return sets;
}

}  // namespace

bool IsServed(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m, const Target& target) {
  return std::ranges::any_of(catalog.schedules,
                             [&](const auto& schedule) { return schedule->Supports(op, m, target).ok(); });
}

std::optional<std::string> NearestServed(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m,
                                         const Target& target) {
  constexpr int kMostChanges = 3;
  const std::vector<Change> changes = Changes(op);
  for (int count = 1; count <= kMostChanges; count++) {
    for (const std::vector<const Change*>& set : Sets(changes, count)) {
      OperatorDescriptor d = op.ToDescriptor();
      for (const Change* change : set) change->apply(d);
      const absl::StatusOr<NormalizedOperator> other = Normalize(d);
      if (!other.ok() || !IsServed(catalog, *other, m, target)) continue;
      std::string text;
      for (const Change* change : set) absl::StrAppend(&text, text.empty() ? "" : " ", change->text);
      return text;
    }
  }
  return std::nullopt;
}

}  // namespace ladder
