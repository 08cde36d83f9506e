// Decoding packed 4-bit codes into the A fragment of mma.m16n8k16 and of wgmma with A from registers.
//
// One 32-bit word holds a lane's eight codes of one k16 step. Register i of the fragment is the pair at row
// lane/4 + 8 * (i & 1), columns 2 * (lane % 4) + {0, 1} + 8 * (i >> 1). Codes lie so that the decode is shortest:
//   integers: element h of register i in bits 16h + 4i   ((w >> 4i) & 0x000f000f is the pair)
//   tables:   element h of register i in bits 8i + 4h    (byte i is the pair)
// core/layout states the same; the emulator holds the two together.
#pragma once
#include "schedules/device/ptx.cuh"

namespace ladder {

// How zero points enter: none; (q - z) * s with z of the scale's type (original); q * s - z (rescale);
// (q - z) * s with z a code of the weight's width (quantized).
enum class Zeros { kNone, kOriginal, kRescale, kQuantized };

// Integers of 4 bits, stored unsigned: value = code - kOffset (8 for int4, 0 for uint4).
template <int kOffsetValue>
struct Integer4 {
  static constexpr bool kTable = false;
  static constexpr int kOffset = kOffsetValue;
};

// A table of 16 values of the compute type, as byte planes: word i of a plane holds entries 4i .. 4i + 3.
template <u32 kHigh0, u32 kHigh1, u32 kHigh2, u32 kHigh3, u32 kLow0, u32 kLow1, u32 kLow2, u32 kLow3>
struct Table4 {
  static constexpr bool kTable = true;
  static constexpr u32 kHigh[4] = {kHigh0, kHigh1, kHigh2, kHigh3};
  static constexpr u32 kLow[4] = {kLow0, kLow1, kLow2, kLow3};
};

// The integer-to-float trick: kBits | q is kBase + q exactly (fp16: 1024 + q, bf16: 128 + q).
template <class Compute>
struct Magic;
template <>
struct Magic<F16> {
  static constexpr u32 kBits = 0x64006400u;
  static constexpr bool kShifted = true;  // ten mantissa bits also hold 16q: 1024 + 16q
};
template <>
struct Magic<BF16> {
  static constexpr u32 kBits = 0x43004300u;
  static constexpr bool kShifted = false;
};

// The pair kBase + z in both halves, z a small non-negative integer: what decode_integer4 subtracts.
template <class Compute>
LADDER_DEVICE u32 magic_offset(u32 z) {
  return Magic<Compute>::kBits + z * 0x00010001u;
}

// a = code - z per row, exact. offset[r] = magic_offset(z of row lane/4 + 8r); the constant offset of a type without
// zeros folds away. fp16 saves two of the three shifts: odd registers take their code 4 bits further left, as 1024 +
// 16q, and (1024 + 16q) / 16 - (64 + z) is exact in one fused operation.
template <class Compute>
LADDER_DEVICE void decode_integer4(u32 word, const u32 (&offset)[2], u32 (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if constexpr (Magic<Compute>::kShifted) {
      const u32 shifted = word >> (8 * (i >> 1));
      if (i % 2 == 0) {
        a[i] = sub2(Compute{}, and_or<0x000f000fu, Magic<Compute>::kBits>(shifted), offset[0]);
      } else {
        const u32 negative = (offset[1] << 4) + 0x93fa9400u;  // -(64 + z) in both halves
        a[i] = fma2(Compute{}, and_or<0x00f000f0u, Magic<Compute>::kBits>(shifted), 0x2c002c00u, negative);
      }
    } else {
      a[i] = sub2(Compute{}, and_or<0x000f000fu, Magic<Compute>::kBits>(word >> (4 * i)), offset[i & 1]);
    }
  }
}

// Table lookup by byte permutes over registers: no memory, about 2.6 integer operations a weight.
template <class Table>
LADDER_DEVICE void decode_table4(u32 word, u32 (&a)[4]) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const u32 codes = word >> (16 * h);
    const u32 low_half = codes & 0x7777u;                 // index in either half of the table
    const u32 pick = ((codes & 0x8888u) >> 1) | 0x3210u;  // byte j, or 4 + j from the upper half
    const u32 high = byte_permute(byte_permute(Table::kHigh[0], Table::kHigh[1], low_half),
                                  byte_permute(Table::kHigh[2], Table::kHigh[3], low_half), pick);
    const u32 low = byte_permute(byte_permute(Table::kLow[0], Table::kLow[1], low_half),
                                 byte_permute(Table::kLow[2], Table::kLow[3], low_half), pick);
    a[2 * h] = byte_permute(low, high, 0x5140u);
    a[2 * h + 1] = byte_permute(low, high, 0x7362u);
  }
}

}  // namespace ladder
