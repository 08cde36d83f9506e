// Every primitive against an independent account of what it does, from natural and from shuffled thread orders.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>

#include "core/types/data_type.h"
#include "core/types/float_format.h"
#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

using Words = std::vector<uint32_t>;

class PrimitivesTest : public testing::TestWithParam<PrimitiveCase> {};

float Value(bool bf16, uint32_t bits) {
  return bf16 ? BFloat16ToFloat(static_cast<uint16_t>(bits)) : HalfToFloat(static_cast<uint16_t>(bits));
}
float Element(DataType type, const Words& words, int64_t index) { return LoadElement(type, words.data(), index); }

// Of operand A.
float ElementOfA(const PrimitiveCase& c, int64_t index) {
  const float value = Element(c.a_type, c.x, index);
  return c.unsigned_a && value < 0 ? value + 256 : value;
}

// D = A * B^T of the warp group cases, in the accumulators' order.
Words ExpectedWgmma(const PrimitiveCase& c) {
  Words y(c.y_words);
  for (int t = 0; t < 128; ++t) {
    for (int i = 0; i < c.n / 2; ++i) {
      const int row = 16 * (t / 32) + t % 32 / 4 + 8 * (i >> 1 & 1), column = i / 4 * 8 + 2 * (t % 4) + (i & 1);
      const int columns = 128 / static_cast<int>(Bytes(c.a_type));
      float sum = 0;
      for (int k = 0; k < columns; ++k) {
        sum += ElementOfA(c, row * columns + k) * Element(c.b_type, c.w, column * columns + k);
      }
      const bool integer = c.b_type == DataType::kI8;
      y[t * (c.n / 2) + i] = integer ? static_cast<uint32_t>(static_cast<int32_t>(sum)) : std::bit_cast<uint32_t>(sum);
    }
  }
  return y;
}

Words ExpectedApproximations(const PrimitiveCase& c) {
  Words y;
  for (const uint32_t word : c.x) {
    const double x = std::bit_cast<float>(word);
    for (const double value : {std::exp2(x), 1 / x, std::erf(x)}) {
      y.push_back(std::bit_cast<uint32_t>(static_cast<float>(value)));
    }
  }
  return y;
}

Words ExpectedMma(const PrimitiveCase& c, bool bf16) {
  Words y(512);
  auto half = [&](uint32_t word, int h) { return Value(bf16, word >> (16 * h) & 0xffff); };
  for (int t = 0; t < 128; ++t) {
    for (int e = 0; e < 4; ++e) {
      const int row = t % 32 / 4 + 8 * (e >> 1), column = 2 * (t % 4) + (e & 1);
      float sum = 1 + e;
      for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < 16; ++k) {
          const int pair = k % 8 / 2, upper = k / 8;
          const int a_lane = t / 32 * 32 + row % 8 * 4 + pair, b_lane = t / 32 * 32 + column * 4 + pair;
          sum += half(c.x[4 * a_lane + row / 8 + 2 * upper], k & 1) * half(c.w[(2 * b_lane + upper + i) % 256], k & 1);
        }
      }
      y[4 * t + e] = std::bit_cast<uint32_t>(sum);
    }
  }
  return y;
}

// Fragments of mma.m16n8k32 as the PTX manual has them: lane l holds of A, in register i, row l / 4 + 8 (i % 2),
// columns 4 (l % 4) + 16 (i / 2) and the three after; of B, in register i, column l / 4 and those rows.
Words ExpectedMma8(const PrimitiveCase& c) {
  Words y(512);
  for (int warp = 0; warp < 4; ++warp) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float sum = static_cast<float>(i + 1);
        for (int step = 0; step < 2; ++step) {
          for (int k = 0; k < 32; ++k) {
            const int a_thread = 32 * warp + 4 * (row % 8) + k % 16 / 4, a_register = row / 8 + k / 16 * 2;
            const int b_thread = 32 * warp + 4 * column + k % 16 / 4, b_word = (2 * b_thread + k / 16 + step) % 256;
            sum += ElementOfA(c, 4 * (4 * a_thread + a_register) + k % 4) * Element(c.b_type, c.w, 4 * b_word + k % 4);
          }
        }
        const bool integer = c.b_type == DataType::kI8;
        y[4 * (32 * warp + lane) + i] =
            integer ? static_cast<uint32_t>(static_cast<int32_t>(sum)) : std::bit_cast<uint32_t>(sum);
      }
    }
  }
  return y;
}

Words ExpectedDecode(const PrimitiveCase& c, bool bf16, int offset) {
  Words y(512);
  for (int t = 0; t < 128; ++t) {
    for (int i = 0; i < 4; ++i) {
      for (int h = 0; h < 2; ++h) {
        const float value = static_cast<float>(static_cast<int>(c.x[t] >> (16 * h + 4 * i) & 15) - offset);
        y[4 * t + i] |= static_cast<uint32_t>(bf16 ? FloatToBFloat16(value) : FloatToHalf(value)) << (16 * h);
      }
    }
  }
  return y;
}

