// Weight elements as data: what each code is worth. Nothing below the type system knows a format by name; kernels are
// generated from these fields.
#ifndef LADDER_CORE_TYPES_ELEMENT_TYPE_H_
#define LADDER_CORE_TYPES_ELEMENT_TYPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/types/data_type.h"
#include "core/types/float_format.h"

namespace ladder {

enum class ElementKind : uint8_t {
  kSigned = 1,    // two's complement at the interface, offset binary when packed; int1 is {-1, +1}: 2 * code - 1
  kUnsigned = 2,  // 0 .. 2^bits - 1
  kTable = 3,     // 2^bits values
  kPlain = 4,     // fp16 or bf16, not packed
  kFloat = 5,     // a FloatFormat
};

struct ElementType {
  std::string name;  // of a built-in: "int4", "nf4", "fp16"; "table4" and the like for those that users define
  ElementKind kind = ElementKind::kSigned;
  int bits = 0;
  std::vector<float> table = {};    // kTable only: value of each code
  DataType plain = DataType::kF16;  // kPlain only
  FloatFormat format = {};          // kFloat only

  // Value of a code as the interface has it (two's complement for kSigned; raw bits for kPlain). REQUIRES: code <
  // 2^bits.
  double Decode(uint32_t code) const;
  bool quantized() const { return kind != ElementKind::kPlain; }
  // One value for each code, in order: exact as fp32 for every element. REQUIRES: quantized().
  std::vector<float> Values() const;
  // Decoded by looking its value up.
  bool tabular() const { return kind == ElementKind::kTable || kind == ElementKind::kFloat; }
  // `type` holds every value: decoding to it does not round.
  bool ExactIn(DataType type) const;
  // What a key is made of: the name, and for elements whose name says nothing about their values (tables, floats) a
  // digest of those. A name alone never decides.
  std::string CanonicalName() const;
  // Bit for bit, so that NaNs of a table equal themselves.
  friend bool operator==(const ElementType& a, const ElementType& b);
};

// The built-in elements by name: int1 to int8, uint1 to uint8, fp8_e4m3, fp8_e5m2, fp6_e3m2, fp6_e2m3, fp4_e2m1, nf4,
// fp16, bf16. InvalidArgument naming the known ones otherwise.
absl::StatusOr<ElementType> ParseElementType(absl::string_view name);
std::vector<std::string> BuiltInElementNames();

// A floating-point layout as a user describes it.
struct FloatLayout {
  int64_t exponent_bits = 0;
  int64_t mantissa_bits = 0;
  std::optional<int64_t> bias;  // default: 2^(exponent_bits - 1) - 1
  std::string specials;         // "none" (the default), "nan", "ieee": see FloatSpecials
  bool is_unsigned = false;
  friend bool operator==(const FloatLayout&, const FloatLayout&) = default;
};

// An element as a user describes it, unchecked: a table, or a layout.
struct ElementDefinition {
  int64_t bits = 0;          // 1 to 8; may be 0 (unsaid) with a layout
  std::vector<float> table;  // 2^bits values by code
  std::optional<FloatLayout> layout;
  friend bool operator==(const ElementDefinition&, const ElementDefinition&) = default;
};

// The element that a definition means. Definitions of equal values give equal elements, whatever they are written as,
// and one that equals a built-in gives the built-in; -0 in a table counts as 0. InvalidArgument, its message starting
// with the field to blame: "table: 15 values, and 4 bits have 16 codes".
absl::StatusOr<ElementType> Define(const ElementDefinition& definition);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_ELEMENT_TYPE_H_
