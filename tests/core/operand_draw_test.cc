#include "core/reference/operand_draw.h"

#include <gtest/gtest.h>

namespace ladder {
namespace {

// Small integers are for the tensor cores of 8 bits; elsewhere weights take every code.
TEST(DrawFor, IsSmallForActivationsOf8BitsOnly) {
  for (const char* w : {"int8", "fp8_e4m3"}) {
    EXPECT_FALSE(DrawFor(*Normalize({.w = w, .n = 64, .k = 64})).small_w) << w;
  }
  EXPECT_TRUE(DrawFor(*Normalize({.a = "fp8_e4m3", .w = "fp8_e4m3", .n = 64, .k = 64})).small_w);
  EXPECT_TRUE(DrawFor(*Normalize({.a = "int8", .w = "int8", .scale = "none", .n = 64, .k = 64})).small_w);
  EXPECT_FALSE(DrawFor(*Normalize({.a = "int8", .w = "int8", .n = 64, .k = 64})).small_w);
}

int Shift(OperatorDescriptor d, double scales) {
  d.n = 64;
  return ScaleShift(*Normalize(d), scales);
}

// With scales of up to 0.03 (their root mean square below 0.02): a product of two sums of K = 8192 with uint8 weights
// has a deviation of (0.58 * 147 * 0.02 * 90)^2 = 23000, and one in 200 would be beyond fp16's 65504.
TEST(ScaleShift, KeepsFp16ResultsFinite) {
  EXPECT_EQ(Shift({.w = "uint8", .act = "swiglu", .k = 8192}, 0.02), 3);
  EXPECT_EQ(Shift({.w = "uint8", .act = "swiglu", .k = 32768}, 0.02), 4);  // a root of K
  EXPECT_EQ(Shift({.w = "int8", .scale = "e8m0", .act = "swiglu", .k = 8192}, 0.2), 5);
  EXPECT_EQ(Shift({.a = "int8", .w = "uint5", .act = "swiglu", .k = 2048}, 0.02), 2);  // integers of magnitude 8
  EXPECT_EQ(Shift({.w = "uint8", .scale = "e8m0", .k = 2048}, 4), 3);                  // one sum
}

TEST(ScaleShift, LeavesWhatFits) {
  EXPECT_EQ(Shift({.w = "int4", .act = "swiglu", .k = 8192}, 0.02), 0);
  EXPECT_EQ(Shift({.w = "uint8", .k = 28672}, 0.02), 0);
  EXPECT_EQ(Shift({.a = "bf16", .w = "uint8", .act = "swiglu", .k = 8192}, 0.02), 0);  // of bf16's range
  EXPECT_EQ(Shift({.a = "int8", .w = "int4", .a_scale = "row", .act = "swiglu", .k = 8192}, 0.02), 0);
  EXPECT_EQ(Shift({.element = ElementDefinition{.bits = 1, .table = {0, 0}}, .k = 64}, 0.02), 0);
}

}  // namespace
}  // namespace ladder
