// Every code of every element at every place of a packed block, through each path that schedules take from it to each
// compute type (the type that they generate, from registers and by a shared table), against the element's own values:
// layout and decode together, to the bit. The elements are the library's own list, so that a new one is in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/layout/natural_code.h"
#include "core/layout/packed_layout.h"
#include "core/target/target.h"
#include "schedules/matmul/config.h"
#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

// A weight decoded by one path: from registers or by a table in shared memory, by an architecture's conversions.
struct DecodeCase {
  NormalizedOperator op;
  bool shared_table = false;
  std::vector<uint32_t> zeros = {};  // zero points that the kernel is told; none: what the type subtracts, a constant
  std::string arch = "sm_90a";
};

// Values without a pattern, which the compute type rounds.
ElementDefinition UnevenTable(int bits) {
  ElementDefinition table{.bits = bits, .table = {}, .layout = {}};
  for (int code = 0; code < 1 << bits; code++) {
    table.table.push_back(static_cast<float>(code * code) - 2.7f * static_cast<float>(code) + 0.5f);
  }
  return table;
}

// The elements of so many bits with an activation: those of the library by name, and a table of a user's.
std::vector<NormalizedOperator> Operators(const std::string& a, int bits, const ElementDefinition& table) {
  OperatorDescriptor d = {.a = a, .group = 64, .n = 64, .k = a == "fp16" || a == "bf16" ? 64 : 128};
  std::vector<NormalizedOperator> operators;
  for (const std::string& name : BuiltInElementNames()) {
    const ElementType element = *ParseElementType(name);
    if (element.bits != bits || !element.quantized()) continue;
    d.w = name;
    operators.push_back(*Normalize(d));
  }
  d.element = table;
  operators.push_back(*Normalize(d));
  return operators;
}

// Every path of each element of so many bits.
std::vector<DecodeCase> DecodeCases(DataType compute, int bits) {
  std::vector<DecodeCase> cases;
  for (const NormalizedOperator& op : Operators(std::string(Name(compute)), bits, UnevenTable(bits))) {
    const ElementType& element = op.weight().element;
    for (const bool shared_table : {false, true}) {
      if (!CanDecode(op, shared_table)) continue;
      cases.push_back({op, shared_table});
      // sm_80 has no conversions of fp8.
      if (element.kind == ElementKind::kFloat && bits == 8) cases.push_back({op, shared_table, {}, "sm_80"});
    }
    if (element.kind == ElementKind::kUnsigned) {
      cases.push_back({op, false, {0u, 1u << (bits - 1), (1u << bits) - 1}});
    }
  }
  return cases;
}

bool IsNan(DataType type, uint16_t bits) { return std::isnan(LoadElement(type, &bits, 0)); }

// The type that schedules give their kernels for the operator.
std::string Declarations(const NormalizedOperator& op) {
  return absl::StrCat("#include \"schedules/matmul/epilogue.cuh\"\n", ConfigText(op, {}));
}

// Empty, or the first difference.
std::string Check(const DecodeCase& c) {
  const ElementType& element = c.op.weight().element;
  const PackedLayout layout = PackedLayout::For(c.op);
  const uint32_t count = 1u << element.bits;
  // As many blocks as it takes to have every code at every place.
  const auto code_at = [&](uint32_t block, int row, int column) {
    return (static_cast<uint32_t>(row * 64 + column) * 37 + static_cast<uint32_t>(row) + block) % count;
  };
  const uint32_t rounds = std::max<uint32_t>(1, c.zeros.size());  // of the codes, each with another zero point
  PrimitiveCase kernel;
  kernel.call = absl::StrFormat("decode_block_kernel<Config::Compute, Config::Weight, %s, %s>(p)",
                                c.zeros.empty() ? "true" : "false", c.shared_table ? "true" : "false");
  kernel.declarations = Declarations(c.op);
  kernel.blocks = rounds * count;
  kernel.shared_bytes = 48 * 1024;
  for (uint32_t block = 0; block < count; block++) {
    std::vector<uint8_t> codes(NaturalWeightBytes(layout)), scales(NaturalScaleBytes(layout)),
        packed(layout.weight_bytes()), packed_scales(layout.scale_bytes());
    for (int row = 0; row < 64; row++) {
      for (int column = 0; column < 64; column++) {
        SetNaturalCode(codes, element.bits, 64, row, column, code_at(block, row, column));
      }
    }
    const absl::Status status = PackReference(layout, codes, scales, {}, packed, packed_scales, {});
    if (!status.ok()) return status.ToString();
    kernel.x.resize(rounds * count * packed.size() / 4);
    for (uint32_t round = 0; round < rounds; round++) {
      std::memcpy(kernel.x.data() + (round * count + block) * packed.size() / 4, packed.data(), packed.size());
    }
  }
  for (uint32_t round = 0; round < rounds; round++) {
    kernel.w.resize((round + 1) * count, c.zeros.empty() ? 0 : c.zeros[round]);
  }
  kernel.y_words = rounds * count * 2048;
  EmulatorCompiler compiler;
  const absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, kernel, 0, c.arch);
  if (!y.ok()) return y.status().ToString();
  for (int64_t at = 0; at < kernel.y_words * 2; at++) {  // halves
    const int thread = static_cast<int>(at / 32 % 128), lane = thread % 32;
    const int f = static_cast<int>(at / 8 % 4), i = static_cast<int>(at / 2 % 4);
    const int row = thread / 32 * 16 + lane / 4 + 8 * (i & 1);
    const int column = 16 * f + 2 * (lane % 4) + static_cast<int>(at % 2) + 8 * (i >> 1);
    // The natural code of a signed element is two's complement: what is packed is the kernel's business.
    const uint32_t block = static_cast<uint32_t>(at / 4096);
    const uint32_t code = code_at(block % count, row, column);
    const double zero = kernel.w[block];
    uint16_t expected = 0;
    StoreElement(c.op.compute(), &expected, 0, static_cast<float>(element.Decode(code) - zero));
    const uint32_t got = (*y)[at / 2] >> (16 * (at % 2)) & 0xffff;
    if (got != expected && !(IsNan(c.op.compute(), expected) && IsNan(c.op.compute(), static_cast<uint16_t>(got)))) {
      return absl::StrFormat("code %u at row %d, column %d: %04x, expected %04x", code, row, column, got, expected);
    }
  }
  return "";
}

