#include "core/reference/quantize.h"

#include <cmath>
#include <limits>
#include <random>

#include "core/layout/natural_code.h"
#include "core/operator/operator.h"
#include "core/reference/matmul_reference.h"
#include "gtest/gtest.h"

namespace ladder {
namespace {

std::vector<ElementType> QuantizedElements() {
  std::vector<ElementType> elements;
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    if (element.quantized()) elements.push_back(element);
  }
  elements.push_back(*Define({.bits = 3, .table = {5, -1, 5, 0, 2, 9, -7, 0.5f}}));  // unordered, a value twice
  return elements;
}

// Against a search through all codes.
TEST(CodeRounder, TakesTheNearestCodeOfEveryElement) {
  for (const ElementType& element : QuantizedElements()) {
    const CodeRounder rounder(element);
    std::vector<double> points = {rounder.least() * 3, rounder.greatest() * 3, 0, 0.3, -0.3, 1e30, -1e30};
    const std::vector<float> values = element.Values();
    for (const double a : values) {
      if (!std::isfinite(a)) continue;
      points.push_back(a);
      points.push_back(a * 1.03);
      for (const double b : values) {
        if (std::isfinite(b)) points.push_back((a + b) / 2);  // ties among them
      }
    }
    for (const double point : points) {
      const uint32_t code = rounder.Nearest(point);
      double least = std::numeric_limits<double>::infinity();
      for (const double value : values) {
        if (std::isfinite(value)) least = std::min(least, std::fabs(value - point));
      }
      ASSERT_EQ(std::fabs(element.Decode(code) - point), least) << element.name << " " << point;
    }
  }
}

TEST(CodeRounder, EveryValueKeepsItsValue) {
  for (const ElementType& element : QuantizedElements()) {
    const CodeRounder rounder(element);
    for (uint32_t code = 0; code < 1u << element.bits; code++) {
      const double value = element.Decode(code);
      if (std::isfinite(value)) {
        EXPECT_EQ(element.Decode(rounder.Nearest(value)), value) << element.name << " " << code;
      }
    }
  }
}

TEST(CodeRounder, TiesGoToTheEvenCode) {
  const CodeRounder fp4(*ParseElementType("fp4_e2m1"));
  EXPECT_EQ(fp4.Nearest(0.25), 0u);
  EXPECT_EQ(fp4.Nearest(0.75), 2u);  // 0.5 and 1
  EXPECT_EQ(fp4.Nearest(1.25), 2u);
  EXPECT_EQ(fp4.Nearest(2.5), 4u);
  EXPECT_EQ(fp4.Nearest(3.5), 6u);
  EXPECT_EQ(fp4.Nearest(5), 6u);
  EXPECT_EQ(fp4.Nearest(-2.5), 12u);
  const CodeRounder int4(*ParseElementType("int4"));
  EXPECT_EQ(int4.Nearest(2.5), 2u);
  EXPECT_EQ(int4.Nearest(3.5), 4u);
  EXPECT_EQ(int4.Nearest(-2.5), 14u);  // -2
  EXPECT_EQ(int4.Nearest(-0.5), 0u);
  const CodeRounder table(*Define({.bits = 2, .table = {4, 1, 0, 3}}));
  EXPECT_EQ(table.Nearest(3.5), 0u);
  EXPECT_EQ(table.Nearest(2), 1u);  // codes 1 and 3: the lower
  EXPECT_EQ(CodeRounder(*ParseElementType("int1")).Nearest(0), 0u);
}

TEST(CodeRounder, Saturates) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const ElementType& element : QuantizedElements()) {
    const CodeRounder rounder(element);
    for (const double factor : {1e6, infinity}) {
      EXPECT_EQ(element.Decode(rounder.Nearest(factor)), rounder.greatest()) << element.name;
      EXPECT_EQ(element.Decode(rounder.Nearest(-factor)), rounder.least()) << element.name;
    }
  }
  // 16 does not spill into a neighbour: 7 and 15 are the ends.
  EXPECT_EQ(CodeRounder(*ParseElementType("int4")).Nearest(8), 7u);
  EXPECT_EQ(CodeRounder(*ParseElementType("int4")).Nearest(-9), 8u);
  EXPECT_EQ(CodeRounder(*ParseElementType("uint4")).Nearest(16), 15u);
  EXPECT_EQ(CodeRounder(*ParseElementType("fp8_e4m3")).Nearest(1e9), 0x7eu);
  EXPECT_EQ(CodeRounder(*ParseElementType("fp8_e5m2")).Nearest(infinity), 0x7bu);
}

