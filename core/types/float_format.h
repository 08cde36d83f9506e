// Floating-point formats of at most 8 bits, as data.
#ifndef LADDER_CORE_TYPES_FLOAT_FORMAT_H_
#define LADDER_CORE_TYPES_FLOAT_FORMAT_H_

#include <cstdint>

namespace ladder {

// What the codes of the largest exponent mean.
enum class FloatSpecials : uint8_t {
  kNone = 0,  // numbers, all of them (fp4 and fp6 of the OCP MX specification)
  kNan = 1,   // all ones is no number, the rest are (e4m3 of OCP's fp8)
  kIeee = 2,  // infinity and NaNs, as in IEEE 754 (e5m2)
};

// Sign (if there is one), exponent, mantissa, from the highest bit down. Exponent 0 is zero and the subnormals.
struct FloatFormat {
  int exponent_bits = 0;
  int mantissa_bits = 0;
  int bias = 0;
  FloatSpecials specials = FloatSpecials::kNone;
  bool has_sign = true;

  int bits() const { return exponent_bits + mantissa_bits + (has_sign ? 1 : 0); }
  // Value of a code, exact; NaN and infinities where the format has them. REQUIRES: code < 2^bits().
  double Decode(uint32_t code) const;
  friend bool operator==(const FloatFormat&, const FloatFormat&) = default;
};

// 1.4.3, bias 7, no infinities: largest 448.
inline constexpr FloatFormat kE4M3 = {4, 3, 7, FloatSpecials::kNan};
// 1.5.2, the upper half of fp16.
inline constexpr FloatFormat kE5M2 = {5, 2, 15, FloatSpecials::kIeee};
inline constexpr FloatFormat kE3M2 = {3, 2, 3};
inline constexpr FloatFormat kE2M3 = {2, 3, 1};
inline constexpr FloatFormat kE2M1 = {2, 1, 1};

// e4m3 to nearest even; beyond the largest number, 448 of its sign (NaN stays NaN).
uint8_t FloatToE4M3(float value);
float E4M3ToFloat(uint8_t bits);
// The same for e5m2, whose largest number is 57344; infinities become that too.
uint8_t FloatToE5M2(float value);

// e8m0, the scale of the MX formats: 2^(bits - 127); 255 is NaN; no sign and no zero. Conversion rounds the value to
// the nearest power of two (a tie, 1.5 times a power, up) and saturates at 2^-127 and 2^127; NaN and values below zero
// become NaN.
uint8_t FloatToE8M0(float value);
float E8M0ToFloat(uint8_t bits);

}  // namespace ladder

#endif  // LADDER_CORE_TYPES_FLOAT_FORMAT_H_