class DecodeTest : public testing::TestWithParam<std::tuple<DataType, int>> {};

TEST_P(DecodeTest, EveryCodeAtEveryPlace) {
  const auto [compute, bits] = GetParam();
  for (const DecodeCase& c : DecodeCases(compute, bits)) {
    EXPECT_EQ(Check(c), "") << c.op.ToString() << " on " << c.arch << (c.shared_table ? " by a shared table" : "")
                            << (c.zeros.empty() ? "" : " less zero points");
  }
}

struct ByteCase {
  NormalizedOperator op;
  int zero = -1;
};

// Every element that any activation of 8 bits takes packed, the table's values being what fp8 holds.
std::vector<ByteCase> ByteCases(const std::string& a) {
  const Target target = *Target::FromName("sm_90a");
  std::vector<ByteCase> cases;
  for (int bits = 1; bits <= 8; bits++) {
    ElementDefinition table{.bits = bits, .table = {}, .layout = {}};
    for (int code = 0; code < 1 << bits; code++) {
      const auto value = static_cast<float>(code % 16);
      table.table.push_back(code % 3 == 0 ? 0.5f * value : -value);
    }
    for (const NormalizedOperator& op : Operators(a, bits, table)) {
      if (!SupportsByteWeight(op, target).ok()) continue;
      cases.push_back({op});
      OperatorDescriptor with_zeros = op.ToDescriptor();
      with_zeros.zeros = "quantized";
      const absl::StatusOr<NormalizedOperator> zeros = Normalize(with_zeros);
      if (zeros.ok() && SupportsByteWeight(*zeros, target).ok()) cases.push_back({op, (1 << bits) - 1});
    }
  }
  return cases;
}

std::string Check(const ByteCase& c) {
  const ElementType& element = c.op.weight().element;
  const PackedLayout layout = PackedLayout::For(c.op);
  const uint32_t count = 1u << element.bits;
  // As many blocks as it takes to have every code at every place of a lane.
  const auto code_at = [&](uint32_t block, int row, int column) {
    return (static_cast<uint32_t>(row * 128 + column) * 37 + static_cast<uint32_t>(row) + block) % count;
  };
  PrimitiveCase kernel;
  kernel.call = absl::StrFormat("decode_bytes_kernel<Config::Weight, %s>(p, %d)", c.zero >= 0 ? "true" : "false",
                                std::max(c.zero, 0));
  kernel.declarations = Declarations(c.op);
  kernel.blocks = count;
  kernel.m = static_cast<int>(count);
  for (uint32_t block = 0; block < count; block++) {
    std::vector<uint8_t> codes(NaturalWeightBytes(layout)), scales(NaturalScaleBytes(layout)),
        packed(layout.weight_bytes()), packed_scales(layout.scale_bytes());
    for (int row = 0; row < 64; row++) {
      for (int column = 0; column < 128; column++) {
        SetNaturalCode(codes, element.bits, 128, row, column, code_at(block, row, column));
      }
    }
    const absl::Status status = PackReference(layout, codes, scales, {}, packed, packed_scales, {});
    if (!status.ok()) return status.ToString();
    kernel.x.resize((block + 1) * packed.size() / 4);
    std::memcpy(kernel.x.data() + block * packed.size() / 4, packed.data(), packed.size());
  }
  kernel.w.resize(1);
  kernel.y_words = count * 2048 + 1;
  EmulatorCompiler compiler;
  const absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, kernel, 0);
  if (!y.ok()) return y.status().ToString();
  const double unit = std::ldexp(1.0, static_cast<int32_t>(y->back()));
  for (int64_t at = 0; at < int64_t{count} * 2048 * 4; at++) {  // bytes
    const int thread = static_cast<int>(at / 64 % 128), lane = thread % 32;
    const int f = static_cast<int>(at / 16 % 4), i = static_cast<int>(at / 4 % 4);
    const int row = thread / 32 * 16 + lane / 4 + 8 * (i & 1);
    const int column = 32 * f + 4 * (lane % 4) + static_cast<int>(at % 4) + 16 * (i >> 1);
    const uint32_t code = code_at(static_cast<uint32_t>(at / 8192), row, column);
    const double expected = element.Decode(code) - std::max(c.zero, 0);
    const auto byte = static_cast<uint8_t>((*y)[at / 4] >> (8 * (at % 4)));
    // Unsigned codes of 8 bits are multiplied as such.
    const bool whole = element.kind == ElementKind::kUnsigned && element.bits == 8;
    const double got = (whole ? byte : LoadElement(ByteType(c.op), &byte, 0)) * unit;
    if (got != expected && !(std::isnan(got) && std::isnan(expected))) {
      return absl::StrFormat("code %u at row %d, column %d: %g, expected %g", code, row, column, got, expected);
    }
  }
  return "";
}

