// Decoding packed codes into bytes, for activations of 8 bits: the A fragment of mma.m16n8k32 and of wgmma k32 with A
// from registers.
//
// A lane has twice as many words for a block's four k32 steps as a code has bits. Register i of the fragment is the
// four columns 4 * (lane % 4) + {0, 1, 2, 3} + 16 * (i >> 1) at row lane/4 + 8 * (i & 1). Codes lie so that the decode
// is shortest (class k32 of core/layout/packed_layout.h, whose terms are used below):
//   bytes       a register's codes in the four bytes of a word, so that a shift and a mask are the decode
//   looked up   a register's codes in the nibbles of half a word, as byte permutes take their selectors
// A weight is its byte's value, of type Weight::Byte, times 2^Weight::kExponent. Products of integers are exact, so
// that the power multiplies finished sums only.
#pragma once
#include "schedules/device/scales.cuh"

namespace ladder {

// Two's complement codes at the top of bytes: value * 2^(8 - kBits).
template <int kBitsValue>
struct TopBytes {
  using Byte = I8;
  static constexpr bool kTable = false, kLookup = false;
  static constexpr int kBits = kBitsValue, kExponent = kBits - 8;
};
// Codes at the bottom of bytes: unsigned integers as they are, and as the multiples of 2^-9 that e4m3's lowest numbers
// are; codes of 8 bits of any type.
template <int kBitsValue, class ByteType, int kExponentValue>
struct LowBytes {
  using Byte = ByteType;
  static constexpr bool kTable = false, kLookup = false;
  static constexpr int kBits = kBitsValue, kExponent = kExponentValue;
};
// int1: a code of 1 is +1, as 64, of 0 is -1, as -64.
struct SignBytes {
  using Byte = I8;
  static constexpr bool kTable = false, kLookup = false;
  static constexpr int kBits = 1, kExponent = -6;
};
// Floats of a sign, an exponent of at most 3 bits and kMantissa <= 3 bits as those of e4m3: its exponent's bias is
// another, which is a power of two, for subnormal numbers too.
template <int kBitsValue, int kMantissaValue, int kExponentValue>
struct FloatBytes {
  using Byte = E4M3;
  static constexpr bool kTable = false, kLookup = false;
  static constexpr int kBits = kBitsValue, kMantissa = kMantissaValue, kExponent = kExponentValue;
};
// A table of 2^kBits <= 16 bytes, entries 4i .. 4i + 3 in word i.
template <int kBitsValue, class ByteType, u32 k0, u32 k1, u32 k2, u32 k3>
struct TableBytes {
  using Byte = ByteType;
  static constexpr bool kTable = true, kLookup = false;
  static constexpr int kBits = kBitsValue, kExponent = 0;
  static constexpr u32 kEntries[4] = {k0, k1, k2, k3};
};

template <class Weight>
inline constexpr int kByteWords = 2 * Weight::kBits;

LADDER_DEVICE constexpr u32 every_byte(u32 byte) { return byte * 0x01010101u; }
LADDER_DEVICE u32 move_left(u32 word, int places) { return places >= 0 ? word << places : word >> -places; }

// The codes of register `code` (4 * step + register), their lowest bits at bit `to` of the bytes, other bits zero.
template <int kBits>
LADDER_DEVICE u32 code_bytes(const u32 (&words)[2 * kBits], int code, int to) {
  constexpr int kWhole = 8 / kBits, kRest = 8 % kBits, kWords = 2 * kBits;
  if (code < kWhole * kWords) {
    const int shift = code % kWhole * kBits;
    return move_left(words[code / kWhole], to - shift) & every_byte(((1u << kBits) - 1) << to);
  }
  u32 bytes = 0;
  if constexpr (kRest != 0) {
#pragma unroll
    for (int bit = 0; bit < kBits; bit++) {
      const int at = (code - kWhole * kWords) * kBits + bit;  // in the string of the cells' tops
      if (bit != 0 && at % kRest != 0) continue;              // within a run of bits of one word
      const int run = kRest - at % kRest < kBits - bit ? kRest - at % kRest : kBits - bit;
      const int from = 8 - kRest + at % kRest;
      bytes |= move_left(words[at / kRest], to + bit - from) & every_byte(((1u << run) - 1) << (to + bit));
    }
  }
  return bytes;
}

// The selectors of registers 2 * pair and 2 * pair + 1 of step `step`, in the halves of a word.
template <int kBits>
LADDER_DEVICE u32 code_nibbles(const u32 (&words)[2 * kBits], int step, int pair) {
  constexpr int kWhole = 4 / kBits, kWords = 2 * kBits;
  const int code = 2 * step + pair;
  if (code < kWhole * kWords) {
    return (words[code / kWhole] >> (code % kWhole * kBits)) & ((1u << kBits) - 1) * 0x11111111u;
  }
  // Only 3 bits leave codes over: their bits top the nibbles, one a word.
  u32 codes = 0;
#pragma unroll
  for (int bit = 0; bit < kBits; bit++) {
    codes |= (words[(code - kWhole * kWords) * kBits + bit] >> (3 - bit)) & (0x11111111u << bit);
  }
  return codes;
}

// Step `step` of a lane's block.
template <class Weight>
LADDER_DEVICE void decode_byte_step(const u32 (&words)[kByteWords<Weight>], int step, u32 (&a)[4]) {
  constexpr int kBits = Weight::kBits;
  if constexpr (Weight::kTable) {
#pragma unroll
    for (int pair = 0; pair < 2; pair++) {
      const u32 codes = code_nibbles<kBits>(words, step, pair);
      const u32 low_half = kBits == 4 ? codes & 0x77777777u : codes;  // index in either half of the table
      const u32 pick = ((codes & 0x88888888u) >> 1) | 0x32103210u;    // byte j, or 4 + j from the upper half
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const u32 low = byte_permute(Weight::kEntries[0], Weight::kEntries[1], low_half >> (16 * r));
        if constexpr (kBits < 4) {
          a[2 * pair + r] = low;
        } else {
          const u32 high = byte_permute(Weight::kEntries[2], Weight::kEntries[3], low_half >> (16 * r));
          a[2 * pair + r] = byte_permute(low, high, pick >> (16 * r));
        }
      }
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int code = 4 * step + i;
      if constexpr (SameType<Weight, SignBytes>::value) {
        a[i] = code_bytes<1>(words, code, 7) ^ 0xc0c0c0c0u;
      } else if constexpr (SameType<Weight, TopBytes<kBits>>::value) {
        a[i] = code_bytes<kBits>(words, code, 8 - kBits);
      } else if constexpr (SameType<Weight, LowBytes<kBits, typename Weight::Byte, Weight::kExponent>>::value) {
        a[i] = code_bytes<kBits>(words, code, 0);
      } else {
        // At the top the sign is in its place; the rest moves down to where e4m3 has it.
        const u32 top = code_bytes<kBits>(words, code, 8 - kBits);
        constexpr int kDown = 5 - kBits + Weight::kMantissa;
        a[i] = (top & 0x80808080u) |
               (move_left(top, -kDown) & every_byte(((1u << (kBits - 1)) - 1) << (3 - Weight::kMantissa)));
      }
    }
  }
}

