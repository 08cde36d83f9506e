// Packed codes to the A fragment of one k16 step, with every zero mode, for kernels whose scales wait in shared
// memory. Rows of a lane: index r = 0, 1 is row lane / 4 + 8r of the warp's 16.
#pragma once
#include "schedules/device/pair_table.cuh"
#include "schedules/device/scales.cuh"

namespace ladder {

// Scale and zero of a lane's two rows: pairs of equal halves in the scale's type, so that one word serves the packed
// arithmetic. Quantized zeros are kept as what decode_step subtracts.
struct RowFactors {
  u32 scale[2];
  u32 zero[2];
};

// Reads the factors of one 64-row tile and one group. `scale` and `zero`: shared addresses of the tile's 64 scales and
// of its 64 zeros (quantized ones: 32 bytes of nibbles, or 64 above 4 bits); `row`: 16 * warp + lane / 4.
template <class Config>
LADDER_DEVICE void load_row_factors(u32 scale, u32 zero, u32 row, RowFactors& factors) {
  using Compute = typename Config::Compute;
  using Weight = typename Config::Weight;
  if constexpr (Config::kZeros == Zeros::kQuantized && Weight::kBits <= 4) {
    const u32 pair = load_shared_u8(zero + (row >> 4) * 8 + (row & 7));
    factors.zero[0] = decode_offset<Compute, Weight>(pair & 15);
    factors.zero[1] = decode_offset<Compute, Weight>(pair >> 4);
  }
#pragma unroll
  for (u32 r = 0; r < 2; r++) {
    if constexpr (Config::kZeros == Zeros::kQuantized && Weight::kBits > 4) {
      factors.zero[r] = decode_offset<Compute, Weight>(load_shared_u8(zero + row + 8 * r));
    }
    factors.scale[r] = load_shared_u16(scale + (row + 8 * r) * 2) * 0x00010001u;
    if constexpr (Config::kZeros == Zeros::kOriginal || Config::kZeros == Zeros::kRescale) {
      factors.zero[r] = load_shared_u16(zero + (row + 8 * r) * 2) * 0x00010001u;
    }
  }
}

// The scale of row r as a number.
template <class Config>
LADDER_DEVICE float row_scale(const RowFactors& factors, int r) {
  return to_float(typename Config::Scale{}, factors.scale[r] & 0xffffu);
}

// (q - z) * s, or the like, of one pair when scale and compute types differ: in fp32, rounded once at the end (twice
// where a difference with a fractional zero is scaled: u_dec and u_scale).
template <class Config, bool kScaled>
LADDER_DEVICE u32 finish_pair_mixed(u32 pair, const RowFactors& factors, int r) {
  using Compute = typename Config::Compute;
  float value[2] = {to_float(Compute{}, pair & 0xffffu), to_float(Compute{}, pair >> 16)};
  const float scale = row_scale<Config>(factors, r);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    if constexpr (Config::kZeros == Zeros::kRescale) {
      value[h] = value[h] * scale - to_float(typename Config::Scale{}, factors.zero[r] & 0xffffu);
    } else {
      if constexpr (Config::kZeros == Zeros::kOriginal) {
        value[h] -= to_float(typename Config::Scale{}, factors.zero[r] & 0xffffu);
      }
      if constexpr (kScaled) value[h] *= scale;
    }
  }
  return from_float2(Compute{}, value[0], value[1]);
}

// a = the fragment's weights: scaled and rounded once to the compute type (kScaled; rescale zeros are always so), or
// without the scale, which then multiplies fp32 sums. `lane_table`: the lane's column of the pair table, if there is
// one.
template <class Config, bool kScaled>
LADDER_DEVICE void decode_fragment(const u32 (&words)[Config::Weight::kBits], int step, u32 lane_table,
                                   const RowFactors& factors, u32 (&a)[4]) {
  using Compute = typename Config::Compute;
  using Weight = typename Config::Weight;
  if constexpr (Config::kPairTable != 0) {
    decode_shared_table<Weight>(words, step, lane_table, a);
  } else if constexpr (Weight::kTable || Config::kZeros == Zeros::kQuantized) {
    decode_step<Compute, Weight, false>(words, step, factors.zero, a);
  } else {
    const u32 offset[2] = {decode_offset<Compute, Weight>(Weight::kOffset),
                           decode_offset<Compute, Weight>(Weight::kOffset)};
    decode_step<Compute, Weight, true>(words, step, offset, a);
  }
  constexpr bool kFractional = Config::kZeros == Zeros::kOriginal || Config::kZeros == Zeros::kRescale;
  if constexpr (kScaled || kFractional) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if constexpr (!SameType<Compute, typename Config::Scale>::value) {
        a[i] = finish_pair_mixed<Config, kScaled>(a[i], factors, i & 1);
      } else if constexpr (Config::kZeros == Zeros::kRescale) {
        a[i] = fma2(Compute{}, a[i], factors.scale[i & 1], factors.zero[i & 1] ^ 0x80008000u);
      } else {
        if constexpr (Config::kZeros == Zeros::kOriginal) a[i] = sub2(Compute{}, a[i], factors.zero[i & 1]);
        if constexpr (kScaled) a[i] = mul2(Compute{}, a[i], factors.scale[i & 1]);
      }
    }
  }
}

}  // namespace ladder
