// Every code at every place of a packed block, through each decode of schedules/device/decode.cuh to each compute type,
// against the element's own values: layout and decode together, to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/layout/natural_code.h"
#include "core/layout/packed_layout.h"
#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

struct DecodeCase {
  std::string weight;  // of decode.cuh
  NormalizedOperator op;
  DataType compute;
  uint32_t offset;  // what the kernel is told to subtract
  bool constant;
};

NormalizedOperator Op(const OperatorDescriptor& like) {
  OperatorDescriptor d = like;
  d.n = d.k = 64;
  d.group = 64;
  return *Normalize(d);
}

std::vector<DecodeCase> DecodeCases() {
  std::vector<DecodeCase> cases;
  for (const DataType compute : {DataType::kF16, DataType::kBF16}) {
    for (int bits = 1; bits <= 8; bits++) {
      const uint32_t half = 1u << (bits - 1);
      const NormalizedOperator is_signed = Op({.w = absl::StrCat("int", bits)});
      const NormalizedOperator is_unsigned = Op({.w = absl::StrCat("uint", bits)});
      if (bits == 1) {
        cases.push_back({"Signs", is_signed, compute, 0, true});
      } else {
        cases.push_back({absl::StrFormat("Integer<%d, %d>", bits, half), is_signed, compute, half, true});
      }
      const std::string type = absl::StrFormat("Integer<%d, 0>", bits);
      cases.push_back({type, is_unsigned, compute, 0, true});
      for (const uint32_t zero : {0u, half, 2 * half - 1}) {
        cases.push_back({type, is_unsigned, compute, zero, false});
      }
      if (bits > 3) continue;
      ElementDefinition definition{.bits = bits, .table = {}, .layout = {}};
      uint32_t words[4] = {};  // two of high bytes, two of low bytes
      for (int code = 0; code < 1 << bits; code++) {
        const float value = static_cast<float>(code * code) - 2.75f * static_cast<float>(code) + 0.5f;
        definition.table.push_back(value);
        uint16_t stored = 0;
        StoreElement(compute, &stored, 0, value);
        words[code / 4] |= static_cast<uint32_t>(stored >> 8) << (8 * (code % 4));
        words[2 + code / 4] |= static_cast<uint32_t>(stored & 0xff) << (8 * (code % 4));
      }
      cases.push_back({absl::StrFormat("Table<%d, %uu, %uu, %uu, %uu>", bits, words[0], words[1], words[2], words[3]),
                       Op({.element = definition}), compute, 0, true});
    }
  }
  return cases;
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
  PrimitiveCase kernel;
  kernel.call = absl::StrFormat("decode_block_kernel<%s, %s, %s>(p, %u)", c.compute == DataType::kF16 ? "F16" : "BF16",
                                c.weight, c.constant ? "true" : "false", c.offset);
  kernel.blocks = count;
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
    kernel.x.resize((block + 1) * packed.size() / 4);
    std::memcpy(kernel.x.data() + block * packed.size() / 4, packed.data(), packed.size());
  }
  kernel.w.resize(1);
  kernel.y_words = count * 2048;
  EmulatorCompiler compiler;
  const absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, kernel, 0);
  if (!y.ok()) return y.status().ToString();
  for (int64_t at = 0; at < kernel.y_words * 2; at++) {  // halves
    const int thread = static_cast<int>(at / 32 % 128), lane = thread % 32;
    const int f = static_cast<int>(at / 8 % 4), i = static_cast<int>(at / 2 % 4);
    const int row = thread / 32 * 16 + lane / 4 + 8 * (i & 1);
    const int column = 16 * f + 2 * (lane % 4) + static_cast<int>(at % 2) + 8 * (i >> 1);
    // The natural code of a signed element is two's complement: what is packed is the kernel's business.
    const uint32_t code = code_at(static_cast<uint32_t>(at / 4096), row, column);
    const double zero = c.constant ? 0 : c.offset;
    uint16_t expected = 0;
    StoreElement(c.compute, &expected, 0, static_cast<float>(element.Decode(code) - zero));
    const uint32_t got = (*y)[at / 2] >> (16 * (at % 2)) & 0xffff;
    if (got != expected) {
      return absl::StrFormat("code %u at row %d, column %d: %04x, expected %04x", code, row, column, got, expected);
    }
  }
  return "";
}

TEST(DecodeTest, EveryCodeAtEveryPlace) {
  const std::vector<DecodeCase> cases = DecodeCases();
  for (const DecodeCase& c : cases) {
    EXPECT_EQ(Check(c), "") << c.weight << " to " << Name(c.compute) << ", offset " << c.offset;
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
TEST(DecodeTest, EveryCodeAtEveryPlaceOfBytes) {
  const std::vector<ByteCase> cases = ByteCases();
  for (const ByteCase& c : cases) {
    EXPECT_EQ(Check(c), "") << c.weight << " of " << c.op.weight().element.name << ", zero " << c.zero;
  }
}

}  // namespace
}  // namespace ladder::emulator
