// Arithmetic types of activations, scales and outputs.
#ifndef LADDER_CORE_TYPES_DATA_TYPE_H_
#define LADDER_CORE_TYPES_DATA_TYPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

// Activations are fp16, bf16, fp8 or int8; sums and results fp32 or int32 too. e8m0, a power of two, holds scales only.
enum class DataType : uint8_t {
  kF16 = 1,
  kBF16 = 2,
  kF32 = 3,
  kE4M3 = 4,
  kE8M0 = 5,
  kE5M2 = 6,
  kI8 = 7,
  kI32 = 8,
};

// "fp16", "bf16", "fp32", "fp8_e4m3", "e8m0", "fp8_e5m2", "int8", "int32".
absl::string_view Name(DataType type);
// By name: what activations may be, results, scales. InvalidArgument listing the known names otherwise.
absl::StatusOr<DataType> ParseActivationType(absl::string_view name);
absl::StatusOr<DataType> ParseOutputType(absl::string_view name);
absl::StatusOr<DataType> ParseScaleType(absl::string_view name);
// What ParseOutputType knows.
std::vector<std::string> OutputTypeNames();
int64_t Bytes(DataType type);
// Unit roundoff of round-to-nearest: 2^-11 (fp16), 2^-8 (bf16), 2^-24 (fp32), 2^-4 (e4m3), 2^-3 (e5m2); e8m0: half its
// value; integers: 0, as sums of integers are exact.
double UnitRoundoff(DataType type);

// IEEE conversions, round to nearest even. `bits` in the low half-word.
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);
float BFloat16ToFloat(uint16_t bits);
uint16_t FloatToBFloat16(float value);
// One element of `type` at `data[index]` (int32 may be rounded), and its store (rounded to nearest even; all but fp16,
// bf16 and fp32 saturate, and integers take a NaN for 0).
float LoadElement(DataType type, const void* data, int64_t index);
// The same, exact for every type.
double LoadExact(DataType type, const void* data, int64_t index);
void StoreElement(DataType type, void* data, int64_t index, float value);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_DATA_TYPE_H_
