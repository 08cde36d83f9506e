// Every code of every element against definitions that share nothing with the decoder: the words of the OCP
// specifications, published tables, IEEE conversions.
#include "core/types/element_type.h"

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "gtest/gtest.h"

namespace ladder {
namespace {

// A number from its bits as text, most significant first: (-1)^s 2^(E - bias) 1.m, or 2^(1 - bias) 0.m where E is 0.
double FromBits(const std::string& sign, const std::string& exponent, const std::string& mantissa, int bias) {
  double significand = exponent.find('1') == std::string::npos ? 0 : 1;
  for (size_t i = 0; i < mantissa.size(); i++) significand += (mantissa[i] - '0') / std::pow(2.0, i + 1.0);
  int power = 0;
  for (const char bit : exponent) power = 2 * power + (bit - '0');
  return (sign == "1" ? -1 : 1) * significand * std::pow(2.0, std::max(power, 1) - bias);
}

std::string Binary(uint32_t code, int bits) {
  std::string text;
  for (int bit = bits - 1; bit >= 0; bit--) text += (code >> bit & 1) != 0 ? '1' : '0';
  return text;
}

TEST(ElementType, IntegersOfEveryWidth) {
  for (int bits = 1; bits <= 8; bits++) {
    const ElementType is = *ParseElementType("int" + std::to_string(bits));
    const ElementType us = *ParseElementType("uint" + std::to_string(bits));
    ASSERT_EQ(is.bits, bits);
    ASSERT_EQ(us.bits, bits);
    for (int value = 0; value < 1 << bits; value++) EXPECT_EQ(us.Decode(value), value);
    if (bits == 1) continue;
    for (int value = -(1 << (bits - 1)); value < 1 << (bits - 1); value++) {
      EXPECT_EQ(is.Decode(static_cast<uint32_t>(value) & ((1u << bits) - 1)), value);
    }
  }
  // One bit has a sign and nothing else.
  EXPECT_EQ(ParseElementType("int1")->Decode(0), -1);
  EXPECT_EQ(ParseElementType("int1")->Decode(1), 1);
}

TEST(ElementType, Fp4IsTheSpecificationsList) {
  const ElementType fp4 = *ParseElementType("fp4_e2m1");
  const double values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (uint32_t code = 0; code < 8; code++) {
    EXPECT_EQ(fp4.Decode(code), values[code]);
    EXPECT_EQ(fp4.Decode(code + 8), -values[code]);
    EXPECT_TRUE(std::signbit(fp4.Decode(code + 8)));
  }
}

TEST(ElementType, SmallFloatsBitByBit) {
  struct Case {
    std::string name;
    size_t exponent;
    int bias;
    double largest, smallest;  // of the OCP specifications' tables
  };
  for (const Case& c :
       {Case{"fp8_e4m3", 4, 7, 448, std::ldexp(1.0, -9)}, Case{"fp8_e5m2", 5, 15, 57344, std::ldexp(1.0, -16)},
        Case{"fp6_e3m2", 3, 3, 28, 0.0625}, Case{"fp6_e2m3", 2, 1, 7.5, 0.125}, Case{"fp4_e2m1", 2, 1, 6, 0.5}}) {
    const ElementType element = *ParseElementType(c.name);
    double largest = 0, smallest = 1e9;
    int nans = 0, infinities = 0;
    for (uint32_t code = 0; code < 1u << element.bits; code++) {
      const double value = element.Decode(code);
      nans += std::isnan(value);
      infinities += std::isinf(value);
      if (!std::isfinite(value)) continue;
      const std::string bits = Binary(code, element.bits);
      EXPECT_EQ(value, FromBits(bits.substr(0, 1), bits.substr(1, c.exponent), bits.substr(1 + c.exponent), c.bias))
          << c.name << " " << bits;
      largest = std::max(largest, std::fabs(value));
      if (value != 0) smallest = std::min(smallest, std::fabs(value));
    }
    EXPECT_EQ(largest, c.largest) << c.name;
    EXPECT_EQ(smallest, c.smallest) << c.name;
    EXPECT_EQ(nans, c.name == "fp8_e4m3" ? 2 : c.name == "fp8_e5m2" ? 6 : 0) << c.name;
    EXPECT_EQ(infinities, c.name == "fp8_e5m2" ? 2 : 0) << c.name;
  }
  EXPECT_TRUE(std::isnan(ParseElementType("fp8_e4m3")->Decode(0x7f)));
  EXPECT_EQ(ParseElementType("fp8_e4m3")->Decode(0), 0);  // not 2^-7: the exponent of zero is no offset to add
}

TEST(ElementType, E5M2IsTheUpperHalfOfFp16) {
  const ElementType e5m2 = *ParseElementType("fp8_e5m2");
  for (uint32_t code = 0; code < 256; code++) {
    const float half = HalfToFloat(static_cast<uint16_t>(code << 8));
    if (std::isnan(half)) {
      EXPECT_TRUE(std::isnan(e5m2.Decode(code)));
    } else {
      EXPECT_EQ(e5m2.Decode(code), half);
    }
  }
}

TEST(ElementType, ValuesAreExactAndNamesUnique) {
  std::map<std::string, std::string> names;
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    EXPECT_TRUE(names.emplace(element.CanonicalName(), name).second) << name;
    if (!element.quantized()) continue;
    const std::vector<float> values = element.Values();
    ASSERT_EQ(values.size(), size_t{1} << element.bits);
    for (uint32_t code = 0; code < values.size(); code++) {
      const double exact = element.Decode(code);
      EXPECT_TRUE(values[code] == exact || (std::isnan(exact) && std::isnan(values[code]))) << name << " " << code;
    }
  }
}

TEST(ElementType, ExactnessInTheArithmeticTypes) {
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    if (!element.quantized()) continue;
    const bool nf4 = name == "nf4";
    EXPECT_EQ(element.ExactIn(DataType::kF16), !nf4) << name;
    EXPECT_EQ(element.ExactIn(DataType::kBF16), !nf4) << name;  // 8 significant bits hold 0..255 and -128..127
    EXPECT_TRUE(element.ExactIn(DataType::kF32)) << name;
  }
}

