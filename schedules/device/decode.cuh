// Decoding packed codes into the A fragment of mma.m16n8k16 and of wgmma with A from registers.
//
// A lane has as many words for a block's four k16 steps as a code has bits; of 4 bits each is a step. Register i of the
// fragment is the pair at row lane/4 + 8 * (i & 1), columns 2 * (lane % 4) + {0, 1} + 8 * (i >> 1). Codes lie so that
// the decode is shortest:
//   integers: element h of register i in bits 16h + 4i   ((w >> 4i) & 0x000f000f is the pair)
//   tables:   element h of register i in bits 8i + 4h    (byte i is the pair)
// Other widths: core/layout/packed_layout.h, whose terms (cells, whole, rest) are used below; the emulator holds the
// two together.
#pragma once
#include "schedules/device/ptx.cuh"

namespace ladder {

// How zero points enter: none; (q - z) * s with z of the scale's type (original); q * s - z (rescale);
// (q - z) * s with z a code of the weight's width (quantized).
enum class Zeros { kNone, kOriginal, kRescale, kQuantized };

// What every weight is unless it says otherwise. kTable: codes stand for values without zero points.
struct WeightTraits {
  static constexpr bool kTable = false, kSigns = false, kFloat = false, kThroughHalf = false, kLookup = false;
};

// Integers of 4 bits, stored unsigned: value = code - kOffset (8 for int4, 0 for uint4).
template <int kOffsetValue>
struct Integer4 : WeightTraits {
  static constexpr int kBits = 4, kOffset = kOffsetValue;
};
// The same of any width from 1 to 8.
template <int kBitsValue, int kOffsetValue>
struct Integer : WeightTraits {
  static constexpr int kBits = kBitsValue, kOffset = kOffsetValue;
};
// int1: a code of 1 is +1, of 0 is -1.
struct Signs : WeightTraits {
  static constexpr bool kSigns = true;
  static constexpr int kBits = 1, kOffset = 0;
};

// A table of 16 values of the compute type, as byte planes: word i of a plane holds entries 4i .. 4i + 3.
template <u32 kHigh0, u32 kHigh1, u32 kHigh2, u32 kHigh3, u32 kLow0, u32 kLow1, u32 kLow2, u32 kLow3>
struct Table4 : WeightTraits {
  static constexpr bool kTable = true;
  static constexpr int kBits = 4;
  static constexpr u32 kHigh[4] = {kHigh0, kHigh1, kHigh2, kHigh3};
  static constexpr u32 kLow[4] = {kLow0, kLow1, kLow2, kLow3};
};

// A table of 2^kBitsValue values, at most 8, in the same form.
template <int kBitsValue, u32 kHigh0, u32 kHigh1, u32 kLow0, u32 kLow1>
struct Table : WeightTraits {
  static constexpr bool kTable = true;
  static constexpr int kBits = kBitsValue;
  static constexpr u32 kHigh[2] = {kHigh0, kHigh1};
  static constexpr u32 kLow[2] = {kLow0, kLow1};
};

// A table of 32 to 256 values, which is looked up in shared memory (pair_table.cuh). The generated text derives from
// it a type with `static u32 value(u32 code)`, the value in the compute type.
template <int kBitsValue>
struct Lookup : WeightTraits {
  static constexpr bool kTable = true, kLookup = true;
  static constexpr int kBits = kBitsValue;
};

// A float of 5 to 8 bits: sign, exponent and mantissa from the highest bit down. kNan: the code of all ones has no
// value (e4m3 of OCP's fp8).
template <int kExponentBitsValue, int kMantissaBitsValue, int kBiasValue, bool kNanValue>
struct Float : WeightTraits {
  static constexpr bool kTable = true, kFloat = true, kNan = kNanValue;
  static constexpr int kExponentBits = kExponentBitsValue, kMantissaBits = kMantissaBitsValue, kBias = kBiasValue;
  static constexpr int kBits = 1 + kExponentBits + kMantissaBits;
  // Of fp8, whether it is decoded by way of fp16.
  static constexpr bool kE4M3 = kExponentBits == 4 && kMantissaBits == 3 && kBias == 7 && kNan;
  static constexpr bool kThroughHalf = kE4M3 && kConvertsE4M3;
};
// e5m2: the upper half of an fp16 number, infinities and NaNs included.
struct HalfOfF16 : WeightTraits {
  static constexpr bool kTable = true, kFloat = true, kE4M3 = false, kThroughHalf = true;
  static constexpr int kBits = 8;
};

// The integer-to-float trick: kBits | q is kBase + q exactly (fp16: 1024 + q, bf16: 128 + q).
template <class Compute>
struct Magic;
template <>
struct Magic<F16> {
  static constexpr u32 kBits = 0x64006400u;
  static constexpr int kMantissa = 10, kExponentBias = 15;
  static constexpr bool kShifted = true;  // ten mantissa bits also hold 16q: 1024 + 16q
};
template <>
struct Magic<BF16> {
  static constexpr u32 kBits = 0x43004300u;
  static constexpr int kMantissa = 7, kExponentBias = 127;
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

// --- any width -------------------------------------------------------------------------------------------------------
// 2^exponent in both halves.
template <class Compute>
LADDER_DEVICE constexpr u32 power_pair(int exponent) {
  return static_cast<u32>(exponent + Magic<Compute>::kExponentBias) << Magic<Compute>::kMantissa;
}
template <class Compute>
LADDER_DEVICE constexpr u32 power2(int exponent) {
  return power_pair<Compute>(exponent) * 0x00010001u;
}
// -`value` in both halves, 0 < value < 2^(mantissa bits + 1): exact.
template <class Compute>
LADDER_DEVICE constexpr u32 negative_integer2(u32 value) {
  int top = 0;
  while ((value >> top) > 1) top++;
  constexpr int kMantissa = Magic<Compute>::kMantissa;
  const u32 fraction = (value << (kMantissa - top)) & ((1u << kMantissa) - 1);
  return (0x8000u | power_pair<Compute>(top) | fraction) * 0x00010001u;
}

// Codes of 8 bits have one bit more than bf16's magic number holds: the top one is added apart.
template <class Compute, class Weight>
inline constexpr bool kTopApart = Weight::kBits > Magic<Compute>::kMantissa;

// What decode_step subtracts for the zero point z, and for Weight::kOffset.
template <class Compute, class Weight>
LADDER_DEVICE u32 decode_offset(u32 z) {
  if constexpr (kTopApart<Compute, Weight>) {
    const float centred = bits_float(0x4b000000u + z) - 8388736.0f;  // 2^23 + z - (2^23 + 128)
    return from_float2(Compute{}, centred, centred);
  }
  return magic_offset<Compute>(z);
}

// Where code `code` (4 * step + register) lies that a cell holds whole.
struct CodePlace {
  int word, shift;  // within the cell
};
template <int kBits>
LADDER_DEVICE constexpr CodePlace whole_place(int code) {
  return {code / (16 / kBits), code % (16 / kBits) * kBits};
}

// Both codes of pair `code` (4 * step + register), in the lowest bits of their halves, the rest zero.
template <int kBits>
LADDER_DEVICE u32 code_pair(const u32 (&words)[kBits], int code) {
  constexpr int kWhole = 16 / kBits, kRest = 16 % kBits;
  if (code < kWhole * kBits) {
    const CodePlace at = whole_place<kBits>(code);
    return (words[at.word] >> at.shift) & ((1u << kBits) - 1) * 0x00010001u;
  }
  u32 pair = 0;
  if constexpr (kRest != 0) {
#pragma unroll
    for (int bit = 0; bit < kBits; bit++) {
      const int at = (code - kWhole * kBits) * kBits + bit;  // in the string of the cells' tops
      if (bit != 0 && at % kRest != 0) continue;             // within a run of bits of one word
      const int run = kRest - at % kRest < kBits - bit ? kRest - at % kRest : kBits - bit;
      pair |= (words[at / kRest] >> (16 - kRest + at % kRest - bit)) & (((1u << run) - 1) << bit) * 0x00010001u;
    }
  }
  return pair;
}

// a = code - z per row of step `step`, exact; offset[r] = decode_offset(z of row r). kConstant: z is Weight::kOffset.
// A whole code needs one mask and one fused operation: where its bits lie s places up within the mantissa, the masked
// word is base + 2^s q, and 2^-s times that less (2^-s base + z) is exact.
template <class Compute, class Weight, bool kConstant>
LADDER_DEVICE void decode_integer_step(const u32 (&words)[Weight::kBits], int step, const u32 (&offset)[2],
                                       u32 (&a)[4]) {
  constexpr int kBits = Weight::kBits, kMantissa = Magic<Compute>::kMantissa;
  constexpr int kWhole = 16 / kBits;
  constexpr u32 kMask = ((1u << kBits) - 1) * 0x00010001u;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int code = 4 * step + i;
    if constexpr (kTopApart<Compute, Weight>) {
      // q - 128 is 128 + (the lower seven bits) less 256, or less 128 with the top bit, which is where these differ.
      static_assert(kBits == 8 && kMantissa == 7);
      const CodePlace at = whole_place<kBits>(code);
      const u32 shifted = words[at.word] >> at.shift;
      const u32 low = and_or<0x007f007fu, Magic<Compute>::kBits>(shifted);
      a[i] = sub2(Compute{}, low, and_xor(shifted, 0x00800080u, 0x43804380u));
      if constexpr (!kConstant) {
        a[i] = sub2(Compute{}, a[i], offset[i & 1]);
      } else if constexpr (Weight::kOffset != 128) {
        a[i] = sub2(Compute{}, a[i], negative_integer2<Compute>(128 - Weight::kOffset));
      }
    } else if (code < kWhole * kBits) {
      constexpr int kWindow = kMantissa / kBits * kBits;  // places that one shift brings into the mantissa
      const CodePlace at = whole_place<kBits>(code);
      const int s = at.shift % kWindow;
      const u32 masked = and_or(words[at.word] >> (at.shift - s), kMask << s, Magic<Compute>::kBits);
      if (s == 0) {
        a[i] = sub2(Compute{}, masked, offset[i & 1]);
      } else if constexpr (kConstant) {
        const u32 base = (1u << kMantissa >> s) + Weight::kOffset;
        a[i] = fma2(Compute{}, masked, power2<Compute>(-s), negative_integer2<Compute>(base));
      } else {
        const u32 z = sub2(Compute{}, offset[i & 1], Magic<Compute>::kBits);
        const u32 negative = sub2(Compute{}, negative_integer2<Compute>(1u << kMantissa >> s), z);
        a[i] = fma2(Compute{}, masked, power2<Compute>(-s), negative);
      }
    } else {
      a[i] = sub2(Compute{}, code_pair<kBits>(words, code) | Magic<Compute>::kBits, offset[i & 1]);
    }
  }
}

// +-1: as above, 2^(1-s) (base + 2^s q) - (2^(1-s) base + 1) = 2q - 1; at the lowest place, whose 2 base + 1 has a bit
// too many, the bit becomes the sign.
template <class Compute>
LADDER_DEVICE void decode_signs_step(const u32 (&words)[1], int step, u32 (&a)[4]) {
  constexpr int kMantissa = Magic<Compute>::kMantissa, kWindow = kMantissa - 1;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int place = 4 * step + i;
    if (place == 0) {
      a[i] = and_xor(words[0] << 15, 0x80008000u, 0x80008000u | power2<Compute>(0));
    } else {
      const int s = (place - 1) % kWindow + 1;
      const u32 masked = and_or(words[0] >> (place - s), 0x00010001u << s, Magic<Compute>::kBits);
      a[i] = fma2(Compute{}, masked, power2<Compute>(1 - s), negative_integer2<Compute>((2u << kMantissa >> s) + 1));
    }
  }
}