// Entry e of the table is bytes (high e, low 16 + e).
Words ExpectedTable(const PrimitiveCase& c) {
  Words y(512);
  for (int t = 0; t < 128; ++t) {
    for (int i = 0; i < 4; ++i) {
      for (int h = 0; h < 2; ++h) {
        const uint32_t code = c.x[t] >> (8 * i + 4 * h) & 15;
        y[4 * t + i] |= (code << 8 | (16 + code)) << (16 * h);
      }
    }
  }
  return y;
}

Words ExpectedConversion(const PrimitiveCase& c) {
  Words y;
  for (const uint32_t pair : c.x) {
    const auto half = [&](uint32_t code) {
      return std::isnan(E4M3ToFloat(static_cast<uint8_t>(code))) ? 0x7e00u : FloatToHalf(E4M3ToFloat(code));
    };
    y.push_back(half(pair & 0xff) | half(pair >> 8) << 16);
  }
  return y;
}

Words ExpectedShuffle(const PrimitiveCase& c) {
  Words y(256);
  for (int t = 0; t < 128; ++t) {
    y[2 * t] = c.x[t / 32 * 32 + (7 * t + 3) % 32];
    y[2 * t + 1] = c.x[t ^ 5];
  }
  return y;
}

Words ExpectedMemory(const PrimitiveCase& c) {
  Words y(512);
  for (int t = 0; t < 128; ++t) {
    const uint32_t* v = &c.x[4 * (127 - t)];
    const uint32_t swapped = v[1] >> 16 | v[1] << 16;
    y[4 * t] = v[0] >> 16;
    y[4 * t + 1] = 2 * swapped;
    y[4 * t + 2] = (v[2] & 0xff) | (v[2] >> 24) << 8;
    y[4 * t + 3] = v[3];
  }
  return y;
}

Words ExpectedLoadMatrix(const PrimitiveCase& c) {
  Words y(768);
  for (int t = 0; t < 128; ++t) {
    auto row_word = [&](int lane, int step, int start) { return c.x[4 * ((step * lane + start) % 128) + t % 4]; };
    for (int j = 0; j < 4; ++j) y[6 * t + j] = row_word(t / 32 * 32 + 8 * j + t % 32 / 4, 5, 3);
    for (int j = 0; j < 2; ++j) y[6 * t + 4 + j] = row_word(t / 32 * 32 + 8 * j + t % 32 / 4, 3, 1);
  }
  return y;
}

Words ExpectedCopyAsync(const PrimitiveCase& c) {
  Words y(640);
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 256; ++j) y[320 * i + j] = j / 4 % 3 == 0 ? 0 : c.x[256 * i + j];
    for (int j = 0; j < 64; ++j) y[320 * i + 256 + j] = (64 + j) % 3 != 0 ? 0 : c.w[64 * i + j];
  }
  return y;
}

Words ExpectedNamedBarrier(const PrimitiveCase& c) {
  Words y(256);
  for (int i = 0; i < 256; ++i) y[i] = c.x[i / 64 * 64 + 63 - i % 64];
  return y;
}

Words ExpectedTensor(const PrimitiveCase& c) {
  Words y(c.y_words);
  uint16_t* bytes = reinterpret_cast<uint16_t*>(y.data());
  const uint16_t* x = reinterpret_cast<const uint16_t*>(c.x.data());
  const int pitch = c.map.box_columns;
  for (int r = 0; r < c.map.box_rows; ++r) {
    for (int i = 0; i < pitch; ++i) {
      const int row = r - 1, column = c.m + i;
      int chunk = i / 8;
      if (c.map.swizzle_bytes == 128) chunk ^= r % 8;
      if (c.map.swizzle_bytes == 64) chunk ^= r / 2 % 4;
      if (c.map.swizzle_bytes == 32) chunk ^= r / 4 % 2;
      const bool inside = row >= 0 && row < c.map.rows && column < c.map.columns;
      bytes[r * pitch + chunk * 8 + i % 8] = inside ? x[row * c.map.columns + column] : 0;
    }
  }
  return y;
}

Words ExpectedLastArriver() {
  Words y(128);
  for (int t = 0; t < 128; ++t) {
    float sum = 0;
    for (int b = 0; b < 5; ++b) sum += static_cast<float>(128 * b + t);
    y[t] = std::bit_cast<uint32_t>(sum);
  }
  return y;
}

// A value rounded to the type once: the nearest of its neighbours in exact (128-bit) arithmetic.
uint16_t RoundExactly(bool bf16, __float128 value) {
  uint16_t best = 0;
  __float128 best_distance = 0;
  bool found = false;
  const uint16_t near = bf16 ? FloatToBFloat16(static_cast<float>(value)) : FloatToHalf(static_cast<float>(value));
  const uint16_t infinity = bf16 ? 0x7f80 : 0x7c00;
  for (int delta = -1; delta <= 1; ++delta) {
    const uint16_t candidate = static_cast<uint16_t>(near + delta);
    if ((candidate & 0x7fff) > infinity || ((candidate ^ near) & 0x8000)) continue;
    // Infinity stands for the number after the largest.
    __float128 number = Value(bf16, candidate);
    if ((candidate & 0x7fff) == infinity) number = (candidate & 0x8000 ? -1 : 1) * std::ldexp(1.0, bf16 ? 128 : 16);
    const __float128 distance = number > value ? number - value : value - number;
    if (!found || distance < best_distance || (distance == best_distance && candidate % 2 == 0)) {
      best = candidate;
      best_distance = distance;
      found = true;
    }
  }
  return best;
}

