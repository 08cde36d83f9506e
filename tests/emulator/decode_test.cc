// Every code at every place of a packed block, through each decode of schedules/device/decode.cuh to each compute type,
// against the element's own values: layout and decode together, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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

INSTANTIATE_TEST_SUITE_P(All, DecodeTest,
                         testing::Combine(testing::Values(DataType::kF16, DataType::kBF16), testing::Range(1, 9)),
                         [](const testing::TestParamInfo<std::tuple<DataType, int>>& info) {
                           return absl::StrCat(Name(std::get<0>(info.param)), "_", std::get<1>(info.param));
                         });

}  // namespace
}  // namespace ladder::emulator