// A table of at most 8 values: a word of a step's eight selectors, and two permutes for four of them.
template <class Table>
LADDER_DEVICE void decode_table_step(const u32 (&words)[Table::kBits], int step, u32 (&a)[4]) {
  constexpr int kBits = Table::kBits, kWhole = 4 / kBits;
  u32 codes = 0;
  if (step < kWhole * kBits) {
    codes = (words[step / kWhole] >> (step % kWhole * kBits)) & ((1u << kBits) - 1) * 0x11111111u;
  } else {
    // Only 3 bits leave a step over: bit b of its codes tops the nibbles of word b.
#pragma unroll
    for (int bit = 0; bit < kBits; bit++) codes |= (words[bit] >> (3 - bit)) & (0x11111111u << bit);
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const u32 four = codes >> (16 * h);
    const u32 high = byte_permute(Table::kHigh[0], Table::kHigh[1], four);
    const u32 low = byte_permute(Table::kLow[0], Table::kLow[1], four);
    a[2 * h] = byte_permute(low, high, 0x5140u);
    a[2 * h + 1] = byte_permute(low, high, 0x7362u);
  }
}

// Bits of `word`, `left` places further left, or right where that is negative.
LADDER_DEVICE u32 shift_left(u32 word, int left) { return left < 0 ? word >> -left : word << left; }

