// Scales and zero points of the two rows a lane holds in an A fragment (lane/4 and lane/4 + 8), and the decode that
// uses them. Two values of 16 bits travel in one u32: the first row's in the low half.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

template <class A, class B>
struct SameType {
  static constexpr bool value = false;
};
template <class A>
struct SameType<A, A> {
  static constexpr bool value = true;
};

LADDER_DEVICE constexpr int common_divisor(int a, int b) { return b == 0 ? a : common_divisor(b, a % b); }

// The planes' geometry: [ceil(N/64)][K/group][64].
template <class Config>
struct ScalePlane {
  static constexpr int kGroups = Config::kK / Config::kGroup;
  static constexpr bool kPerChannel = kGroups == 1;
  // A group whose index would pass the last one belongs to padded columns: any finite scale does there.
  static LADDER_DEVICE int group_of(int k) {
    const int group = k / Config::kGroup;
    return group < kGroups ? group : kGroups - 1;
  }
  // Element of (64-row block, group, row within the block), in a plane of 16-bit values.
  static LADDER_DEVICE i64 element(int row_block, int group, int row) {
    return (static_cast<i64>(row_block) * kGroups + group) * 64 + row;
  }
  // Byte of the zero codes of up to 4 bits of rows `16 * tile + r` and `+ 8`.
  static LADDER_DEVICE i64 zero_byte(int row_block, int group, int tile, int r) {
    return (static_cast<i64>(row_block) * kGroups + group) * 32 + 8 * tile + r;
  }
};

// 16-bit values of a row and of the row 8 further, from a plane in global or shared memory.
LADDER_DEVICE u32 load_row_pair(const void* row) {
  const u16* p = static_cast<const u16*>(row);
  return load_constant_u16(p) | (load_constant_u16(p + 8) << 16);
}
LADDER_DEVICE u32 load_row_pair_shared(u32 row) { return load_shared_u16(row) | (load_shared_u16(row + 16) << 16); }

// One 16-bit value of a pair in both halves.
LADDER_DEVICE u32 spread_low(u32 pair) { return byte_permute(pair, 0, 0x1010u); }
LADDER_DEVICE u32 spread_high(u32 pair) { return byte_permute(pair, 0, 0x3232u); }

// A plane's value in the compute type: the same bits, or rounded once where the types differ.
template <class Compute, class Scale>
LADDER_DEVICE u32 to_compute(u32 bits) {
  if constexpr (SameType<Compute, Scale>::value) return bits;
  return from_float(Compute{}, to_float(Scale{}, bits & 0xffffu));
}

// From the words of a block to the A fragment of a step, for one row tile within one group.
//   kScaleInWeights: a = w * s rounded once to the compute type; otherwise a = dec(w) and s belongs on fp32 sums.
//   rescaled zeros: a = q * s - z rounded once, whatever kScaleInWeights says.
// Zeros and scales of another 16-bit type than Compute go through fp32 where rounding them first would cancel.
template <class Config, bool kScaleInWeights>
struct Dequantizer {
  using Compute = typename Config::Compute;
  using Scale = typename Config::Scale;
  using Weight = typename Config::Weight;
  static constexpr Zeros kZeros = Config::kZeros;
  static constexpr bool kSame = SameType<Compute, Scale>::value;
  static constexpr bool kNeedsScale = kScaleInWeights || kZeros == Zeros::kRescale;
  static constexpr bool kNeedsZero = kZeros != Zeros::kNone;

  u32 offset[2];  // what decode_step subtracts, per row
  u32 scale[2];   // per row: in both halves (compute type), or fp32 bits where the types differ
  u32 zero[2];    // likewise; negated for rescaled zeros

  // `scales`: load_row_pair of the scales; `zeros`: likewise, or the two quantized zeros, of 4 or 8 bits. Unneeded ones
  // are ignored.
  LADDER_DEVICE void set(u32 scales, u32 zeros) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
      if constexpr (!Weight::kTable) {
        if constexpr (kZeros == Zeros::kNone) {
          offset[r] = decode_offset<Compute, Weight>(Weight::kOffset);
        } else if constexpr (kZeros == Zeros::kQuantized) {
          constexpr int kZeroBits = Weight::kBits > 4 ? 8 : 4;
          offset[r] = decode_offset<Compute, Weight>((zeros >> (kZeroBits * r)) & ((1u << kZeroBits) - 1));
        } else {
          offset[r] = decode_offset<Compute, Weight>(0);
        }
      }
      if constexpr (kZeros == Zeros::kOriginal || kZeros == Zeros::kRescale) {
        zero[r] = kSame ? (r == 0 ? spread_low(zeros) : spread_high(zeros))
                        : float_bits(to_float(Scale{}, (zeros >> (16 * r)) & 0xffffu));
        if constexpr (kZeros == Zeros::kRescale) zero[r] ^= kSame ? 0x80008000u : 0x80000000u;
      }
      if constexpr (kZeros == Zeros::kRescale && !kSame) {
        scale[r] = float_bits(to_float(Scale{}, (scales >> (16 * r)) & 0xffffu));
      } else if constexpr (kNeedsScale) {
        scale[r] = to_compute<Compute, Scale>((scales >> (16 * r)) & 0xffffu) * 0x00010001u;
      }
    }
  }

  // After the codes became values without zeros and scales: both, in place.
  LADDER_DEVICE void finish(u32 (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = i & 1;
      if constexpr (kZeros == Zeros::kRescale) {
        a[i] = kSame ? fma2(Compute{}, a[i], scale[r], zero[r]) : in_float(a[i], scale[r], zero[r]);
      } else {
        if constexpr (kZeros == Zeros::kOriginal) {
          a[i] = kSame ? sub2(Compute{}, a[i], zero[r]) : in_float(a[i], 0x3f800000u, zero[r] ^ 0x80000000u);
        }
        if constexpr (kScaleInWeights) a[i] = mul2(Compute{}, a[i], scale[r]);
      }
    }
  }

  LADDER_DEVICE void decode(const u32 (&words)[Weight::kBits], int step, u32 (&a)[4]) const {
    // Without quantized zeros the offset is Weight::kOffset, which is 0 for the unsigned codes that have zeros at all.
    decode_step<Compute, Weight, kZeros != Zeros::kQuantized>(words, step, offset, a);
    finish(a);
  }

 private:
  // A pair times `factor` plus `addend` (fp32 bits), rounded once: the product of two 16-bit values is exact in fp32.
  static LADDER_DEVICE u32 in_float(u32 pair, u32 factor, u32 addend) {
    const float low = to_float(Compute{}, pair & 0xffffu) * bits_float(factor) + bits_float(addend);
    const float high = to_float(Compute{}, pair >> 16) * bits_float(factor) + bits_float(addend);
    return from_float2(Compute{}, low, high);
  }
};

}  // namespace ladder
