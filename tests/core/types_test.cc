#include <cmath>
#include <limits>
#include <utility>

#include "core/types/data_type.h"
#include "core/types/float_format.h"
#include "core/types/weight_type.h"
#include "gtest/gtest.h"

namespace ladder {
namespace {

TEST(DataType, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      ASSERT_EQ(FloatToHalf(value), half) << bits;
    }
    const float wide = BFloat16ToFloat(half);
    if (!std::isnan(wide)) {
      ASSERT_EQ(FloatToBFloat16(wide), half) << bits;
    }
  }
}

TEST(DataType, HalfRoundsToNearestEven) {
  EXPECT_EQ(FloatToHalf(2049.0f), FloatToHalf(2048.0f));  // a tie, to even
  EXPECT_EQ(FloatToHalf(2051.0f), FloatToHalf(2052.0f));
  EXPECT_EQ(FloatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(std::ldexp(1.0f, -25)), 0);  // a tie between 0 and the smallest subnormal
  EXPECT_EQ(FloatToHalf(std::ldexp(1.5f, -25)), 1);
  EXPECT_EQ(FloatToHalf(-0.0f), 0x8000);
}

// Against neighbours: the conversion picks the nearer of the two halves around a float, for values of every binade.
TEST(DataType, HalfPicksTheNearerNeighbour) {
  for (uint32_t bits = 0; bits < 0x7bff; bits++) {
    const double low = HalfToFloat(static_cast<uint16_t>(bits));
    const double high = HalfToFloat(static_cast<uint16_t>(bits + 1));
    EXPECT_EQ(FloatToHalf(static_cast<float>(low + 0.375 * (high - low))), bits);
    EXPECT_EQ(FloatToHalf(static_cast<float>(low + 0.625 * (high - low))), bits + 1);
    EXPECT_EQ(FloatToHalf(static_cast<float>(low + 0.5 * (high - low))), bits + (bits & 1));
  }
}

TEST(DataType, UnitRoundoffIsHalfTheSpacingAtOne) {
  EXPECT_EQ(UnitRoundoff(DataType::kF16), (HalfToFloat(0x3c01) - 1.0) / 2);
  EXPECT_EQ(UnitRoundoff(DataType::kBF16), (BFloat16ToFloat(0x3f81) - 1.0) / 2);
  EXPECT_EQ(UnitRoundoff(DataType::kF32), std::numeric_limits<float>::epsilon() / 2);
  EXPECT_EQ(UnitRoundoff(DataType::kE4M3), (kE4M3.Decode(0x39) - 1) / 2);
  EXPECT_EQ(UnitRoundoff(DataType::kE5M2), (kE5M2.Decode(0x3d) - 1) / 2);
}

TEST(DataType, NamesParse) {
  for (DataType type : {DataType::kF16, DataType::kBF16, DataType::kF32}) {
    EXPECT_EQ(*ParseActivationType(Name(type)), type);
    EXPECT_EQ(*ParseOutputType(Name(type)), type);
    EXPECT_EQ(*ParseScaleType(Name(type)), type);
  }
  for (DataType type : {DataType::kE4M3, DataType::kE5M2, DataType::kI8}) {
    EXPECT_EQ(*ParseActivationType(Name(type)), type);
    EXPECT_FALSE(ParseOutputType(Name(type)).ok());
    EXPECT_EQ(ParseScaleType(Name(type)).ok(), type == DataType::kE4M3);
  }
  EXPECT_EQ(*ParseOutputType("int32"), DataType::kI32);
  EXPECT_FALSE(ParseActivationType("int32").ok());
  EXPECT_FALSE(ParseActivationType("e8m0").ok());
  EXPECT_EQ(*ParseScaleType("e8m0"), DataType::kE8M0);
  for (const auto& parse : {ParseActivationType, ParseOutputType, ParseScaleType}) EXPECT_FALSE(parse("fp17").ok());
}