// A sum of int8 products as a number: where it is within +-2^22 (256 products, of at most 2^14) by an addition to the
// bits of 1.5 * 2^23, whose last bit is a unit, and a subtraction, as conversions have a sixteenth of their rate.
template <bool kSmall>
LADDER_DEVICE float sum_number(int sum) {
  if constexpr (kSmall) return bits_float(static_cast<u32>(sum) + 0x4b400000u) - 12582912.0f;
  return static_cast<float>(sum);
}
template <bool kSmall>
LADDER_DEVICE float sum_number(float sum) {
  return sum;
}

// From a lane's words of a block to A fragments, for one row tile within one group: dec(w), or the difference of a code
// and its zero point. Scales belong on sums.
template <class Config>
struct ByteDequantizer {
  using Weight = typename Config::Weight;
  static constexpr bool kZeroCodes = Config::kZeros == Zeros::kQuantized;
  static_assert(!kZeroCodes || (Weight::kBits < 8 && SameType<typename Weight::Byte, I8>::value),
                "differences of codes of 8 bits have 9");

  u32 zero[2];  // of a row, in every byte

  // `zeros`: the quantized zeros of the rows, of 4 or 8 bits. Scales are not needed here.
  LADDER_DEVICE void set(u32 /*scales*/, u32 zeros) {
    if constexpr (kZeroCodes) {
      constexpr int kZeroBits = Weight::kBits > 4 ? 8 : 4;
#pragma unroll
      for (int r = 0; r < 2; r++) zero[r] = every_byte((zeros >> (kZeroBits * r)) & ((1u << kZeroBits) - 1));
    }
  }

  LADDER_DEVICE void decode(const u32 (&words)[kByteWords<Weight>], int step, u32 (&a)[4]) const {
    decode_byte_step<Weight>(words, step, a);
    if constexpr (kZeroCodes) {
      // 128 + q - z is between 1 and 255, so no byte borrows from its neighbour; less 128 it is the difference.
#pragma unroll
      for (int i = 0; i < 4; i++) a[i] = ((a[i] | 0x80808080u) - zero[i & 1]) ^ 0x80808080u;
    }
  }
};

}  // namespace ladder
