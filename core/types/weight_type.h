// Weight number formats as data: an element, a scale and a zero point. Nothing below the type system knows a format by
// name; kernels are generated from these fields.
#ifndef LADDER_CORE_TYPES_WEIGHT_TYPE_H_
#define LADDER_CORE_TYPES_WEIGHT_TYPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/types/data_type.h"

namespace ladder {

enum class ElementKind : uint8_t {
  kSigned = 1,    // two's complement at the interface, offset binary when packed
  kUnsigned = 2,  // 0 .. 2^bits - 1
  kTable = 3,     // 2^bits values
  kPlain = 4,     // fp16 or bf16, not packed
};

struct ElementType {
  std::string name;  // as the user says it: "int4", "nf4", "fp16"
  ElementKind kind = ElementKind::kSigned;
  int bits = 0;
  std::vector<float> table;         // kTable only: value of each code
  DataType plain = DataType::kF16;  // kPlain only

  // Value of a code as the interface has it (two's complement for kSigned; raw bits for kPlain). REQUIRES: code <
  // 2^bits.
  double Decode(uint32_t code) const;
  bool quantized() const { return kind != ElementKind::kPlain; }
  friend bool operator==(const ElementType&, const ElementType&) = default;
};

// The built-in elements by name: int4, uint4, nf4, fp16, bf16. InvalidArgument naming the known ones otherwise.
absl::StatusOr<ElementType> ParseElementType(absl::string_view name);
std::vector<std::string> BuiltInElementNames();

enum class ZeroMode : uint8_t { kNone = 0, kOriginal = 1, kRescale = 2, kQuantized = 3 };
absl::string_view Name(ZeroMode mode);  // "none", "original", "rescale", "quantized"
absl::StatusOr<ZeroMode> ParseZeroMode(absl::string_view name);

// A weight matrix's number format. For plain elements has_scale is false and the rest is unused.
struct WeightType {
  ElementType element;
  bool has_scale = false;
  DataType scale = DataType::kF16;  // fp16 or bf16
  int64_t group = 0;                // consecutive k that share a scale and a zero; K for one per output channel
  ZeroMode zeros = ZeroMode::kNone;

  friend bool operator==(const WeightType&, const WeightType&) = default;
};

// Value of one weight from its code, scale and zero (zero: a number for original and rescale, the integer z for
// quantized).
double WeightValue(const WeightType& type, uint32_t code, double scale, double zero);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_WEIGHT_TYPE_H_
