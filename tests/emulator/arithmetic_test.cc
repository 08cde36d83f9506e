#include "tests/emulator/arithmetic.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "core/types/data_type.h"

namespace ladder::emulator {
namespace {

TEST(ArithmeticTest, EveryNumberSurvives) {
  for (int bits = 0; bits < 65536; ++bits) {
    const uint16_t b = static_cast<uint16_t>(bits);
    const float half = ToFloat(kTypeF16, b), brain = ToFloat(kTypeBF16, b);
    if (std::isnan(half)) {
      EXPECT_EQ(RoundToType(kTypeF16, half), 0x7fff);
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(half), std::bit_cast<uint32_t>(HalfToFloat(b)));
      EXPECT_EQ(RoundToType(kTypeF16, half), b);
    }
    EXPECT_EQ(RoundToType(kTypeBF16, brain), std::isnan(brain) ? 0x7fff : b);
  }
}

TEST(ArithmeticTest, TiesGoToEven) {
  EXPECT_EQ(RoundToType(kTypeF16, 2049), 0x6800);  // 2048
  EXPECT_EQ(RoundToType(kTypeF16, 2051), 0x6802);  // 2052
  EXPECT_EQ(RoundToType(kTypeF16, std::ldexp(1.0, -25)), 0);
  EXPECT_EQ(RoundToType(kTypeF16, std::ldexp(1.5, -25)), 1);
  EXPECT_EQ(RoundToType(kTypeF16, 65519.99), 0x7bff);
  EXPECT_EQ(RoundToType(kTypeF16, 65520), 0x7c00);
  EXPECT_EQ(RoundToType(kTypeBF16, 257), 0x4380);  // 256
  EXPECT_EQ(RoundToType(kTypeBF16, -3.4e38 * 1.1), 0xff80);
}

// Rounded to a double and then to the type, the last addend would be lost and the tie go to even.
TEST(ArithmeticTest, AProductAtAMidpointIsDecidedByTheLeastAddend) {
  // 3 * (1 + 2^-7) = 3 + 3 * 2^-7 is the midpoint of 3 + 2^-6 and 3 + 2^-5.
  const uint16_t three = 0x4040, one_and = 0x3f81, least = 0x0001;
  const uint32_t exact = Fma2(kTypeBF16, three, one_and, 0) & 0xffff;
  EXPECT_EQ(exact, 0x4042);  // 3 + 2^-5: even
  // Minus 2^-133, far below the 53rd bit: now nearer to 3 + 2^-6.
  EXPECT_EQ(Fma2(kTypeBF16, three, one_and, least | 0x8000) & 0xffff, 0x4041u);
  EXPECT_EQ(Fma2(kTypeBF16, three, one_and, least) & 0xffff, 0x4042u);
}

TEST(ArithmeticTest, SubtractionCancelsExactly) {
  EXPECT_EQ(Sub2(kTypeF16, 0x640f6408, 0x64086408), 0x47000000u);   // 1039 - 1032 = 7, 1032 - 1032 = 0
  EXPECT_EQ(Sub2(kTypeBF16, 0x430f4300, 0x43084308), 0x40e0c100u);  // 143 - 136 = 7, 128 - 136 = -8
}

}  // namespace
}  // namespace ladder::emulator
