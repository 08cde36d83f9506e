#include "tests/emulator/arithmetic.h"

#include <bit>
#include <cmath>
#include <vector>

namespace ladder::emulator {
namespace {

struct Format {
  int precision;  // significand bits, the hidden one included
  int least;      // exponent of the smallest subnormal
  uint16_t infinity;
};
constexpr Format kFormats[2] = {{11, -24, 0x7c00}, {8, -133, 0x7f80}};

float HalfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float value = exponent == 31  ? (mantissa ? std::nanf("") : INFINITY)
                : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
  return bits & 0x8000 ? -value : value;
}

std::vector<float> MakeHalfTable() {
  std::vector<float> table(65536);
  for (int i = 0; i < 65536; ++i) table[i] = HalfValue(static_cast<uint16_t>(i));
  return table;
}

// p + c with p a product of two 16-bit numbers: the sum rounded to odd. A product of fp16 numbers reaches down to 2^-48
// and a sum up to 2^16, more than the 53 bits of a double; rounded to nearest twice, a value just beside a midpoint of
// the narrow type would tie. Rounded to odd at 53 bits (>= 11 + 2) first, the second rounding sees on which side it
// lies.
double SumToOdd(double p, double c) {
  const double sum = p + c;
  if (!std::isfinite(sum) || sum == 0) return sum;
  const double c_part = sum - p;
  const double error = (p - (sum - c_part)) + (c - c_part);  // exact (Knuth's two-sum)
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (error == 0 || (bits & 1)) return sum;
  bits += (error > 0) == (sum > 0) ? 1 : -1;
  return std::bit_cast<double>(bits);
}

}  // namespace

float ToFloat(int type, uint16_t bits) {
  if (type == kTypeBF16) return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  static const std::vector<float>& table = *new std::vector<float>(MakeHalfTable());
  return table[bits];
}

float ByteToFloat(int type, uint8_t bits) {
  if (type == kTypeI8) return static_cast<int8_t>(bits);
  if (type == kTypeU8) return bits;
  if (type == kTypeE5M2) return ToFloat(kTypeF16, static_cast<uint16_t>(bits << 8));  // fp16's upper half
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float magnitude = (bits & 0x7f) == 0x7f ? std::nanf("")
                          : exponent == 0       ? std::ldexp(static_cast<float>(mantissa), -9)
                                                : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return bits & 0x80 ? -magnitude : magnitude;
}

uint16_t RoundToType(int type, double value) {
  const Format& f = kFormats[type];
  if (std::isnan(value)) return 0x7fff;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | f.infinity;
  if (magnitude == 0) return sign;
  const int unit =
      std::max(std::ilogb(magnitude) - (f.precision - 1), f.least);  // exponent of one unit in the last place
  if (unit - f.least > 512) return sign | f.infinity;
  const int64_t units = static_cast<int64_t>(std::nearbyint(std::ldexp(magnitude, -unit)));
  // The hidden bit of `units` raises the exponent field by one, and so does a carry out of it.
  const int64_t bits = (static_cast<int64_t>(unit - f.least) << (f.precision - 1)) + units;
  return sign | static_cast<uint16_t>(std::min<int64_t>(bits, f.infinity));
}

uint32_t Fma2(int type, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int h = 0; h < 32; h += 16) {
    const double product = static_cast<double>(ToFloat(type, a >> h & 0xffff)) * ToFloat(type, b >> h & 0xffff);
    result |= static_cast<uint32_t>(RoundToType(type, SumToOdd(product, ToFloat(type, c >> h & 0xffff)))) << h;
  }
  return result;
}

uint32_t Sub2(int type, uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (int h = 0; h < 32; h += 16) {
    const double sum = SumToOdd(ToFloat(type, a >> h & 0xffff), -static_cast<double>(ToFloat(type, b >> h & 0xffff)));
    result |= static_cast<uint32_t>(RoundToType(type, sum)) << h;
  }
  return result;
}

}  // namespace ladder::emulator