TEST(NaturalCode, NeighboursKeepTheirBits) {
  std::mt19937 random(1);
  for (int bits = 1; bits <= 8; bits++) {
    std::vector<uint8_t> codes(3 * NaturalRowBytes(bits, 13));
    std::vector<uint32_t> expected;
    for (int64_t i = 0; i < 39; i++) {
      expected.push_back(random() & ((1u << bits) - 1));
      SetNaturalCode(codes, bits, 13, i / 13, i % 13, expected.back());
    }
    for (int64_t i = 0; i < 39; i++) EXPECT_EQ(NaturalCode(codes, bits, 13, i / 13, i % 13), expected[i]) << bits;
  }
}

// Every type that Normalize makes, on random weights: what the reference decodes differs from the weight by at most
// half the element's widest gap at the group's scale, plus what rounding a scale or a zero can do.
TEST(QuantizeReference, EveryTypeComesBackWithinHalfAStep) {
  constexpr int64_t kN = 5, kK = 64;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> w(kN * kK);
  for (float& value : w) value = uniform(random);
  int types = 0;
  for (const ElementType& element : QuantizedElements()) {
    for (const char* scale : {"fp16", "bf16", "fp32", "fp8_e4m3", "none"}) {
      for (const char* zeros : {"none", "original", "rescale", "quantized"}) {
        for (const bool tensor : {false, true}) {
          OperatorDescriptor d = {.scale = scale, .zeros = zeros, .tensor_scale = tensor, .n = kN, .k = kK};
          d.element = ElementDefinition{.bits = element.bits, .table = element.Values()};
          if (std::string(scale) != "none") d.group = 32;
          const auto op = Normalize(d);
          if (!op.ok()) continue;  // zeros without unsigned codes, and the like
          // One sign, or a range that 1 unscaled does not fill: tested elsewhere.
          const bool symmetric = CodeRounder(element).least() < 0;
          if (op->weight().zeros == ZeroMode::kNone && !symmetric) continue;
          if (std::string(scale) == "none" && !tensor) continue;
          const auto quantized = QuantizeReference(op->weight(), kN, kK, w);
          ASSERT_TRUE(quantized.ok()) << quantized.status();
          types++;
          double gap = 0;
          std::vector<float> values = element.Values();
          std::erase_if(values, [](float value) { return !std::isfinite(value); });
          std::ranges::sort(values);
          for (size_t i = 1; i < values.size(); i++) gap = std::max<double>(gap, values[i] - values[i - 1]);
          const bool zero_points = op->weight().zeros != ZeroMode::kNone;
          std::vector<double> row(kK);
          for (int64_t n = 0; n < kN; n++) {
            ReferenceWeightRow(*op, n, quantized->codes, quantized->scales, quantized->zeros, row);
            const int64_t groups = op->weight().has_scale ? 2 : 0;
            for (int64_t i = 0; i < kK; i++) {
              const double s =
                  groups == 0 ? 1 : LoadElement(op->weight().scale, quantized->scales.data(), n * groups + i / 32);
              // A scale rounded down by u lets the ends of the range saturate by u of them; a quantized zero may be off
              // by half a step, which then saturates.
              const double u = op->weight().has_scale ? UnitRoundoff(op->weight().scale) : std::ldexp(1.0, -24);
              const double step = gap * s * quantized->tensor_scale;
              const double allowed = step * (zero_points ? 1.0 : 0.5) + 2.5 * u + 1e-6;
              EXPECT_NEAR(row[i] * quantized->tensor_scale, w[n * kK + i], allowed) << op->ToString();
            }
          }
        }
      }
    }
  }
  EXPECT_GT(types, 150);
}

