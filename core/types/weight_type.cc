#include "core/types/weight_type.h"

#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

// mxfp8 alone means e4m3, which is what weights use.
constexpr NamedType kNamedTypes[] = {
    {"mxfp4", "fp4_e2m1", DataType::kE8M0, 32, false},      {"mxfp6_e3m2", "fp6_e3m2", DataType::kE8M0, 32, false},
    {"mxfp6_e2m3", "fp6_e2m3", DataType::kE8M0, 32, false}, {"mxfp8", "fp8_e4m3", DataType::kE8M0, 32, false},
    {"mxfp8_e4m3", "fp8_e4m3", DataType::kE8M0, 32, false}, {"mxfp8_e5m2", "fp8_e5m2", DataType::kE8M0, 32, false},
    {"nvfp4", "fp4_e2m1", DataType::kE4M3, 16, true},
};

}  // namespace

std::optional<NamedType> FindNamedType(absl::string_view name) {
  for (const NamedType& type : kNamedTypes) {
    if (type.name == name) return type;
  }
  return std::nullopt;
}

std::vector<NamedType> NamedTypes() { return {std::begin(kNamedTypes), std::end(kNamedTypes)}; }

absl::string_view Name(ZeroMode mode) {
  switch (mode) {
    case ZeroMode::kNone:
      return "none";
    case ZeroMode::kOriginal:
      return "original";
    case ZeroMode::kRescale:
      return "rescale";
    case ZeroMode::kQuantized:
      return "quantized";
  }
  return "?";
}

absl::StatusOr<ZeroMode> ParseZeroMode(absl::string_view name) {
  for (ZeroMode mode : {ZeroMode::kNone, ZeroMode::kOriginal, ZeroMode::kRescale, ZeroMode::kQuantized}) {
    if (name == Name(mode)) return mode;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown mode \"", name, "\"; known: none, original, rescale, quantized"));
}

double WeightValue(const WeightType& type, uint32_t code, double scale, double zero) {
  const double q = type.element.Decode(code);
  if (!type.has_scale) return q;
  switch (type.zeros) {
    case ZeroMode::kNone:
      return q * scale;
    case ZeroMode::kRescale:
      return q * scale - zero;
    case ZeroMode::kOriginal:
    case ZeroMode::kQuantized:
      return (q - zero) * scale;
  }
  return 0;
}

}  // namespace ladder
