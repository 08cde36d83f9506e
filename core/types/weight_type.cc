#include "core/types/weight_type.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ladder {
namespace {

// Quantiles of a normal distribution with an exact zero: "QLoRA", Dettmers et al. 2023, appendix E.
const std::vector<float>& Nf4Table() {
  static const std::vector<float> table = {-1.0f,       -0.6961928f, -0.5250731f, -0.3949175f, -0.2844414f, -0.1847734f,
                                           -0.0910500f, 0.0f,        0.0795803f,  0.1609302f,  0.2461123f,  0.3379152f,
                                           0.4407098f,  0.5626170f,  0.7229568f,  1.0f};
  return table;
}

std::vector<ElementType> MakeBuiltIns() {
  return {
      {.name = "int4", .kind = ElementKind::kSigned, .bits = 4, .table = {}},
      {.name = "uint4", .kind = ElementKind::kUnsigned, .bits = 4, .table = {}},
      {.name = "nf4", .kind = ElementKind::kTable, .bits = 4, .table = Nf4Table()},
      {.name = "fp16", .kind = ElementKind::kPlain, .bits = 16, .table = {}, .plain = DataType::kF16},
      {.name = "bf16", .kind = ElementKind::kPlain, .bits = 16, .table = {}, .plain = DataType::kBF16},
  };
}

const std::vector<ElementType>& BuiltIns() {
  static const std::vector<ElementType> elements = MakeBuiltIns();
  return elements;
}

}  // namespace

double ElementType::Decode(uint32_t code) const {
  switch (kind) {
    case ElementKind::kUnsigned:
      return code;
    case ElementKind::kSigned:
      return code < (1u << (bits - 1)) ? code : static_cast<double>(code) - (1u << bits);
    case ElementKind::kTable:
      return table[code];
    case ElementKind::kPlain:
      return plain == DataType::kF16 ? HalfToFloat(static_cast<uint16_t>(code))
                                     : BFloat16ToFloat(static_cast<uint16_t>(code));
  }
  return 0;
}

std::vector<std::string> BuiltInElementNames() {
  std::vector<std::string> names;
  for (const ElementType& element : BuiltIns()) names.push_back(element.name);
  return names;
}

absl::StatusOr<ElementType> ParseElementType(absl::string_view name) {
  for (const ElementType& element : BuiltIns()) {
    if (element.name == name) return element;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown weight type \"", name, "\"; known: ", absl::StrJoin(BuiltInElementNames(), ", ")));
}

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