WeightType Type(const std::string& w, const std::string& scale, int64_t k, const std::string& zeros = "none") {
  OperatorDescriptor d = {.w = w, .scale = scale, .zeros = zeros, .n = 1, .k = k};
  if (!scale.empty() && scale != "none") d.group = k;
  return Normalize(d)->weight();
}

TEST(QuantizeReference, AbsmaxUsesTheWholeRange) {
  const std::vector<float> w = {-8, 7, 3.4f, 0};
  const auto q = QuantizeReference(Type("int4", "fp16", 4), 1, 4, w);
  EXPECT_EQ(LoadElement(DataType::kF16, q->scales.data(), 0), 1);
  EXPECT_EQ(q->codes, (std::vector<uint8_t>{0x78, 0x03}));
  // Only one sign to hold: the other saturates at 0.
  const auto u = QuantizeReference(Type("uint4", "fp16", 4), 1, 4, std::vector<float>{15, -4, 7, 0});
  EXPECT_EQ(u->codes, (std::vector<uint8_t>{0x0f, 0x07}));
}

TEST(QuantizeReference, MxScalesFollowTheSpecification) {
  // Largest 13: 2^3, fp4's 6 has 2^2, so s = 2. 13 / 2 = 6.5 saturates at 6.
  std::vector<float> w(32, 0);
  w[0] = 13, w[1] = -3, w[2] = 0.9f;
  const auto q = QuantizeReference(Type("mxfp4", "", 32), 1, 32, w);
  EXPECT_EQ(q->scales, std::vector<uint8_t>{128});
  EXPECT_EQ(q->codes[0], 0xb7);  // 7: 6; 11: -1.5
  EXPECT_EQ(q->codes[1], 0x01);  // 0.45 -> 0.5
}

TEST(QuantizeReference, Nvfp4HasTwoLevels) {
  std::vector<float> w(32, 0);
  w[0] = 2688;  // 448 * 6
  w[16] = 6;
  const auto q = QuantizeReference(Type("nvfp4", "", 32), 1, 32, w);
  EXPECT_EQ(q->tensor_scale, 1);
  EXPECT_EQ(q->scales, (std::vector<uint8_t>{0x7e, 0x38}));  // 448, 1
  EXPECT_EQ(q->codes[0], 7);
  EXPECT_EQ(q->codes[8], 7);
}

TEST(QuantizeReference, ScalesNeverVanishNorOverflow) {
  const auto zero = QuantizeReference(Type("int4", "fp16", 16), 1, 16, std::vector<float>(16, 0));
  EXPECT_EQ(LoadElement(DataType::kF16, zero->scales.data(), 0), 1);
  EXPECT_EQ(zero->codes, std::vector<uint8_t>(8, 0));
  const auto tiny = QuantizeReference(Type("int4", "fp16", 16), 1, 16, std::vector<float>(16, 1e-30f));
  EXPECT_EQ(LoadElement(DataType::kF16, tiny->scales.data(), 0), std::ldexp(1.0f, -24));
  const auto huge = QuantizeReference(Type("int4", "fp16", 16), 1, 16, std::vector<float>(16, 1e30f));
  EXPECT_EQ(LoadElement(DataType::kF16, huge->scales.data(), 0), 8188);  // 65504 / 8
  EXPECT_EQ(huge->codes, std::vector<uint8_t>(8, 0x77));
  const auto constant = QuantizeReference(Type("uint4", "fp16", 16, "quantized"), 1, 16, std::vector<float>(16, 3));
  EXPECT_EQ(constant->zeros, std::vector<uint8_t>(1, 0));
  EXPECT_EQ(constant->codes, std::vector<uint8_t>(8, 0xff));
}

