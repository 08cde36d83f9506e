#include "core/schedule/format_axes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/types/weight_type.h"

namespace ladder {
namespace {

// Uneven steps of both signs, so that it equals no built-in; the numbers fit every 16-bit type.
ElementDefinition SomeTable(int bits) {
  ElementDefinition table = {.bits = bits};
  for (int code = 0; code < 1 << bits; code++) {
    table.table.push_back((code % 2 == 0 ? 1.0f : -1.0f) * static_cast<float>(code + 3) / 4);
  }
  return table;
}

}  // namespace

std::vector<WeightCase> WeightCases() {
  std::vector<WeightCase> cases;
  std::vector<WeightCase> plain;
  int most_bits = 0;
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    if (element.quantized()) {
      most_bits = std::max(most_bits, element.bits);
      cases.push_back({.name = name, .w = name});
    } else {
      plain.push_back({.name = name, .w = name, .plain = true});
    }
  }
  for (int bits = 1; bits <= most_bits; bits++) {
    const std::string name = absl::StrCat("table", bits);
    cases.push_back({.name = name, .w = name, .element = SomeTable(bits)});
  }
  for (const NamedType& type : NamedTypes()) {
    cases.push_back({.name = std::string(type.name), .w = std::string(type.name), .named = true});
  }
  for (WeightCase& weight : plain) cases.push_back(std::move(weight));
  return cases;
}

std::vector<std::string> ScaleNames() {
  std::vector<std::string> names;
  for (const DataType type : {DataType::kF16, DataType::kBF16, DataType::kF32, DataType::kE4M3, DataType::kE8M0}) {
    names.emplace_back(Name(type));
  }
  names.emplace_back("none");
  return names;
}

std::vector<std::string> ZeroModeNames() {
  std::vector<std::string> names;
  for (const ZeroMode mode : {ZeroMode::kNone, ZeroMode::kOriginal, ZeroMode::kRescale, ZeroMode::kQuantized}) {
    names.emplace_back(Name(mode));
  }
  return names;
}

std::vector<int64_t> GroupSizes() { return {16, 32, 64, 128, 256, -1}; }

std::vector<OperatorDescriptor> FormatCells(const WeightCase& weight, const std::string& activation, int64_t n,
                                            int64_t k) {
  OperatorDescriptor d;
  d.a = activation;
  d.w = weight.w;
  d.element = weight.element;
  d.n = n;
  d.k = k;
  if (weight.plain || weight.named) return {d};
  std::vector<OperatorDescriptor> cells;
  for (const std::string& scale : ScaleNames()) {
    d.scale = scale;
    for (const bool tensor_scale : {false, true}) {
      d.tensor_scale = tensor_scale;
      d.zeros = "none";
      d.group.reset();
      if (scale == "none") {
        cells.push_back(d);
        continue;
      }
      for (const std::string& zeros : ZeroModeNames()) {
        d.zeros = zeros;
        for (const int64_t group : GroupSizes()) {
          d.group = group;
          cells.push_back(d);
        }
      }
    }
  }
  return cells;
}

}  // namespace ladder
