#include "tests/schedules/pair_cover.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace ladder {
namespace {

bool SameOperator(const Cell& a, const Cell& b) {
  return std::equal(a.begin() + kWeight, a.end(), b.begin() + kWeight);
}

// SupportSpace::Served for cells that come in order: an operator is normalized once for all that serve it.
class ServedInOrder {
 public:
  explicit ServedInOrder(const SupportSpace& space) : space_(space) {}
  bool operator()(const Cell& cell) {
    if (!last_.has_value() || !SameOperator(*last_, cell)) op_ = space_.Operator(cell);
    last_ = cell;
    return op_.ok() && space_.schedule(cell).Supports(*op_, space_.rows(cell), space_.target(cell)).ok();
  }

 private:
  const SupportSpace& space_;
  std::optional<Cell> last_;
  absl::StatusOr<NormalizedOperator> op_;
};

struct Value {
  int factor = 0;
  uint8_t value = 0;
};
using Values = std::vector<Value>;

bool Holds(const Cell& cell, const Values& values) {
  return std::ranges::all_of(values, [&](const Value& v) { return cell[v.factor] == v.value; });
}

// The cell with those of the values that are of no format.
Cell With(Cell cell, const Values& values) {
  for (const Value& v : values) {
    if (v.factor >= kFormatFactors) cell[v.factor] = v.value;
  }
  return cell;
}

// A served cell with the values, with as many pairs that `covered` lacks as a greedy choice finds: first the format,
// then one factor after the other.
Cell BestWith(const SupportSpace& space, const PairSet& covered, const Values& values) {
  std::vector<std::pair<int, const Cell*>> formats;  // pairs it lacks, negative
  for (const Cell& format : space.formats()) {
    const Cell cell = With(format, values);
    if (Holds(cell, values)) formats.emplace_back(-covered.Lacks(cell, kFormatFactors), &format);
  }
  std::ranges::stable_sort(formats, {}, &std::pair<int, const Cell*>::first);
  const auto found =
      std::ranges::find_if(formats, [&](const auto& format) { return space.Served(With(*format.second, values)); });
  Cell best = With(*found->second, values);
  for (int factor = kFormatFactors; factor < kFactors; factor++) {
    if (std::ranges::count(values, factor, &Value::factor) != 0) continue;
    Cell chosen = best;
    for (size_t value = 0; value < space.values(factor).size(); value++) {
      Cell cell = best;
      cell[factor] = static_cast<uint8_t>(value);
      if (covered.Lacks(cell) > covered.Lacks(chosen) && space.Served(cell)) chosen = cell;
    }
    best = chosen;
  }
  return best;
}

}  // namespace

PairSet::PairSet(const SupportSpace& space) {
  first_[0] = 0;
  for (int factor = 0; factor < kFactors; factor++) first_[factor + 1] = first_[factor] + space.values(factor).size();
  has_.resize(first_[kFactors] * first_[kFactors]);
}

size_t PairSet::At(int factor, int value, int other_factor, int other_value) const {
  const size_t a = first_[factor] + value, b = first_[other_factor] + other_value;
  return std::min(a, b) * first_[kFactors] + std::max(a, b);
}

bool PairSet::Has(int factor, int value, int other_factor, int other_value) const {
  return has_[At(factor, value, other_factor, other_value)];
}

int PairSet::Lacks(const Cell& cell, int factors) const {
  int count = 0;
  for (int a = 0; a < factors; a++) {
    for (int b = a + 1; b < factors; b++) count += !Has(a, cell[a], b, cell[b]);
  }
  return count;
}

void PairSet::Add(const Cell& cell) {
  for (int a = 0; a < kFactors; a++) {
    for (int b = a + 1; b < kFactors; b++) {
      const size_t at = At(a, cell[a], b, cell[b]);
      size_ += !has_[at];
      has_[at] = true;
    }
  }
}

PairSet ServedPairs(const SupportSpace& space) {
  PairSet pairs(space);
  for (const Cell& format : space.formats()) pairs.Add(format);
  // Values that no format has by itself.
  std::vector<Value> others;
  for (int factor = kFormatFactors; factor < kFactors; factor++) {
    for (size_t value = 1; value < space.values(factor).size(); value++) {
      others.push_back({factor, static_cast<uint8_t>(value)});
    }
  }
  ServedInOrder served(space);
  std::vector<Value> alone;  // those of them that are served at all
  for (const Value& other : others) {
    const size_t before = pairs.size();
    for (const Cell& format : space.formats()) {
      const Cell cell = With(format, {other});
      if (pairs.Lacks(cell) > 0 && served(cell)) pairs.Add(cell);
    }
    if (pairs.size() > before) alone.push_back(other);
  }
  for (const Value& a : alone) {
    for (const Value& b : alone) {
      if (a.factor >= b.factor) continue;
      for (const Cell& format : space.formats()) {
        if (pairs.Has(a.factor, a.value, b.factor, b.value)) break;
        const Cell cell = With(format, {a, b});
        if (served(cell)) pairs.Add(cell);
      }
    }
  }
  return pairs;
}

std::vector<Cell> CoverPairs(const SupportSpace& space, const PairSet& wanted, size_t most) {
  std::vector<Value> values;
  for (int factor = 0; factor < kFactors; factor++) {
    for (size_t value = 0; value < space.values(factor).size(); value++) {
      values.push_back({factor, static_cast<uint8_t>(value)});
    }
  }
  // Those of single values, which are a value twice, come before those of two.
  std::vector<std::pair<Value, Value>> singles, pairs;
  for (size_t i = 0; i < values.size(); i++) {
    bool served = false;
    for (size_t j = 0; j < values.size(); j++) {
      const Value& a = values[i];
      const Value& b = values[j];
      if (a.factor == b.factor || !wanted.Has(a.factor, a.value, b.factor, b.value)) continue;
      served = true;
      if (i < j) pairs.emplace_back(a, b);
    }
    if (served) singles.emplace_back(values[i], values[i]);
  }
  // Any order serves for all pairs; where cells shall be few, one without a bias brings more pairs.
  std::mt19937 random(1);
  for (size_t i = pairs.size(); i > 1; i--) std::swap(pairs[i - 1], pairs[random() % i]);
  pairs.insert(pairs.begin(), singles.begin(), singles.end());

  std::vector<Cell> cells;
  PairSet covered(space);
  for (const auto& [a, b] : pairs) {
    if (cells.size() >= most) break;
    const Values both = {a, b};
    if (std::ranges::any_of(cells, [&](const Cell& cell) { return Holds(cell, both); })) continue;
    cells.push_back(BestWith(space, covered, both));
    covered.Add(cells.back());
  }
  return cells;
}

}  // namespace ladder
