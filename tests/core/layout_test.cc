#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/layout/natural_code.h"
#include "core/layout/packed_layout.h"
#include "core/reference/matmul_reference.h"
#include "core/schedule/format_axes.h"
#include "gtest/gtest.h"

namespace ladder {
namespace {

NormalizedOperator Op(absl::string_view w, absl::string_view zeros, int64_t n, int64_t k, int64_t group,
                      absl::string_view act = "none", absl::string_view a = "fp16") {
  OperatorDescriptor d;
  d.a = std::string(a);
  d.act = std::string(act);
  d.w = std::string(w);
  d.zeros = std::string(zeros);
  d.n = n;
  d.k = k;
  d.group = group;
  return *Normalize(d);
}

std::vector<uint8_t> RandomBytes(int64_t size, std::mt19937& random) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// The bits after a row's last code are padding, which packing does not keep.
void ClearPadding(std::vector<uint8_t>& codes, int bits, int64_t rows, int64_t columns) {
  const int64_t used = columns * bits % 8, row_bytes = NaturalRowBytes(bits, columns);
  if (used == 0) return;
  for (int64_t row = 0; row < rows; row++) codes[(row + 1) * row_bytes - 1] &= static_cast<uint8_t>((1 << used) - 1);
}

absl::StatusOr<NormalizedOperator> TableOp(int bits, int64_t n, int64_t k) {
  OperatorDescriptor d;
  ElementDefinition definition;
  definition.bits = bits;
  for (int code = 0; code < 1 << bits; code++) definition.table.push_back(static_cast<float>(code * code));
  d.element = definition;
  d.n = n;
  d.k = k;
  d.group = -1;
  return Normalize(d);
}

TEST(PackedLayout, UnpackingReturnsTheSameBits) {
  std::mt19937 random(1);
  struct Case {
    absl::string_view w, zeros;
    int64_t n, k, group;
    absl::string_view act = "none", a = "fp16";
  };
  for (const Case& c : {Case{"int4", "none", 64, 64, 64},
                        Case{"int4", "none", 100, 77, -1},
                        Case{"nf4", "none", 65, 320, 64},
                        Case{"uint4", "original", 70, 96, 32},
                        Case{"uint4", "rescale", 128, 48, 16},
                        Case{"uint4", "quantized", 200, 144, 48},
                        Case{"uint4", "quantized", 1, 15, -1},
                        Case{"int1", "none", 100, 77, -1},
                        Case{"uint1", "quantized", 70, 144, 48},
                        Case{"int2", "none", 100, 77, -1},
                        Case{"uint2", "quantized", 70, 144, 48},
                        Case{"int3", "none", 100, 77, -1},
                        Case{"uint3", "quantized", 65, 240, 16},
                        Case{"int5", "none", 100, 77, -1},
                        Case{"uint5", "quantized", 65, 240, 16},
                        Case{"int6", "none", 100, 77, -1},
                        Case{"uint6", "quantized", 65, 240, 16},
                        Case{"int7", "none", 100, 77, -1},
                        Case{"uint7", "quantized", 65, 240, 16},
                        Case{"int8", "none", 100, 77, -1},
                        Case{"uint8", "quantized", 65, 240, 16},
                        Case{"fp8_e4m3", "none", 80, 77, -1, "swiglu"},
                        Case{"fp8_e5m2", "none", 100, 77, -1},
                        Case{"fp6_e2m3", "none", 100, 77, -1},
                        Case{"mxfp4", "none", 70, 96, 32},
                        Case{"nvfp4", "none", 64, 48, 16},
                        Case{"nvfp4", "none", 160, 512, 16},
                        Case{"int4", "none", 80, 77, -1, "swiglu"},
                        Case{"uint4", "original", 208, 96, 32, "swiglu"},
                        Case{"uint4", "quantized", 16, 144, 48, "swiglu"},
                        Case{"int1", "none", 100, 77, -1, "none", "int8"},
                        Case{"uint2", "quantized", 70, 144, 48, "none", "int8"},
                        Case{"int3", "none", 80, 320, 32, "swiglu", "int8"},
                        Case{"int4", "none", 100, 130, -1, "none", "int8"},
                        Case{"uint5", "quantized", 65, 240, 16, "none", "int8"},
                        Case{"int6", "none", 100, 77, -1, "none", "int8"},
                        Case{"uint7", "quantized", 65, 240, 16, "none", "int8"},
                        Case{"uint8", "none", 65, 77, -1, "none", "int8"},
                        Case{"int4", "none", 100, 77, -1, "none", "fp8_e4m3"},
                        Case{"int3", "none", 100, 77, -1, "none", "fp8_e4m3"},
                        Case{"mxfp4", "none", 70, 96, 32, "none", "fp8_e5m2"},
                        Case{"fp8_e5m2", "none", 70, 96, 32, "none", "fp8_e4m3"}}) {
    const PackedLayout layout = PackedLayout::For(Op(c.w, c.zeros, c.n, c.k, c.group, c.act, c.a));
    std::vector<uint8_t> codes = RandomBytes(NaturalWeightBytes(layout), random);
    ClearPadding(codes, layout.bits, c.n, c.k);
    const std::vector<uint8_t> scales = RandomBytes(NaturalScaleBytes(layout), random);
    std::vector<uint8_t> zeros = RandomBytes(NaturalZeroBytes(layout), random);
    if (c.zeros == "quantized") ClearPadding(zeros, layout.bits, c.n, layout.groups);
    std::vector<uint8_t> packed(layout.weight_bytes()), packed_scales(layout.scale_bytes()),
        packed_zeros(layout.zero_bytes());
    ASSERT_TRUE(PackReference(layout, codes, scales, zeros, packed, packed_scales, packed_zeros).ok());
    std::vector<uint8_t> codes2(codes.size()), scales2(scales.size()), zeros2(zeros.size());
    ASSERT_TRUE(UnpackReference(layout, packed, packed_scales, packed_zeros, codes2, scales2, zeros2).ok());
    EXPECT_EQ(codes2, codes) << c.w << " " << c.n << "x" << c.k;
    EXPECT_EQ(scales2, scales);
    EXPECT_EQ(zeros2, zeros);
  }
}

// The same for every format that the type system knows with every activation, in sizes that fill no block.
TEST(PackedLayout, EveryFormatComesBack) {
  constexpr int64_t kN = 80, kK = 48;
  std::mt19937 random(2);
  int formats = 0;
  std::set<std::string> layouts;  // seen; many formats share one
  for (const WeightCase& weight : WeightCases()) {
    for (const std::string& a : ActivationNames()) {
      for (OperatorDescriptor d : FormatCells(weight, a, kN, kK)) {
        d.act = formats % 2 != 0 && !weight.plain ? "swiglu" : "none";
        const absl::StatusOr<NormalizedOperator> op = Normalize(d);
        if (!op.ok()) continue;
        formats++;
        const PackedLayout layout = PackedLayout::For(*op);
        if (!layouts
                 .insert(absl::StrCat(layout.id(), " ", layout.bits, " ", layout.groups, " ", Name(layout.scale), " ",
                                      Name(layout.zeros), " ", layout.offset_binary, layout.gated))
                 .second) {
          continue;
        }
        std::vector<uint8_t> codes = RandomBytes(NaturalWeightBytes(layout), random);
        ClearPadding(codes, layout.bits, kN, kK);
        const std::vector<uint8_t> scales = RandomBytes(NaturalScaleBytes(layout), random);
        std::vector<uint8_t> zeros = RandomBytes(NaturalZeroBytes(layout), random);
        if (layout.zeros == ZeroMode::kQuantized) ClearPadding(zeros, layout.bits, kN, layout.groups);
        std::vector<uint8_t> packed(layout.weight_bytes()), packed_scales(layout.scale_bytes()),
            packed_zeros(layout.zero_bytes());
        ASSERT_TRUE(PackReference(layout, codes, scales, zeros, packed, packed_scales, packed_zeros).ok());
        std::vector<uint8_t> codes2(codes.size()), scales2(scales.size()), zeros2(zeros.size());
        ASSERT_TRUE(UnpackReference(layout, packed, packed_scales, packed_zeros, codes2, scales2, zeros2).ok());
        ASSERT_EQ(codes2, codes) << op->ToString();
        ASSERT_EQ(scales2, scales) << op->ToString();
        ASSERT_EQ(zeros2, zeros) << op->ToString();
      }
    }
  }
  EXPECT_GT(formats, 500);
  EXPECT_GT(layouts.size(), 50u);
}

TEST(PackedLayout, EveryBitHasItsOwnPlaceAndFillsThePadding) {
  std::vector<PackedLayout> layouts = {PackedLayout::For(Op("int4", "none", 128, 128, -1, "swiglu"))};
  for (int bits = 1; bits <= 8; bits++) {
    layouts.push_back(PackedLayout::For(Op(absl::StrCat("int", bits), "none", 128, 128, -1)));
    const absl::StatusOr<NormalizedOperator> table = TableOp(bits, 128, 128);
    ASSERT_TRUE(table.ok()) << table.status();
    layouts.push_back(PackedLayout::For(*table));
    layouts.push_back(PackedLayout::For(Op(absl::StrCat("uint", bits), "none", 128, 128, -1, "none", "int8")));
    if (bits > 4) continue;
    layouts.push_back(PackedLayout::For(Op(absl::StrCat("int", bits), "none", 128, 128, -1, "none", "fp8_e4m3")));
    EXPECT_EQ(layouts.back().placement, CodePlacement::kByteTable);
  }
  for (const PackedLayout& layout : layouts) {
    std::vector<bool> taken(layout.weight_bytes() * 8);
    for (int64_t row = 0; row < 128; row++) {
      for (int64_t column = 0; column < 128; column++) {
        for (int bit = 0; bit < layout.bits; bit++) {
          const auto at = layout.Find(row, column, bit);
          ASSERT_EQ(at.word_offset % 4, 0);
          ASSERT_TRUE(at.shift >= 0 && at.shift < 32);
          const int64_t place = at.word_offset * 8 + at.shift;
          ASSERT_LT(place, static_cast<int64_t>(taken.size())) << layout.id();
          ASSERT_FALSE(taken[place]) << layout.id() << " " << row << " " << column << " " << bit;
          taken[place] = true;
        }
      }
    }
    EXPECT_EQ(layout.weight_bytes(), 128 * 128 * layout.bits / 8);
  }
}

// One cell of lane 0 spelled out, for the width whose sixteenth code has no cell of its own.
TEST(PackedLayout, PutsWhatNoCellHoldsIntoTheirTops) {
  const PackedLayout layout = PackedLayout::For(Op("int3", "none", 64, 64, -1));
  EXPECT_EQ(layout.id(), "k16.b3.integer.offset");
  // Two words a lane (8 bytes), and then one.
  EXPECT_EQ(layout.Find(0, 0).word_offset, 0);
  EXPECT_EQ(layout.Find(0, 17).word_offset, 0);  // step 1, register 0, element 1: the fifth
  EXPECT_EQ(layout.Find(0, 17).shift, 16 + 12);
  EXPECT_EQ(layout.Find(8, 16).word_offset, 4);  // register 1: the sixth
  EXPECT_EQ(layout.Find(8, 16).shift, 0);
  EXPECT_EQ(layout.Find(0, 56, 2).word_offset, 2 * 512);  // step 3, register 2: the fifteenth
  EXPECT_EQ(layout.Find(0, 56, 2).shift, 14);
  for (int bit = 0; bit < 3; bit++) {
    EXPECT_EQ(layout.Find(8, 56, bit).word_offset, bit < 2 ? 4 * bit : 2 * 512);  // the last
    EXPECT_EQ(layout.Find(8, 56, bit).shift, 15);
  }
}

TEST(PackedLayout, NamesWidthsAndWideZeros) {
  EXPECT_EQ(PackedLayout::For(Op("int1", "none", 64, 64, -1)).id(), "k16.b1.integer");
  EXPECT_EQ(PackedLayout::For(Op("int8", "none", 64, 64, -1)).id(), "k16.b8.offset");
  EXPECT_EQ(PackedLayout::For(Op("fp8_e4m3", "none", 64, 64, -1)).id(), "k16.b8");
  EXPECT_EQ(PackedLayout::For(Op("uint3", "quantized", 64, 64, -1)).id(), "k16.b3.integer.z4");
  EXPECT_EQ(PackedLayout::For(Op("uint5", "quantized", 64, 64, -1)).id(), "k16.b5.z8");
}

// The statement of schedules/device/decode.cuh, spelled out: lane t's word of k16 step f.
TEST(PackedLayout, FollowsTheFragment) {
  const PackedLayout integer = PackedLayout::For(Op("int4", "none", 128, 128, -1));
  const PackedLayout table = PackedLayout::For(Op("nf4", "none", 128, 128, -1));
  for (int lane = 0; lane < 32; lane++) {
    for (int f = 0; f < 4; f++) {
      for (int i = 0; i < 4; i++) {
        for (int h = 0; h < 2; h++) {
          const int64_t row = 64 + 3 * 16 + lane / 4 + 8 * (i & 1);
          const int64_t column = 64 + 16 * f + 2 * (lane % 4) + h + 8 * (i >> 1);
          const int64_t word = 3 * 2048 + 3 * 512 + lane * 16 + f * 4;
          EXPECT_EQ(integer.Find(row, column).word_offset, word);
          EXPECT_EQ(integer.Find(row, column).shift, 16 * h + 4 * i);
          EXPECT_EQ(table.Find(row, column).word_offset, word);
          EXPECT_EQ(table.Find(row, column).shift, 8 * i + 4 * h);
        }
      }
    }
  }
}

// The statement of schedules/device/byte_decode.cuh: registers of a k32 step by bytes, or by halves of nibbles.
TEST(PackedLayout, FollowsTheFragmentOfBytes) {
  const PackedLayout bytes = PackedLayout::For(Op("int4", "none", 128, 256, 128, "none", "int8"));
  const PackedLayout table = PackedLayout::For(Op("int4", "none", 128, 256, 128, "none", "fp8_e4m3"));
  EXPECT_EQ(bytes.id(), "k32.b4");
  EXPECT_EQ(table.id(), "k32.b4.table");
  EXPECT_EQ(PackedLayout::For(Op("fp4_e2m1", "none", 64, 128, 32, "none", "fp8_e4m3")).id(), "k32.b4");
  EXPECT_EQ(PackedLayout::For(Op("uint6", "quantized", 64, 128, 32, "none", "int8")).id(), "k32.b6.z8");
  EXPECT_EQ(PackedLayout::For(Op("int8", "none", 64, 128, -1, "none", "int8")).id(), "natural.b8");
  EXPECT_EQ(PackedLayout::For(Op("int8", "none", 64, 128, 64, "none", "int8")).id(), "k32.b8");
  EXPECT_EQ(PackedLayout::For(Op("uint8", "none", 64, 128, -1, "none", "int8")).id(), "k32.b8");
  for (int lane = 0; lane < 32; lane++) {
    for (int f = 0; f < 4; f++) {
      for (int i = 0; i < 4; i++) {
        for (int h = 0; h < 4; h++) {
          const int64_t row = 64 + 3 * 16 + lane / 4 + 8 * (i & 1);
          const int64_t column = 128 + 32 * f + 4 * (lane % 4) + h + 16 * (i >> 1);
          // The fourth block; eight words of a lane in two chunks, two for a step.
          const int64_t word = 3 * 4096 + f / 2 * 2048 + 3 * 512 + lane * 16 + (2 * f + i / 2) % 4 * 4;
          EXPECT_EQ(bytes.Find(row, column).word_offset, word);
          EXPECT_EQ(bytes.Find(row, column).shift, 8 * h + 4 * (i & 1));
          EXPECT_EQ(table.Find(row, column).word_offset, word);
          EXPECT_EQ(table.Find(row, column).shift, 16 * (i & 1) + 4 * h);
        }
      }
    }
  }
}

TEST(PackedLayout, GateAndUpRowsLieInOneFragment) {
  const PackedLayout plain = PackedLayout::For(Op("nf4", "none", 80, 64, -1));
  const PackedLayout gated = PackedLayout::For(Op("nf4", "none", 80, 64, -1, "swiglu"));
  EXPECT_EQ(plain.id(), "k16.b4.table");
  EXPECT_EQ(gated.id(), "k16.b4.table.gate_up8");
  EXPECT_EQ(PackedLayout::For(Op("mxfp4", "none", 64, 64, 32)).id(), "k16.b4.table.e8m0_bf16");
  EXPECT_EQ(PackedLayout::For(Op("nvfp4", "none", 64, 64, 16)).id(), "k16.b4.table.e4m3_fp16");
  for (int64_t column = 0; column < 40; column++) {  // of Y
    const int64_t gate = column / 8 * 16 + column % 8;
    EXPECT_EQ(gated.PackedRow(column), gate);
    EXPECT_EQ(gated.PackedRow(40 + column), gate + 8);
    EXPECT_EQ(gated.Find(column, 5).word_offset, plain.Find(gate, 5).word_offset);
    EXPECT_EQ(gated.Find(40 + column, 5).word_offset, plain.Find(gate, 5).word_offset);  // the same lane's word
    EXPECT_EQ(gated.Find(40 + column, 5).shift, plain.Find(gate + 8, 5).shift);
    EXPECT_EQ(plain.PackedRow(column), column);
  }
}

TEST(PackedLayout, WrongSizesAreNamed) {
  const PackedLayout layout = PackedLayout::For(Op("int4", "none", 64, 64, -1));
  std::vector<uint8_t> codes(NaturalWeightBytes(layout) - 1), scales(128), packed(2048), packed_scales(128);
  const absl::Status status = PackReference(layout, codes, scales, {}, packed, packed_scales, {});
  EXPECT_EQ(status.message(), "codes: 2047 bytes given, 2048 needed");
}

TEST(ReferenceEpilogue, ByHand) {
  OperatorDescriptor d;
  d.act = "silu";
  d.output_scale = d.residual = true;
  d.n = d.k = 16;
  std::vector<double> y = {0, 1, -1}, magnitude = {1, 2, 3};
  std::vector<uint8_t> residual(6);
  for (int i = 0; i < 3; i++) StoreElement(DataType::kF16, residual.data(), i, static_cast<float>(i));
  ReferenceEpilogue(*Normalize(d), y, magnitude, -0.5f, residual, 0, y, magnitude);
  EXPECT_NEAR(y[0], 0, 1e-15);
  EXPECT_NEAR(y[1], 0.7310585786300049 * -0.5 + 1, 1e-15);
  EXPECT_NEAR(y[2], -0.2689414213699951 * -0.5 + 2, 1e-15);
  EXPECT_EQ(magnitude, (std::vector<double>{0.5, 1, 1.5}));
  EXPECT_NEAR(ReferenceAct(ActivationFunction::kGelu, 1), 0.8413447460685429, 1e-15);
  EXPECT_NEAR(ReferenceAct(ActivationFunction::kGeluTanh, 1), 0.8411919906082768, 1e-15);
}

TEST(ReferenceEpilogue, SwigluByHand) {
  const NormalizedOperator op = Op("int4", "none", 16, 16, -1, "swiglu");
  std::vector<double> sums(32), abs_sums(32), y(16), magnitude(16);
  sums[16 + 3] = 1, sums[16 + 8 + 3] = -2;  // row 1, column 3: gate, then up
  abs_sums[16 + 3] = 5, abs_sums[16 + 8 + 3] = 7;
  ReferenceEpilogue(op, sums, abs_sums, 0.5f, {}, 0.125, y, magnitude);
  const double silu = 0.7310585786300049;
  EXPECT_NEAR(y[8 + 3], 0.5 * silu * -2, 1e-15);
  EXPECT_NEAR(magnitude[8 + 3], 0.5 * (2 * 5 + silu * 7 + 0.125 * 5 * 7), 1e-14);
  EXPECT_EQ(y[3], 0);
}

TEST(ReferenceMatmul, ByHand) {
  OperatorDescriptor d;
  d.w = "uint4";
  d.zeros = "quantized";
  d.bias = true;
  d.n = 2;
  d.k = 16;
  d.group = -1;
  const NormalizedOperator op = *Normalize(d);
  std::vector<uint8_t> x(32), codes(16), scales(4), zeros(2), bias(4);
  for (int k = 0; k < 16; k++) StoreElement(DataType::kF16, x.data(), k, k == 3 ? 2.0f : k == 4 ? -1.0f : 0.0f);
  codes[1] = 0x70;      // row 0: q[3] = 7
  codes[2] = 0x05;      // q[4] = 5
  codes[8 + 1] = 0x10;  // row 1: q[3] = 1
  StoreElement(DataType::kF16, scales.data(), 0, 0.5f);
  StoreElement(DataType::kF16, scales.data(), 1, 2.0f);
  zeros = {4, 3};
  StoreElement(DataType::kF16, bias.data(), 0, 10.0f);
  StoreElement(DataType::kF16, bias.data(), 1, 0.0f);
  std::vector<double> y(2), sum(2);
  ReferenceMatmul(op, 1, x, codes, scales, zeros, bias, {}, y, sum);
  EXPECT_EQ(y[0], 2 * 1.5 - 0.5 + 10);
  EXPECT_EQ(sum[0], 3 + 0.5 + 10);
  EXPECT_EQ(y[1], 2 * (1 - 3) * 2.0 - (0 - 3) * 2.0);
  EXPECT_EQ(sum[1], 8 + 6);
}

TEST(ReferenceMatmul, ActivationsOf8BitsAreScaledBeforeTheBias) {
  OperatorDescriptor d = {.a = "int8", .w = "int8", .scale = "fp32", .group = -1, .bias = true, .n = 1, .k = 16};
  for (const char* const a_scale : {"none", "tensor", "row"}) {
    d.a_scale = a_scale;
    const NormalizedOperator op = *Normalize(d);
    std::vector<uint8_t> x(32), codes(16), scales(4), bias(2);
    for (int row = 0; row < 2; row++) {
      StoreElement(DataType::kI8, x.data(), row * 16 + 5, row == 0 ? -128.0f : 3.0f);
      StoreElement(DataType::kI8, x.data(), row * 16 + 6, 1);
    }
    codes[5] = 0x80;  // -128
    codes[6] = 2;
    StoreElement(DataType::kF32, scales.data(), 0, 0.5f);
    StoreElement(DataType::kF16, bias.data(), 0, 10);
    const std::vector<float> rows = {-2, 0.25f};
    SumScales factors;
    if (op.activation_scale() == ActivationScale::kTensor) factors.all = -2;
    if (op.activation_scale() == ActivationScale::kRow) factors.rows = rows;
    const double first = op.activation_scale() == ActivationScale::kNone ? 1 : -2;
    const double second = op.activation_scale() == ActivationScale::kRow ? 0.25 : first;
    std::vector<double> y(2), sum(2);
    ReferenceMatmul(op, 2, x, codes, scales, {}, bias, factors, y, sum);
    EXPECT_EQ(y, (std::vector<double>{first * 0.5 * (16384 + 2) + 10, second * 0.5 * (-384 + 2) + 10})) << a_scale;
    EXPECT_EQ(sum[0], std::abs(first) * 0.5 * (16384 + 2) + 10);
    EXPECT_EQ(sum[1], std::abs(second) * 0.5 * (384 + 2) + 10);
  }
}

TEST(ReferenceMatmul, MxActivationsAreScaledByGroup) {
  const NormalizedOperator op = *Normalize({.a = "mxfp8", .w = "int8", .group = -1, .n = 1, .k = 64});
  std::vector<uint8_t> x(2 * 64), codes(64), scales(2);
  StoreElement(DataType::kE4M3, x.data(), 64 + 31, 3);   // row 1, the last of its first group
  StoreElement(DataType::kE4M3, x.data(), 64 + 32, -1);  // and the first of its second
  codes[31] = 2;
  codes[32] = 5;
  StoreElement(op.weight().scale, scales.data(), 0, 1);
  const std::vector<uint8_t> groups = {1, 1, 127 + 4, 127 - 1};
  std::vector<double> y(2), sum(2);
  ReferenceMatmul(op, 2, x, codes, scales, {}, {}, {.all = 1, .rows = {}, .groups = groups}, y, sum);
  EXPECT_EQ(y, (std::vector<double>{0, 16 * 6 - 0.5 * 5}));
  EXPECT_EQ(sum, (std::vector<double>{0, 16 * 6 + 0.5 * 5}));
}

}  // namespace
}  // namespace ladder
