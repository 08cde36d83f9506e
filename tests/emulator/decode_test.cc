// Every code at every place of a packed block, through each decode of schedules/device/decode.cuh to each compute type,
// against the element's own values: layout and decode together, to the bit.
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
#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

struct DecodeCase {
  std::string weight;  // of decode.cuh
  NormalizedOperator op;
  DataType compute;
  std::vector<uint32_t> zeros = {};  // zero points that the kernel is told; none: what the type subtracts, a constant
  std::string declarations = "";
  std::string arch = "sm_90a";
};

NormalizedOperator Op(const OperatorDescriptor& like) {
  OperatorDescriptor d = like;
  d.n = d.k = 64;
  d.group = 64;
  return *Normalize(d);
}

// Values without a pattern, which the compute type rounds, and their bits in it.
struct TableCase {
  ElementDefinition definition;
  std::vector<uint16_t> stored;
};
TableCase MakeTable(int bits, DataType compute) {
  TableCase table = {.definition = {.bits = bits, .table = {}, .layout = {}}, .stored = {}};
  for (int code = 0; code < 1 << bits; code++) {
    const float value = static_cast<float>(code * code) - 2.7f * static_cast<float>(code) + 0.5f;
    table.definition.table.push_back(value);
    StoreElement(compute, &table.stored.emplace_back(), 0, value);
  }
  return table;
}

// The integers, tables and floats of so many bits.
std::vector<DecodeCase> DecodeCases(DataType compute, int bits) {
  std::vector<DecodeCase> cases;
  const uint32_t half = 1u << (bits - 1);
  const NormalizedOperator is_signed = Op({.w = absl::StrCat("int", bits)});
  const NormalizedOperator is_unsigned = Op({.w = absl::StrCat("uint", bits)});
  const std::string type = absl::StrFormat("Integer<%d, 0>", bits);
  cases.push_back({bits == 1 ? "Signs" : absl::StrFormat("Integer<%d, %d>", bits, half), is_signed, compute});
  cases.push_back({type, is_unsigned, compute});
  cases.push_back({type, is_unsigned, compute, {0u, half, 2 * half - 1}});
  const TableCase table = MakeTable(bits, compute);
  const NormalizedOperator tabular = Op({.element = table.definition});
  if (bits < 4) {
    uint32_t words[4] = {};  // two of high bytes, two of low bytes
    for (int code = 0; code < 1 << bits; code++) {
      words[code / 4] |= static_cast<uint32_t>(table.stored[code] >> 8) << (8 * (code % 4));
      words[2 + code / 4] |= static_cast<uint32_t>(table.stored[code] & 0xff) << (8 * (code % 4));
    }
    cases.push_back({absl::StrFormat("Table<%d, %uu, %uu, %uu, %uu>", bits, words[0], words[1], words[2], words[3]),
                     tabular, compute});
  } else if (bits > 4) {  // Table4 has a test of its own
    cases.push_back({"Values",
                     tabular,
                     compute,
                     {},
                     absl::StrFormat("LADDER_CONSTANT u16 stored[] = {%s};\nstruct Values : Lookup<%d> {\n  static "
                                     "LADDER_DEVICE u32 value(u32 code) { return stored[code]; }\n};\n",
                                     absl::StrJoin(table.stored, ", "), bits)});
  }
  if (bits == 6) {
    cases.push_back({"Float<3, 2, 3, false>", Op({.w = "fp6_e3m2"}), compute});
    cases.push_back({"Float<2, 3, 1, false>", Op({.w = "fp6_e2m3"}), compute});
  } else if (bits == 8) {
    cases.push_back({"Float<4, 3, 7, true>", Op({.w = "fp8_e4m3"}), compute});
    cases.push_back({"Float<4, 3, 7, true>", Op({.w = "fp8_e4m3"}), compute, {}, "", "sm_80"});  // without conversions
    cases.push_back({"HalfOfF16", Op({.w = "fp8_e5m2"}), compute});
  }
  return cases;
}

bool IsNan(DataType type, uint16_t bits) { return std::isnan(LoadElement(type, &bits, 0)); }

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
  kernel.call = absl::StrFormat("decode_block_kernel<%s, %s, %s>(p)", c.compute == DataType::kF16 ? "F16" : "BF16",
                                c.weight, c.zeros.empty() ? "true" : "false");
  kernel.declarations = c.declarations;
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
    StoreElement(c.compute, &expected, 0, static_cast<float>(element.Decode(code) - zero));
    const uint32_t got = (*y)[at / 2] >> (16 * (at % 2)) & 0xffff;
    if (got != expected && !(IsNan(c.compute, expected) && IsNan(c.compute, static_cast<uint16_t>(got)))) {
      return absl::StrFormat("code %u at row %d, column %d: %04x, expected %04x", code, row, column, got, expected);
    }
  }
  return "";
}

class DecodeTest : public testing::TestWithParam<std::tuple<DataType, int>> {};

TEST_P(DecodeTest, EveryCodeAtEveryPlace) {
  const auto [compute, bits] = GetParam();
  for (const DecodeCase& c : DecodeCases(compute, bits)) {
    EXPECT_EQ(Check(c), "") << c.weight << " on " << c.arch << (c.zeros.empty() ? "" : " less zero points");
  }
}

struct ByteCase {
  std::string weight;  // of byte_decode.cuh
  NormalizedOperator op;
  DataType byte;
  double unit;  // a weight's value over its byte's
  int zero = -1;
};

