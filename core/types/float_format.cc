#include "core/types/float_format.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ladder {
namespace {

// `greatest`: the code of the largest number; `nan`: a NaN's.
uint8_t RoundToFloat8(const FloatFormat& format, uint32_t greatest, uint32_t nan, float value) {
  const uint32_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | nan);
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= format.Decode(greatest)) return static_cast<uint8_t>(sign | greatest);
  // In units of the spacing around the value; lrint rounds to nearest even, and a carry moves on to the next exponent.
  const int least = 1 - format.bias, bits = format.mantissa_bits;
  const int exponent = magnitude < std::ldexp(1.0, least) ? least : std::ilogb(magnitude);
  const auto units = static_cast<uint32_t>(std::lrint(std::ldexp(magnitude, bits - exponent)));
  return static_cast<uint8_t>(sign | std::min(units + (static_cast<uint32_t>(exponent - least) << bits), greatest));
}

}  // namespace

double FloatFormat::Decode(uint32_t code) const {
  const uint32_t mantissa_mask = (1u << mantissa_bits) - 1;
  const uint32_t exponent_mask = (1u << exponent_bits) - 1;
  const uint32_t mantissa = code & mantissa_mask;
  const uint32_t exponent = (code >> mantissa_bits) & exponent_mask;
  const double sign = has_sign && (code >> (bits() - 1)) != 0 ? -1.0 : 1.0;
  if (exponent == exponent_mask) {
    if (specials == FloatSpecials::kIeee) {
      return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    }
    if (specials == FloatSpecials::kNan && mantissa == mantissa_mask) return std::numeric_limits<double>::quiet_NaN();
  }
  const uint32_t significand = exponent == 0 ? mantissa : mantissa | (1u << mantissa_bits);
  const int power = static_cast<int>(std::max(exponent, 1u)) - bias - mantissa_bits;
  return sign * std::ldexp(static_cast<double>(significand), power);
}

uint8_t FloatToE4M3(float value) { return RoundToFloat8(kE4M3, 0x7e, 0x7f, value); }

uint8_t FloatToE5M2(float value) { return RoundToFloat8(kE5M2, 0x7b, 0x7e, value); }

float E4M3ToFloat(uint8_t bits) {
  return std::copysign(static_cast<float>(kE4M3.Decode(bits)), (bits & 0x80) != 0 ? -1.0f : 1.0f);  // a NaN's sign too
}

uint8_t FloatToE8M0(float value) {
  if (std::isnan(value) || value < 0) return 255;
  if (value < std::ldexp(1.0, -127)) return 0;
  if (value >= std::ldexp(1.0, 127)) return 254;
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(value), &exponent);  // in [1/2, 1)
  return static_cast<uint8_t>(std::clamp(exponent - 1 + (fraction >= 0.75 ? 1 : 0) + 127, 0, 254));
}

float E8M0ToFloat(uint8_t bits) {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(bits) - 127);  // 2^-127 is a subnormal, exact
}

}  // namespace ladder
