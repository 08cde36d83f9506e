#include "core/types/data_type.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/types/float_format.h"

namespace ladder {
namespace {

constexpr std::initializer_list<DataType> kOutputTypes = {DataType::kF16, DataType::kBF16, DataType::kF32,
                                                          DataType::kI32};

absl::StatusOr<DataType> ParseOneOf(std::initializer_list<DataType> types, absl::string_view name,
                                    absl::string_view others) {
  std::string known;
  for (const DataType type : types) {
    if (name == Name(type)) return type;
    absl::StrAppend(&known, known.empty() ? "" : ", ", Name(type));
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown type \"", name, "\"; known: ", known, others));
}

// Nearest integer of [low, high], ties to even; 0 for a NaN.
int64_t Saturate(float value, int64_t low, int64_t high) {
  if (std::isnan(value)) return 0;
  const double nearest = std::nearbyint(static_cast<double>(value));
  return static_cast<int64_t>(std::clamp(nearest, static_cast<double>(low), static_cast<double>(high)));
}

}  // namespace

absl::string_view Name(DataType type) {
  switch (type) {
    case DataType::kF16:
      return "fp16";
    case DataType::kBF16:
      return "bf16";
    case DataType::kF32:
      return "fp32";
    case DataType::kE4M3:
      return "fp8_e4m3";
    case DataType::kE8M0:
      return "e8m0";
    case DataType::kE5M2:
      return "fp8_e5m2";
    case DataType::kI8:
      return "int8";
    case DataType::kI32:
      return "int32";
  }
  return "?";
}

absl::StatusOr<DataType> ParseActivationType(absl::string_view name) {
  // fp32 is a type that an operator may ask for, and be told what is served instead.
  return ParseOneOf({DataType::kF16, DataType::kBF16, DataType::kF32, DataType::kE4M3, DataType::kE5M2, DataType::kI8},
                    name, "");
}

absl::StatusOr<DataType> ParseOutputType(absl::string_view name) { return ParseOneOf(kOutputTypes, name, ""); }

std::vector<std::string> OutputTypeNames() {
  std::vector<std::string> names;
  for (const DataType type : kOutputTypes) names.emplace_back(Name(type));
  return names;
}

absl::StatusOr<DataType> ParseScaleType(absl::string_view name) {
  return ParseOneOf({DataType::kF16, DataType::kBF16, DataType::kF32, DataType::kE4M3, DataType::kE8M0}, name,
                    ", none");
}

int64_t Bytes(DataType type) {
  switch (type) {
    case DataType::kF16:
    case DataType::kBF16:
      return 2;
    case DataType::kF32:
    case DataType::kI32:
      return 4;
    case DataType::kE4M3:
    case DataType::kE8M0:
    case DataType::kE5M2:
    case DataType::kI8:
      return 1;
  }
  return 0;
}

double UnitRoundoff(DataType type) {
  switch (type) {
    case DataType::kF16:
      return std::ldexp(1.0, -11);
    case DataType::kBF16:
      return std::ldexp(1.0, -8);
    case DataType::kF32:
      return std::ldexp(1.0, -24);
    case DataType::kE4M3:
      return std::ldexp(1.0, -4);
    case DataType::kE5M2:
      return std::ldexp(1.0, -3);
    case DataType::kE8M0:
      return 0.5;
    case DataType::kI8:
    case DataType::kI32:
      return 0;
  }
  return 0;
}

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(mantissa), -24);  // subnormal or zero, exact
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00);   // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to 2^16 or more
  if (magnitude < 0x38800000u) {
    // Below the smallest normal: the result counts units of 2^-24. The product is exact; lrint rounds to nearest even.
    return static_cast<uint16_t>(sign | std::lrint(std::bit_cast<float>(magnitude) * 16777216.0f));
  }
  // Rounding may carry into the exponent, which is what it should do.
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

float BFloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t FloatToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);  // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float LoadElement(DataType type, const void* data, int64_t index) {
  const char* at = static_cast<const char*>(data) + index * Bytes(type);
  switch (type) {
    case DataType::kF32: {
      float value;
      std::memcpy(&value, at, sizeof value);
      return value;
    }
    case DataType::kF16:
    case DataType::kBF16: {
      uint16_t bits;
      std::memcpy(&bits, at, sizeof bits);
      return type == DataType::kF16 ? HalfToFloat(bits) : BFloat16ToFloat(bits);
    }
    case DataType::kE4M3:
      return E4M3ToFloat(static_cast<uint8_t>(*at));
    case DataType::kE8M0:
      return E8M0ToFloat(static_cast<uint8_t>(*at));
    case DataType::kE5M2:
      return static_cast<float>(kE5M2.Decode(static_cast<uint8_t>(*at)));
    case DataType::kI8:
      return static_cast<int8_t>(*at);
    case DataType::kI32:
      return static_cast<float>(LoadExact(type, data, index));
  }
  return 0;
}

double LoadExact(DataType type, const void* data, int64_t index) {
  if (type != DataType::kI32) return LoadElement(type, data, index);
  int32_t value;
  std::memcpy(&value, static_cast<const char*>(data) + index * Bytes(type), sizeof value);
  return value;
}

void StoreElement(DataType type, void* data, int64_t index, float value) {
  char* at = static_cast<char*>(data) + index * Bytes(type);
  switch (type) {
    case DataType::kF32:
      std::memcpy(at, &value, sizeof value);
      return;
    case DataType::kF16:
    case DataType::kBF16: {
      const uint16_t bits = type == DataType::kF16 ? FloatToHalf(value) : FloatToBFloat16(value);
      std::memcpy(at, &bits, sizeof bits);
      return;
    }
    case DataType::kE4M3:
      *at = static_cast<char>(FloatToE4M3(value));
      return;
    case DataType::kE8M0:
      *at = static_cast<char>(FloatToE8M0(value));
      return;
    case DataType::kE5M2:
      *at = static_cast<char>(FloatToE5M2(value));
      return;
    case DataType::kI8:
      *at = static_cast<char>(Saturate(value, -128, 127));
      return;
    case DataType::kI32: {
      const auto bits = static_cast<int32_t>(
          Saturate(value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
      std::memcpy(at, &bits, sizeof bits);
      return;
    }
  }
}

}  // namespace ladder