// A pair of fp16, which bf16 holds too, in the compute type.
LADDER_DEVICE u32 from_half2(F16, u32 half) { return half; }
LADDER_DEVICE u32 from_half2(BF16, u32 half) {
  return from_float2(BF16{}, to_float(F16{}, half & 0xffffu), to_float(F16{}, half >> 16));
}

// fp8 by way of fp16: a code is its upper byte, or the hardware converts it.
template <class Compute, class Weight>
LADDER_DEVICE void decode_fp8_step(const u32 (&words)[8], int step, u32 (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const u32 word = words[(4 * step + i) / 2];
    if constexpr (Weight::kE4M3) {
      a[i] = from_half2(Compute{}, e4m3_to_half2(byte_permute(word, 0, i % 2 == 0 ? 0x4420u : 0x4431u)));
    } else {
      a[i] = from_half2(Compute{}, byte_permute(word, 0, i % 2 == 0 ? 0x2404u : 0x3414u));
    }
  }
}

// Any small float. Its exponent and mantissa, at their places in a number of the compute type, make one too small by
// the difference of the biases, a subnormal where theirs is one: the product with that power of two is exact. The NaN
// must get the greatest exponent: adding to its lowest bit carries beyond the exponent, and what stands there then
// fills the upper bits of the compute type's.
template <class Compute, class Weight>
LADDER_DEVICE void decode_float_step(const u32 (&words)[Weight::kBits], int step, u32 (&a)[4]) {
  constexpr int kBits = Weight::kBits, kWhole = 16 / kBits, kMantissa = Magic<Compute>::kMantissa;
  constexpr int kPlace = kMantissa - Weight::kMantissaBits;  // of the lowest bit of the mantissa
  constexpr int kBeyond = kMantissa + Weight::kExponentBits;
  constexpr u32 kMagnitude = (((1u << (kBits - 1)) - 1) << kPlace) * 0x00010001u, kSign = 0x80008000u;
  static_assert(kBeyond < 15, "the number would become an infinity or a NaN");
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int code = 4 * step + i;
    const bool whole = code < kWhole * kBits;
    const int shift = whole ? whole_place<kBits>(code).shift : 0;
    const u32 word = whole ? words[whole_place<kBits>(code).word] : code_pair<kBits>(words, code);
    u32 pair = (shift_left(word, kPlace - shift) & kMagnitude) | (shift_left(word, 16 - kBits - shift) & kSign);
    if constexpr (Weight::kNan) {
      const u32 beyond = (pair + (0x00010001u << kPlace)) & (0x00010001u << kBeyond);
      pair += beyond * ((1u << (15 - kBeyond)) - 1);
    }
    a[i] = mul2(Compute{}, pair, power2<Compute>(Magic<Compute>::kExponentBias - Weight::kBias));
  }
}

