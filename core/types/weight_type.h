// Weight number formats as data: an element, a scale and a zero point.
#ifndef LADDER_CORE_TYPES_WEIGHT_TYPE_H_
#define LADDER_CORE_TYPES_WEIGHT_TYPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/types/data_type.h"
#include "core/types/element_type.h"

namespace ladder {

enum class ZeroMode : uint8_t { kNone = 0, kOriginal = 1, kRescale = 2, kQuantized = 3 };
absl::string_view Name(ZeroMode mode);  // "none", "original", "rescale", "quantized"
absl::StatusOr<ZeroMode> ParseZeroMode(absl::string_view name);

// A weight matrix's number format. Without has_scale the group and the zeros are unused; plain elements have neither
// scales nor a tensor scale.
struct WeightType {
  ElementType element;
  bool has_scale = false;
  DataType scale = DataType::kF16;  // fp16, bf16, fp32, fp8_e4m3 or e8m0
  int64_t group = 0;                // consecutive k that share a scale and a zero; K for one per output channel
  ZeroMode zeros = ZeroMode::kNone;
  bool tensor_scale = false;  // one fp32 factor of the whole matrix, given at launch

  friend bool operator==(const WeightType&, const WeightType&) = default;
};

// A shorthand for an element with the scales it always has: the MX formats (a power of two per 32), nvfp4 (an fp8 scale
// per 16 and one of the tensor).
struct NamedType {
  absl::string_view name;
  absl::string_view element;
  DataType scale;
  int64_t group;
  bool tensor_scale;
};
// The named type of that name, if there is one; and all of them.
std::optional<NamedType> FindNamedType(absl::string_view name);
std::vector<NamedType> NamedTypes();

// Value of one weight from its code, scale and zero (zero: a number for original and rescale, the integer z for
// quantized). The tensor scale is not in it.
double WeightValue(const WeightType& type, uint32_t code, double scale, double zero);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_WEIGHT_TYPE_H_