Words ExpectedArithmetic(const PrimitiveCase& c, bool bf16) {
  Words y(1024);
  for (int t = 0; t < 128; ++t) {
    const uint32_t a = c.x[t], b = c.w[t], d = c.w[(t + 1) % 128];
    const float f = std::bit_cast<float>((a & 0xbfffffffu) | 0x20000000u);
    for (int h = 0; h < 32; h += 16) {
      const __float128 va = Value(bf16, a >> h & 0xffff), vb = Value(bf16, b >> h & 0xffff),
                       vd = Value(bf16, d >> h & 0xffff);
      y[8 * t] |= static_cast<uint32_t>(RoundExactly(bf16, va - vb)) << h;
      const __float128 product = va * vb;
      y[8 * t + 1] |= static_cast<uint32_t>(RoundExactly(bf16, product)) << h;
      y[8 * t + 2] |= static_cast<uint32_t>(RoundExactly(bf16, product + vd)) << h;
    }
    y[8 * t + 3] = std::bit_cast<uint32_t>(Value(bf16, a & 0xffff));
    y[8 * t + 4] = RoundExactly(bf16, f);
    y[8 * t + 5] = RoundExactly(bf16, f) | static_cast<uint32_t>(RoundExactly(bf16, -static_cast<__float128>(f))) << 16;
    y[8 * t + 6] = ((a & 0x0f0f1234u) | 0x64006400u) + 3 * ((a & b) | d) + 5 * ((a & b) ^ d);
    const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    for (int i = 0; i < 4; ++i) {
      const uint32_t selector = d >> (4 * i) & 15;
      uint32_t byte = bytes >> (8 * (selector & 7)) & 0xff;
      if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
      y[8 * t + 7] |= byte << (8 * i);
    }
  }
  return y;
}

Words ExpectedCluster(const PrimitiveCase& c) {
  Words y(c.y_words);
  for (size_t i = 0; i < c.x.size(); ++i) {
    const size_t t = i % 128, block = i / 128, first = block / 4 * 4, rank = block % 4;
    y[3 * i] = static_cast<uint32_t>(rank);
    y[3 * i + 1] = c.x[(first + (rank + 1) % 4) * 128 + t];
    y[3 * i + 2] = c.x[(first + (rank + 2) % 4) * 128 + t];
  }
  return y;
}

Words Expected(const PrimitiveCase& c) {
  const bool bf16 = c.name.find("BF16") != std::string::npos;
  if (c.wgmma) return ExpectedWgmma(c);
  if (c.name.starts_with("arithmetic")) return ExpectedArithmetic(c, bf16);
  if (c.name.starts_with("mma") && Bytes(c.b_type) == 1) return ExpectedMma8(c);
  if (c.name.starts_with("mma")) return ExpectedMma(c, bf16);
  if (c.name.starts_with("decode_integer")) return ExpectedDecode(c, bf16, c.name.back() == '8' ? 8 : 0);
  if (c.name.starts_with("decode_table")) return ExpectedTable(c);
  if (c.name == "approximations") return ExpectedApproximations(c);
  if (c.name == "e4m3_to_half2") return ExpectedConversion(c);
  if (c.name == "shuffle") return ExpectedShuffle(c);
  if (c.name == "elect") return {4};
  if (c.name == "memory") return ExpectedMemory(c);
  if (c.name == "load_matrix") return ExpectedLoadMatrix(c);
  if (c.name == "copy_async") return ExpectedCopyAsync(c);
  if (c.name == "copy_bulk") return c.x;
  if (c.name == "named_barrier") return ExpectedNamedBarrier(c);
  if (c.name == "last_arriver") return ExpectedLastArriver();
  if (c.name == "cluster") return ExpectedCluster(c);
  if (c.tensor_map) return ExpectedTensor(c);
  ADD_FAILURE() << "no expectation for " << c.name;
  return {};
}

TEST_P(PrimitivesTest, WritesWhatTheManualSays) {
  EmulatorCompiler compiler;
  const Words expected = Expected(GetParam());
  for (uint64_t seed : {0, 1, 2, 77}) {
    absl::StatusOr<Words> y = RunPrimitive(compiler, GetParam(), seed);
    ASSERT_TRUE(y.ok()) << y.status();
    ASSERT_EQ(y->size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(SameWord(GetParam(), (*y)[i], expected[i]))
          << "word " << i << ", seed " << seed << ": " << (*y)[i] << ", expected " << expected[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, PrimitivesTest, testing::ValuesIn(PrimitiveCases()),
                         [](const testing::TestParamInfo<PrimitiveCase>& info) { return info.param.name; });

}  // namespace
}  // namespace ladder::emulator
