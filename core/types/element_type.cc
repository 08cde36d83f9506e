#include "core/types/element_type.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/store/sha256.h"

namespace ladder {
namespace {

constexpr int kMaxBits = 8;
// Digits of the digest in a canonical name. A built-in's guards against a change of its values; a user's must also
// withstand another user who looks for one that collides.
constexpr size_t kBuiltInDigits = 16;
constexpr size_t kDefinedDigits = 32;

// Quantiles of a normal distribution with an exact zero: "QLoRA", Dettmers et al. 2023, appendix E.
const std::vector<float>& Nf4Table() {
  static const std::vector<float> table = {-1.0f,       -0.6961928f, -0.5250731f, -0.3949175f, -0.2844414f, -0.1847734f,
                                           -0.0910500f, 0.0f,        0.0795803f,  0.1609302f,  0.2461123f,  0.3379152f,
                                           0.4407098f,  0.5626170f,  0.7229568f,  1.0f};
  return table;
}

// Every built-in, in the order in which they are listed. Adding one is a line here.
std::vector<ElementType> MakeBuiltIns() {
  std::vector<ElementType> elements;
  for (int bits = 1; bits <= kMaxBits; bits++) {
    elements.push_back({.name = absl::StrCat("int", bits), .kind = ElementKind::kSigned, .bits = bits});
  }
  for (int bits = 1; bits <= kMaxBits; bits++) {
    elements.push_back({.name = absl::StrCat("uint", bits), .kind = ElementKind::kUnsigned, .bits = bits});
  }
  const auto small_float = [&](absl::string_view name, const FloatFormat& format) {
    elements.push_back(
        {.name = std::string(name), .kind = ElementKind::kFloat, .bits = format.bits(), .format = format});
  };
  small_float("fp8_e4m3", kE4M3);
  small_float("fp8_e5m2", kE5M2);
  small_float("fp6_e3m2", kE3M2);
  small_float("fp6_e2m3", kE2M3);
  small_float("fp4_e2m1", kE2M1);
  elements.push_back({.name = "nf4", .kind = ElementKind::kTable, .bits = 4, .table = Nf4Table()});
  elements.push_back({.name = "fp16", .kind = ElementKind::kPlain, .bits = 16, .plain = DataType::kF16});
  elements.push_back({.name = "bf16", .kind = ElementKind::kPlain, .bits = 16, .plain = DataType::kBF16});
  return elements;
}

const std::vector<ElementType>& BuiltIns() {
  static const std::vector<ElementType> elements = MakeBuiltIns();
  return elements;
}

absl::Status BadElement(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

// Zeros of either sign are equal, and so are all NaNs.
bool SameValues(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

absl::StatusOr<FloatFormat> CheckLayout(const FloatLayout& layout) {
  // A mantissa bit is not needed (e3m0 has none), an exponent is: without one the format is an integer's.
  if (layout.exponent_bits < 1 || layout.exponent_bits > kMaxBits) {
    return BadElement("float.exponent_bits", absl::StrCat(layout.exponent_bits, " is not in 1..", kMaxBits));
  }
  if (layout.mantissa_bits < 0 || layout.mantissa_bits >= kMaxBits) {
    return BadElement("float.mantissa_bits", absl::StrCat(layout.mantissa_bits, " is not in 0..", kMaxBits - 1));
  }
  FloatFormat format;
  format.exponent_bits = static_cast<int>(layout.exponent_bits);
  format.mantissa_bits = static_cast<int>(layout.mantissa_bits);
  format.has_sign = !layout.is_unsigned;
  if (format.bits() > kMaxBits) {
    return BadElement("float", absl::StrCat(format.bits(), " bits in all, and an element has at most ", kMaxBits));
  }
  const int64_t bias = layout.bias.value_or((int64_t{1} << (format.exponent_bits - 1)) - 1);
  if (bias < -256 || bias > 256) return BadElement("float.bias", absl::StrCat(bias, " is not in -256..256"));
  // 2^8 exponents then stay well inside fp32, so that every value is a normal number of it.
  const int64_t highest = (int64_t{1} << format.exponent_bits) - 1 - bias, lowest = 1 - bias - format.mantissa_bits;
  if (highest > 127 || lowest < -126) {
    return BadElement("float.bias", absl::StrCat(bias, " makes values of 2^", highest > 127 ? highest : lowest,
                                                 ", beyond fp32's normal numbers"));
  }
  format.bias = static_cast<int>(bias);
  if (layout.specials.empty() || layout.specials == "none") {
    format.specials = FloatSpecials::kNone;
  } else if (layout.specials == "nan") {
    format.specials = FloatSpecials::kNan;
  } else if (layout.specials == "ieee") {
    format.specials = FloatSpecials::kIeee;
  } else {
    return BadElement("float.specials", absl::StrCat("unknown kind \"", layout.specials, "\"; known: none, nan, ieee"));
  }
  return format;
}

}  // namespace

bool operator==(const ElementType& a, const ElementType& b) {
  const auto bits = [](float value) { return std::bit_cast<uint32_t>(value); };
  return a.name == b.name && a.kind == b.kind && a.bits == b.bits && a.plain == b.plain && a.format == b.format &&
         std::ranges::equal(a.table, b.table, {}, bits, bits);
}

double ElementType::Decode(uint32_t code) const {
  switch (kind) {
    case ElementKind::kUnsigned:
      return code;
    case ElementKind::kSigned:
      if (bits == 1) return code == 0 ? -1 : 1;
      return code < (1u << (bits - 1)) ? code : static_cast<double>(code) - (1u << bits);
    case ElementKind::kTable:
      return table[code];
    case ElementKind::kFloat:
      return format.Decode(code);
    case ElementKind::kPlain:
      return plain == DataType::kF16 ? HalfToFloat(static_cast<uint16_t>(code))
                                     : BFloat16ToFloat(static_cast<uint16_t>(code));
  }
  return 0;
}

std::vector<float> ElementType::Values() const {
  std::vector<float> values(size_t{1} << bits);
  for (uint32_t code = 0; code < values.size(); code++) values[code] = static_cast<float>(Decode(code));
  return values;
}

bool ElementType::ExactIn(DataType type) const {
  return std::ranges::all_of(Values(), [type](float value) {
    uint32_t bits = 0;
    StoreElement(type, &bits, 0, value);
    return std::isnan(value) || LoadElement(type, &bits, 0) == value;
  });
}

std::string ElementType::CanonicalName() const {
  if (!tabular()) return name;
  const std::vector<float> values = Values();
  std::string bytes(values.size() * sizeof(float), '\0');
  for (size_t i = 0; i < values.size(); i++) {
    StoreElement(DataType::kF32, bytes.data(), static_cast<int64_t>(i), values[i]);
  }
  const bool built_in = ParseElementType(name).ok();
  return absl::StrCat(name, "#", Sha256Hex(bytes).substr(0, built_in ? kBuiltInDigits : kDefinedDigits));
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

absl::StatusOr<ElementType> Define(const ElementDefinition& definition) {
  std::vector<float> values = definition.table;
  int64_t bits = definition.bits;
  if (definition.layout.has_value()) {
    if (!values.empty()) return BadElement("table", "given beside float: an element is one or the other");
    const absl::StatusOr<FloatFormat> format = CheckLayout(*definition.layout);
    if (!format.ok()) return format.status();
    if (bits != 0 && bits != format->bits()) {
      return BadElement("bits", absl::StrCat(bits, ", and float has ", format->bits(), " with its sign"));
    }
    bits = format->bits();
    values.resize(size_t{1} << bits);
    for (uint32_t code = 0; code < values.size(); code++) values[code] = static_cast<float>(format->Decode(code));
  } else {
    if (bits < 1 || bits > kMaxBits) return BadElement("bits", absl::StrCat(bits, " is not in 1..", kMaxBits));
    if (values.size() != size_t{1} << bits) {
      return BadElement("table",
                        absl::StrCat(values.size(), " values, and ", bits, " bits have ", 1 << bits, " codes"));
    }
  }
  for (const ElementType& element : BuiltIns()) {
    if (element.quantized() && element.bits == bits && SameValues(element.Values(), values)) return element;
  }
  for (float& value : values) {
    if (value == 0) value = 0;
    if (std::isnan(value)) value = std::numeric_limits<float>::quiet_NaN();
  }
  return ElementType{.name = absl::StrCat("table", bits),
                     .kind = ElementKind::kTable,
                     .bits = static_cast<int>(bits),
                     .table = std::move(values)};
}

}  // namespace ladder