// A kernel may round w * s to fp16, so no fp16 scale takes a code that is used out of it; and what fits is left alone.
TEST(QuantizeReference, Fp16ScalesKeepWeightsWithinFp16) {
  for (const ElementType& element : QuantizedElements()) {
    WeightType type = Type("int4", "fp16", 16);
    type.element = element;
    const CodeRounder rounder(element);
    const double greatest = std::max(std::fabs(rounder.least()), std::fabs(rounder.greatest()));
    for (const float most : {1000.0f, 65504.0f, 65519.0f, 1e30f}) {
      std::vector<float> w(16, most);
      w[1] = -most;
      const auto q = QuantizeReference(type, 1, 16, w);
      ASSERT_TRUE(q.ok());
      const double scale = LoadElement(DataType::kF16, q->scales.data(), 0);
      for (int64_t i = 0; i < 16; i++) {
        EXPECT_LE(std::fabs(element.Decode(NaturalCode(q->codes, element.bits, 16, 0, i)) * scale), 65504)
            << element.name << " of " << most;
      }
      // The element's range is used: all of it, but for what rounding to fp16 takes, or int4's -8 and the like.
      if (rounder.least() < 0) {
        EXPECT_GE(scale * greatest, std::min(most, 65504.0f) * (1 - 0x1p-9)) << element.name;
      }
    }
  }
  // e5m2's largest, 57344, times a scale of 1.1426, to which 65504 / 57344 would be rounded, is 65521.
  const auto q = QuantizeReference(Type("fp8_e5m2", "fp16", 16), 1, 16, std::vector<float>(16, 65504));
  EXPECT_EQ(LoadElement(DataType::kF16, q->scales.data(), 0), 1169 * 0x1p-10f);
}

TEST(QuantizeReference, ZerosAndTensorScalesNeverOverflow) {
  for (const char* zeros : {"original", "rescale"}) {
    const auto q = QuantizeReference(Type("uint4", "fp16", 16, zeros), 1, 16, std::vector<float>(16, -1e30f));
    EXPECT_EQ(LoadElement(DataType::kF16, q->zeros.data(), 0), 65504) << zeros;
  }
  WeightType small = Type("int4", "none", 2);
  small.element = *Define({.bits = 1, .table = {0, 1e-30f}});
  small.tensor_scale = true;
  const auto huge = QuantizeReference(small, 1, 2, std::vector<float>{1e30f, 0});
  EXPECT_EQ(huge->tensor_scale, std::numeric_limits<float>::max());
  EXPECT_EQ(huge->codes, std::vector<uint8_t>{1});
}

TEST(QuantizeReference, Refusals) {
  const WeightType type = Type("int4", "fp16", 4);
  const std::vector<float> w = {1, 2, 3, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(QuantizeReference(type, 1, 4, w).status().message(), "w[0, 3]: nan has no code");
  EXPECT_EQ(QuantizeReference(type, 2, 4, w).status().message(), "w: 4 values are not 2 x 4");
  WeightType uneven = type;
  uneven.group = 3;
  EXPECT_EQ(QuantizeReference(uneven, 1, 4, w).status().message(), "group: 3 does not divide 4");
  WeightType none = type;
  none.element = *Define({.bits = 1, .table = {NAN, INFINITY}});
  EXPECT_EQ(QuantizeReference(none, 1, 4, w).status().message(), "element: no code has a finite value");
  EXPECT_FALSE(QuantizeReference(Normalize({.w = "fp16", .n = 1, .k = 4})->weight(), 1, 4, w).ok());
}

}  // namespace
}  // namespace ladder