// Every fp8 code is what its value rounds to, and values between two neighbours go to the nearer, ties to the even one.
TEST(DataType, Fp8RoundsToNearestEven) {
  for (const auto& [type, greatest] : {std::pair{DataType::kE4M3, 0x7e}, {DataType::kE5M2, 0x7b}}) {
    const auto value = [type = type](int code) {
      const auto byte = static_cast<uint8_t>(code);
      return LoadElement(type, &byte, 0);
    };
    const auto round = [type = type](double v) {
      uint8_t byte = 0;
      StoreElement(type, &byte, 0, static_cast<float>(v));
      return static_cast<int>(byte);
    };
    for (int code = 0; code <= greatest; code++) {
      EXPECT_EQ(round(value(code)), code);
      EXPECT_EQ(round(value(code | 0x80)), code | 0x80);
      if (code == greatest) continue;
      const double low = value(code), high = value(code + 1);
      EXPECT_EQ(round(low + 0.375 * (high - low)), code);
      EXPECT_EQ(round(low + 0.625 * (high - low)), code + 1);
      EXPECT_EQ(round(low + 0.5 * (high - low)), code + (code & 1));
    }
    EXPECT_EQ(round(std::numeric_limits<double>::infinity()), greatest);
    EXPECT_TRUE(std::isnan(value(round(std::numeric_limits<double>::quiet_NaN()))));
  }
}

TEST(DataType, IntegersRoundAndSaturate) {
  const auto stored = [](DataType type, float v) {
    int32_t bits = 0;
    StoreElement(type, &bits, 0, v);
    return LoadExact(type, &bits, 0);
  };
  for (const auto& [v, expected] : {std::pair{0.5f, 0}, {1.5f, 2}, {-2.5f, -2}, {200.0f, 127}, {-200.0f, -128}}) {
    EXPECT_EQ(stored(DataType::kI8, v), expected);
  }
  EXPECT_EQ(stored(DataType::kI32, 4e9f), std::numeric_limits<int32_t>::max());
  EXPECT_EQ(stored(DataType::kI32, -4e9f), std::numeric_limits<int32_t>::min());
  const int32_t odd = (1 << 24) + 1;  // more than fp32 holds
  EXPECT_EQ(LoadExact(DataType::kI32, &odd, 0), odd);
}

TEST(ElementType, EveryCodeDecodes) {
  const ElementType int4 = *ParseElementType("int4");
  const ElementType uint4 = *ParseElementType("uint4");
  const ElementType nf4 = *ParseElementType("nf4");
  for (int code = 0; code < 16; code++) {
    EXPECT_EQ(int4.Decode(code), code < 8 ? code : code - 16);
    EXPECT_EQ(uint4.Decode(code), code);
  }
  // NF4 from its definition: normal quantiles of 8 evenly spaced probabilities on the negative and 9 on the positive
  // side, scaled so that the largest is 1 (bisection on erf; the published table agrees to its digits).
  const auto quantile = [](double p) {
    double low = -10, high = 10;
    for (int i = 0; i < 200; i++) {
      const double mid = (low + high) / 2;
      (0.5 * (1 + std::erf(mid / std::sqrt(2.0))) < p ? low : high) = mid;
    }
    return low;
  };
  const double offset = 0.9677083;
  for (int i = 0; i < 8; i++) {
    const double p = offset + (0.5 - offset) * i / 7;
    EXPECT_NEAR(nf4.Decode(static_cast<uint32_t>(i)), -quantile(p) / quantile(offset), 2e-5) << i;
  }
  for (int i = 0; i < 9; i++) {
    const double p = offset + (0.5 - offset) * i / 8;
    EXPECT_NEAR(nf4.Decode(static_cast<uint32_t>(15 - i)), i == 8 ? 0 : quantile(p) / quantile(offset), 2e-5) << i;
  }
}

TEST(ElementType, PlainBitsDecode) {
  EXPECT_EQ(ParseElementType("fp16")->Decode(0x3e00), 1.5);
  EXPECT_EQ(ParseElementType("bf16")->Decode(0x3fc0), 1.5);
}

TEST(ElementType, UnknownNamesListTheKnown) {
  const auto unknown = ParseElementType("int9");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(std::string(unknown.status().message()).find("fp4_e2m1, nf4, fp16, bf16"), std::string::npos);
}

TEST(WeightValue, ZeroModes) {
  WeightType type{.element = *ParseElementType("uint4"),
                  .has_scale = true,
                  .scale = DataType::kF16,
                  .group = 64,
                  .zeros = ZeroMode::kNone};
  EXPECT_EQ(WeightValue(type, 9, 0.5, 3), 4.5);
  type.zeros = ZeroMode::kOriginal;
  EXPECT_EQ(WeightValue(type, 9, 0.5, 3.5), 2.75);
  type.zeros = ZeroMode::kQuantized;
  EXPECT_EQ(WeightValue(type, 9, 0.5, 3), 3);
  type.zeros = ZeroMode::kRescale;
  EXPECT_EQ(WeightValue(type, 9, 0.5, 3), 1.5);
}

}  // namespace
}  // namespace ladder