// To bytes, as numbers: what is multiplied is the byte, whose value times a power of two is the element's.
class ByteDecodeTest : public testing::TestWithParam<std::string> {};
TEST_P(ByteDecodeTest, EveryCodeAtEveryPlace) {
  const std::vector<ByteCase> cases = ByteCases(GetParam());
  EXPECT_GT(cases.size(), 10u);
  for (const ByteCase& c : cases) EXPECT_EQ(Check(c), "") << c.op.ToString() << ", zero " << c.zero;
}
INSTANTIATE_TEST_SUITE_P(All, ByteDecodeTest, testing::Values("int8", "fp8_e4m3", "fp8_e5m2"),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

// Activations of 8 bits that are multiplied in 16: every code, with every scale where they have one, is its number
// rounded once, which it is exactly unless no number of the type is as small or as large.
TEST(WidenTest, EveryCodeAndScale) {
  struct Widened {
    DataType x, compute;
    bool scaled;
    const char* arch = "sm_90a";
  };
  std::vector<Widened> cases;
  for (const DataType x : {DataType::kE4M3, DataType::kE5M2, DataType::kI8}) {
    cases.push_back({x, DataType::kF16, false});
    cases.push_back({x, DataType::kBF16, false});
    if (x != DataType::kI8) cases.push_back({x, DataType::kBF16, true});
  }
  cases.push_back({DataType::kE4M3, DataType::kF16, false, "sm_80"});  // without conversions
  const auto type_name = [](DataType type) {
    return type == DataType::kE4M3 ? "E4M3" : type == DataType::kE5M2 ? "E5M2" : type == DataType::kI8 ? "I8" : "";
  };
  EmulatorCompiler compiler;
  for (const Widened& c : cases) {
    PrimitiveCase kernel;
    kernel.call = absl::StrFormat("widen_kernel<WidenConfig<%s, %s, %d>>(p)", type_name(c.x),
                                  c.compute == DataType::kF16 ? "F16" : "BF16", c.scaled ? 1 : 0);
    kernel.blocks = c.scaled ? 256 : 1;
    kernel.x.resize(1);
    kernel.w.resize(1);
    kernel.y_words = kernel.blocks * 128;
    const absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, kernel, 0, c.arch);
    ASSERT_TRUE(y.ok()) << kernel.call << ": " << y.status();
    for (int64_t at = 0; at < kernel.y_words * 2; at++) {
      const auto code = static_cast<uint8_t>(at % 256), scale = static_cast<uint8_t>(at / 256);
      const double factor = c.scaled ? LoadExact(DataType::kE8M0, &scale, 0) : 1;
      uint16_t expected = 0;
      StoreElement(c.compute, &expected, 0, static_cast<float>(LoadExact(c.x, &code, 0) * factor));
      const auto got = static_cast<uint16_t>((*y)[at / 2] >> (16 * (at % 2)));
      const bool nans = IsNan(c.compute, expected) && IsNan(c.compute, got);
      ASSERT_TRUE(got == expected || nans)
          << absl::StrFormat("%s: code %d, scale %d: %04x, expected %04x", kernel.call, code, scale, got, expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, DecodeTest,
                         testing::Combine(testing::Values(DataType::kF16, DataType::kBF16), testing::Range(1, 9)),
                         [](const testing::TestParamInfo<std::tuple<DataType, int>>& info) {
                           return absl::StrCat(Name(std::get<0>(info.param)), "_", std::get<1>(info.param));
                         });

}  // namespace
}  // namespace ladder::emulator