// Step `step` of a lane's block.
template <class Compute, class Weight, bool kConstant>
LADDER_DEVICE void decode_step(const u32 (&words)[Weight::kBits], int step, const u32 (&offset)[2], u32 (&a)[4]) {
  static_assert(!Weight::kLookup, "decode_shared_table");
  if constexpr (Weight::kSigns) {
    decode_signs_step<Compute>(words, step, a);
  } else if constexpr (Weight::kThroughHalf) {
    decode_fp8_step<Compute, Weight>(words, step, a);
  } else if constexpr (Weight::kFloat) {
    decode_float_step<Compute, Weight>(words, step, a);
  } else if constexpr (Weight::kTable && Weight::kBits == 4) {
    decode_table4<Weight>(words[step], a);
  } else if constexpr (Weight::kTable) {
    decode_table_step<Weight>(words, step, a);
  } else if constexpr (Weight::kBits == 4) {
    decode_integer4<Compute>(words[step], offset, a);
  } else {
    decode_integer_step<Compute, Weight, kConstant>(words, step, offset, a);
  }
}

// Where a lane's words of a row tile lie, `block` being the first byte of the block: chunks of 4, 2, 1 words. One
// address for each size of chunk, from which loads of further tiles and blocks differ by constants.
template <int kBits>
struct LaneWords {
  static constexpr int kFours = kBits / 4, kBlock = 512 * kBits;
  const u8 *fours, *two, *one;