TEST(E4M3, EveryCodeSurvivesAndValuesRoundToTheNearest) {
  for (uint32_t code = 0; code < 256; code++) {
    const float value = E4M3ToFloat(static_cast<uint8_t>(code));
    if (std::isnan(value)) {
      EXPECT_EQ(FloatToE4M3(value), code);
      continue;
    }
    EXPECT_EQ(FloatToE4M3(value), code);
  }
  for (uint32_t code = 0; code < 0x7e; code++) {
    const double low = E4M3ToFloat(static_cast<uint8_t>(code)), high = E4M3ToFloat(static_cast<uint8_t>(code + 1));
    EXPECT_EQ(FloatToE4M3(static_cast<float>(low + 0.49 * (high - low))), code);
    EXPECT_EQ(FloatToE4M3(static_cast<float>(low + 0.51 * (high - low))), code + 1);
    EXPECT_EQ(FloatToE4M3(static_cast<float>((low + high) / 2)), code + (code & 1)) << code;  // ties to even
    EXPECT_EQ(FloatToE4M3(static_cast<float>(-(low + high) / 2)), 0x80 | (code + (code & 1)));
  }
  for (const float beyond : {449.0f, 464.0f, 1e30f, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(FloatToE4M3(beyond), 0x7e);
    EXPECT_EQ(FloatToE4M3(-beyond), 0xfe);
  }
}

TEST(E8M0, IsAPowerOfTwo) {
  for (int code = 0; code < 255; code++) {
    const float value = E8M0ToFloat(static_cast<uint8_t>(code));
    EXPECT_EQ(value, std::pow(2.0, code - 127)) << code;  // 0 is 2^-127 and 127 is 1: no mantissa, no zero
    EXPECT_EQ(FloatToE8M0(value), code);
    if (code == 0 || code == 254) continue;
    EXPECT_EQ(FloatToE8M0(value * 1.49f), code);
    EXPECT_EQ(FloatToE8M0(value * 1.5f), code + 1);
    EXPECT_EQ(FloatToE8M0(value * 0.76f), code);
  }
  EXPECT_TRUE(std::isnan(E8M0ToFloat(255)));
  EXPECT_EQ(FloatToE8M0(0), 0);
  EXPECT_EQ(FloatToE8M0(std::numeric_limits<float>::max()), 254);
  EXPECT_EQ(FloatToE8M0(std::numeric_limits<float>::infinity()), 254);
  EXPECT_EQ(FloatToE8M0(-1), 255);
  EXPECT_EQ(FloatToE8M0(std::numeric_limits<float>::quiet_NaN()), 255);
}

TEST(Define, WhatEqualsABuiltInIsTheBuiltIn) {
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    if (!element.quantized()) continue;
    const auto defined = Define({.bits = element.bits, .table = element.Values()});
    ASSERT_TRUE(defined.ok()) << defined.status();
    EXPECT_EQ(*defined, element);
  }
  EXPECT_EQ(Define({.layout = FloatLayout{4, 3, {}, "nan"}})->name, "fp8_e4m3");
  EXPECT_EQ(Define({.layout = FloatLayout{5, 2, 15, "ieee"}})->name, "fp8_e5m2");
  EXPECT_EQ(Define({.bits = 4, .layout = FloatLayout{2, 1, {}, "none"}})->name, "fp4_e2m1");
}