NormalizedOperator ByteOp(const char* a, const std::string& w, const std::optional<ElementDefinition>& element = {}) {
  return *Normalize({.a = a, .w = w, .element = element, .group = 64, .n = 64, .k = 128});
}

std::vector<ByteCase> ByteCases() {
  std::vector<ByteCase> cases;
  const auto power = [](int exponent) { return std::ldexp(1.0, exponent); };
  for (int bits = 1; bits <= 8; bits++) {
    const std::string int_name = absl::StrCat("int", bits), uint_name = absl::StrCat("uint", bits);
    const NormalizedOperator is_signed = ByteOp("int8", int_name), is_unsigned = ByteOp("int8", uint_name);
    const std::string low = absl::StrFormat("LowBytes<%d, I8, 0>", bits);
    if (bits == 1) {
      cases.push_back({"SignBytes", is_signed, DataType::kI8, power(-6)});
    } else {
      cases.push_back({absl::StrFormat("TopBytes<%d>", bits), is_signed, DataType::kI8, power(bits - 8)});
    }
    if (bits < 8) {
      cases.push_back({low, is_unsigned, DataType::kI8, 1});
      cases.push_back({low, is_unsigned, DataType::kI8, 1, (1 << bits) - 1});
    } else {
      // Codes as they are, so that the bytes are those of the natural form.
      cases.push_back({"LowBytes<8, E4M3, 0>", ByteOp("fp8_e4m3", "fp8_e4m3"), DataType::kE4M3, 1});
      cases.push_back({"LowBytes<8, E5M2, 0>", ByteOp("fp8_e4m3", "fp8_e5m2"), DataType::kE5M2, 1});
    }
    if (bits > 4) continue;
    cases.push_back(
        {absl::StrFormat("LowBytes<%d, E4M3, 9>", bits), ByteOp("fp8_e4m3", uint_name), DataType::kE4M3, power(9)});
    ElementDefinition table{.bits = bits, .table = {}, .layout = {}};
    uint32_t words[4] = {};
    for (int code = 0; code < 1 << bits; code++) {
      table.table.push_back(code % 3 == 0 ? 0.5f * static_cast<float>(code) : -static_cast<float>(code));
      uint8_t stored = 0;
      StoreElement(DataType::kE4M3, &stored, 0, table.table.back());
      words[code / 4] |= static_cast<uint32_t>(stored) << (8 * (code % 4));
    }
    cases.push_back(
        {absl::StrFormat("TableBytes<%d, E4M3, %uu, %uu, %uu, %uu>", bits, words[0], words[1], words[2], words[3]),
         ByteOp("fp8_e4m3", "", table), DataType::kE4M3, 1});
  }
  cases.push_back({"FloatBytes<4, 1, 6>", ByteOp("fp8_e4m3", "fp4_e2m1"), DataType::kE4M3, power(6)});
  cases.push_back({"FloatBytes<6, 2, 4>", ByteOp("fp8_e4m3", "fp6_e3m2"), DataType::kE4M3, power(4)});
  cases.push_back({"FloatBytes<6, 3, 6>", ByteOp("fp8_e5m2", "fp6_e2m3"), DataType::kE4M3, power(6)});
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
  kernel.call = absl::StrFormat("decode_bytes_kernel<%s, %s>(p, %d)", c.weight, c.zero >= 0 ? "true" : "false",
                                std::max(c.zero, 0));
  kernel.blocks = count;
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
  kernel.y_words = count * 2048;
  EmulatorCompiler compiler;
  const absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, kernel, 0);
  if (!y.ok()) return y.status().ToString();
  for (int64_t at = 0; at < kernel.y_words * 4; at++) {  // bytes
    const int thread = static_cast<int>(at / 64 % 128), lane = thread % 32;
    const int f = static_cast<int>(at / 16 % 4), i = static_cast<int>(at / 4 % 4);
    const int row = thread / 32 * 16 + lane / 4 + 8 * (i & 1);
    const int column = 32 * f + 4 * (lane % 4) + static_cast<int>(at % 4) + 16 * (i >> 1);
    const uint32_t code = code_at(static_cast<uint32_t>(at / 8192), row, column);
    const double expected = element.Decode(code) - std::max(c.zero, 0);
    const auto byte = static_cast<uint8_t>((*y)[at / 4] >> (8 * (at % 4)));
    const double got = LoadElement(c.byte, &byte, 0) * c.unit;
    if (got != expected && !(std::isnan(got) && std::isnan(expected))) {
      return absl::StrFormat("code %u at row %d, column %d: %g, expected %g", code, row, column, got, expected);
    }
  }
  return "";
}

// To bytes, as numbers: what is multiplied is the byte, whose value times a power of two is the element's.
TEST(ByteDecodeTest, EveryCodeAtEveryPlace) {
  const std::vector<ByteCase> cases = ByteCases();
  for (const ByteCase& c : cases) {
    EXPECT_EQ(Check(c), "") << c.weight << " of " << c.op.weight().element.name << ", zero " << c.zero;
  }
}
INSTANTIATE_TEST_SUITE_P(All, DecodeTest,
                         testing::Combine(testing::Values(DataType::kF16, DataType::kBF16), testing::Range(1, 9)),
                         [](const testing::TestParamInfo<std::tuple<DataType, int>>& info) {
                           return absl::StrCat(Name(std::get<0>(info.param)), "_", std::get<1>(info.param));
                         });

}  // namespace
}  // namespace ladder::emulator