  LADDER_DEVICE LaneWords(const u8* block, int tile, int lane)
      : fours(block + tile * 512 + lane * 16),
        two(block + kFours * 2048 + tile * 256 + lane * 8),
        one(block + (kBits - 1) * 512 + tile * 128 + lane * 4) {}

  // Those of the tile `tiles` and the block `blocks` further on.
  LADDER_DEVICE void load(int tiles, int blocks, u32 (&words)[kBits]) const {
#pragma unroll
    for (int c = 0; c < kFours; c++) {
      const Vec4 v = load_stream(fours + blocks * kBlock + c * 2048 + tiles * 512);
      words[4 * c] = v.x, words[4 * c + 1] = v.y, words[4 * c + 2] = v.z, words[4 * c + 3] = v.w;
    }
    if constexpr ((kBits & 2) != 0) {
      const Vec2 v = load_stream_v2(two + blocks * kBlock + tiles * 256);
      words[4 * kFours] = v.x, words[4 * kFours + 1] = v.y;
    }
    if constexpr ((kBits & 1) != 0) words[kBits - 1] = load_stream_u32(one + blocks * kBlock + tiles * 128);
  }
};

// The same from shared memory. `place`: 32 * row tile + lane.
template <int kBits>
LADDER_DEVICE void load_lane_words_shared(u32 block, u32 place, u32 (&words)[kBits]) {
  constexpr int kFours = kBits / 4;
#pragma unroll
  for (int c = 0; c < kFours; c++) {
    const Vec4 v = load_shared_v4(block + c * 2048 + place * 16);
    words[4 * c] = v.x, words[4 * c + 1] = v.y, words[4 * c + 2] = v.z, words[4 * c + 3] = v.w;
  }
  if constexpr ((kBits & 2) != 0) {
    const Vec2 v = load_shared_v2(block + kFours * 2048 + place * 8);
    words[4 * kFours] = v.x, words[4 * kFours + 1] = v.y;
  }
  if constexpr ((kBits & 1) != 0) words[kBits - 1] = load_shared_u32(block + (kBits - 1) * 512 + place * 4);
}

}  // namespace ladder
