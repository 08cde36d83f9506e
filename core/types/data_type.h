// Arithmetic types of activations, scales and outputs.
#ifndef LADDER_CORE_TYPES_DATA_TYPE_H_
#define LADDER_CORE_TYPES_DATA_TYPE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

// The last two hold scales only: fp8 e4m3, and e8m0, a power of two.
enum class DataType : uint8_t { kF16 = 1, kBF16 = 2, kF32 = 3, kE4M3 = 4, kE8M0 = 5 };

// "fp16", "bf16", "fp32", "fp8_e4m3", "e8m0".
absl::string_view Name(DataType type);
// fp16, bf16 or fp32 by name. InvalidArgument listing the known names otherwise.
absl::StatusOr<DataType> ParseDataType(absl::string_view name);
// Any of them.
absl::StatusOr<DataType> ParseScaleType(absl::string_view name);
int64_t Bytes(DataType type);
// Unit roundoff of round-to-nearest: 2^-11 (fp16), 2^-8 (bf16), 2^-24 (fp32), 2^-4 (e4m3); e8m0: half its value.
double UnitRoundoff(DataType type);

// IEEE conversions, round to nearest even. `bits` in the low half-word.
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);
float BFloat16ToFloat(uint16_t bits);
uint16_t FloatToBFloat16(float value);
// One element of `type` at `data[index]`, and its store (rounded to nearest even; e4m3 and e8m0 saturate).
float LoadElement(DataType type, const void* data, int64_t index);
void StoreElement(DataType type, void* data, int64_t index, float value);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_DATA_TYPE_H_