TEST(Define, LayoutsAndTablesOfEqualValuesAreEqual) {
  // An unsigned 2.2: 0, .25, .5, .75, 1, 1.25, ... 7.
  std::vector<float> values;
  for (const float scale : {0.25f, 0.25f, 0.5f, 1.0f}) {
    for (int i = 0; i < 4; i++) values.push_back(scale * static_cast<float>((values.size() < 4 ? 0 : 4) + i));
  }
  const auto layout = Define({.layout = FloatLayout{2, 2, {}, "", true}});
  const auto table = Define({.bits = 4, .table = values});
  ASSERT_TRUE(layout.ok() && table.ok()) << layout.status() << table.status();
  EXPECT_EQ(*layout, *table);
  EXPECT_EQ(layout->CanonicalName(), table->CanonicalName());
  EXPECT_EQ(layout->name, "table4");
  // The sign of a zero is no value, and NaNs are all alike.
  EXPECT_EQ(*Define({.bits = 1, .table = {-0.0f, 3}}), *Define({.bits = 1, .table = {0.0f, 3}}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(*Define({.bits = 1, .table = {-nan, 3}}), *Define({.bits = 1, .table = {nan, 3}}));
  EXPECT_NE(*Define({.bits = 1, .table = {3, 0}}), *Define({.bits = 1, .table = {0, 3}}));
}

TEST(Define, EveryWidthOfTable) {
  for (int bits = 1; bits <= 8; bits++) {
    std::vector<float> values;
    for (int code = 0; code < 1 << bits; code++) values.push_back(static_cast<float>(code * code) / 7 - 3);
    const auto element = Define({.bits = bits, .table = values});
    ASSERT_TRUE(element.ok()) << element.status();
    EXPECT_EQ(element->kind, ElementKind::kTable);
    EXPECT_EQ(element->Values(), values);
  }
}

TEST(Define, ErrorsNameTheField) {
  struct Case {
    std::string starts;
    ElementDefinition definition;
  };
  const std::vector<float> two = {1, 2};
  for (const Case& c : std::vector<Case>{
           {"bits: 0 is not", {.table = two}},
           {"bits: 9 is not", {.bits = 9, .table = two}},
           {"bits: -1 is not", {.bits = -1, .table = two}},
           {"table: 2 values, and 2 bits have 4 codes", {.bits = 2, .table = two}},
           {"table: 0 values", {.bits = 2}},
           {"table: given beside float", {.bits = 4, .table = two, .layout = FloatLayout{2, 1}}},
           {"bits: 5, and float has 4", {.bits = 5, .layout = FloatLayout{2, 1}}},
           {"float.exponent_bits: 0", {.layout = FloatLayout{0, 3}}},
           {"float.exponent_bits: 1000", {.layout = FloatLayout{1000, 3}}},
           {"float.mantissa_bits: -1", {.layout = FloatLayout{2, -1}}},
           {"float: 9 bits", {.layout = FloatLayout{4, 4}}},
           {"float.bias: 300", {.layout = FloatLayout{2, 1, 300}}},
           {"float.bias: -9223372036854775808", {.layout = FloatLayout{2, 1, std::numeric_limits<int64_t>::min()}}},
           {"float.bias: -126 makes values of 2^129", {.layout = FloatLayout{2, 1, -126}}},
           {"float.bias: 127 makes values of 2^-127", {.layout = FloatLayout{2, 1, 127}}},
           {"float.specials: unknown kind \"odd\"", {.layout = FloatLayout{2, 1, {}, "odd"}}},
       }) {
    const absl::Status status = Define(c.definition).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.starts;
    EXPECT_EQ(std::string(status.message()).rfind(c.starts, 0), 0u) << status;
  }
}

}  // namespace
}  // namespace ladder
