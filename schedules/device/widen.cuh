// Activations of 8 bits whose products are computed in 16: codes become the compute type, exactly, also times the power
// of two of their group where they have one (mxfp8); a product with an fp32 scale is rounded once. fp16 holds all of
// fp8 and int8, bf16 likewise and every power of two; a product below its least number rounds once, as everywhere.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

// Two codes in bytes 0 and 1 of `pair`, as fp16.
LADDER_DEVICE u32 codes_to_half2(E4M3, u32 pair) {
  if constexpr (kConvertsE4M3) {
    return e4m3_to_half2(pair & 0xffffu);
  } else {
    // See decode_float_step: the magnitude at fp16's place is 2^-8 of the value, and 127 is to be a NaN.
    const u32 spread = byte_permute(pair, 0, 0x1404u);
    u32 half = (spread >> 1) & 0x3f803f80u;
    half += ((half + 0x00800080u) & 0x40004000u);
    return mul2(F16{}, half, 0x5c005c00u) | (spread & 0x80008000u);
  }
}
LADDER_DEVICE u32 codes_to_half2(E5M2, u32 pair) { return byte_permute(pair, 0, 0x1404u); }  // fp16's upper bytes
LADDER_DEVICE u32 codes_to_half2(I8, u32 pair) {
  // 1024 + (code + 128), less 1152.
  return sub2(F16{}, byte_permute(pair ^ 0x8080u, 0x64646464u, 0x4140u), 0x64806480u);
}

// What the codes of a group are multiplied by, from the bits of their scale: a pair of bf16, or an fp32 number. Without
// groups nothing.
template <class Config>
struct WidenFactor {
  static constexpr bool kPower = Config::kXGroup != 0 && kBytesOf<typename Config::XScale> == 1;
  u32 pair = 0;
  float number = 1.0f;
  LADDER_DEVICE explicit WidenFactor(u32 scale) {
    if constexpr (kPower) {
      pair = (scale == 0 ? 0x0040u : scale == 255 ? 0x7fc0u : scale << 7) * 0x00010001u;
    } else if constexpr (Config::kXGroup != 0) {
      number = bits_float(scale);
    }
  }
};

// A pair of the compute type from two codes, times the factor.
template <class Config>
LADDER_DEVICE u32 widen_pair(u32 codes, const WidenFactor<Config>& factor) {
  using Compute = typename Config::Compute;
  const u32 half = codes_to_half2(typename Config::X{}, codes);
  if constexpr (Config::kXGroup == 0) {
    return from_half2(Compute{}, half);
  } else if constexpr (WidenFactor<Config>::kPower) {
    return mul2(BF16{}, from_half2(BF16{}, half), factor.pair);
  } else {
    const float low = to_float(F16{}, half & 0xffffu), high = to_float(F16{}, half >> 16);
    return from_float2(Compute{}, low * factor.number, high * factor.number);
  }
}

// Eight codes of a row and group, the first in the lowest byte of `low`.
template <class Config>
LADDER_DEVICE Vec4 widen_eight(u32 low, u32 high, const WidenFactor<Config>& factor) {
  return Vec4{widen_pair<Config>(low, factor), widen_pair<Config>(low >> 16, factor), widen_pair<Config>(high, factor),
              widen_pair<Config>(high >> 16, factor)};
}

// Whether x has to be widened; the bits of the scale of a row's column.
template <class Config>
inline constexpr bool kWidens = kBytesOf<typename Config::X> < kBytesOf<typename Config::Compute>;
template <class Config>
LADDER_DEVICE i64 x_scale_at(i64 row, int column) {
  static_assert(Config::kXGroup != 0 && Config::kK % Config::kXGroup == 0, "groups divide K");
  return row * (Config::kK / Config::kXGroup) + column / Config::kXGroup;
}
template <class Config>
LADDER_DEVICE u32 load_x_scale(const MatmulArguments& p, i64 row, int column) {
  const i64 at = x_scale_at<Config>(row, column);
  if constexpr (kBytesOf<typename Config::XScale> == 1) return load_global_u8(static_cast<const u8*>(p.row_scale) + at);
  return load_global_u32(static_cast<const u32*>(p.row_scale) + at);
}

// Eight columns of x from `column`, a multiple of 8, on as they lie in memory, with the bits of their group's scale.
// Zeros beyond K.
struct RawEight {
  u32 low, high, scale;
};
template <class Config>
LADDER_DEVICE RawEight load_raw_eight(const MatmulArguments& p, i64 row, int column) {
  RawEight raw = {0, 0, 0};
  if (column >= Config::kK) return raw;
  const u8* const from = static_cast<const u8*>(p.x) + row * Config::kK + column;
  if constexpr (Config::kK % 8 == 0) {
    raw.low = load_global_u32(from);
    raw.high = load_global_u32(from + 4);
  } else {
#pragma unroll
    for (int e = 0; e < 8; e++) {
      if (column + e < Config::kK) (e < 4 ? raw.low : raw.high) |= load_global_u8(from + e) << (8 * (e % 4));
    }
  }
  if constexpr (Config::kXGroup != 0) raw.scale = load_x_scale<Config>(p, row, column);
  return raw;
}
template <class Config>
LADDER_DEVICE Vec4 widen(const RawEight& raw) {
  return widen_eight<Config>(raw.low, raw.high, WidenFactor<Config>(raw.scale));
}

// kRows x kColumns of x on their way through the registers of kThreads threads, in pieces of 8 columns. Rows beyond m
// and columns beyond K are zeros.
template <class Config, int kRows, int kColumns, int kThreads>
struct RawTile {
  static constexpr int kPieces = kRows * kColumns / 8, kRowPieces = kColumns / 8;
  static constexpr int kRounds = (kPieces + kThreads - 1) / kThreads;
  RawEight raw[kWidens<Config> ? kRounds : 1];

  LADDER_DEVICE void load(const MatmulArguments& p, int first_row, int first_column) {
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const int piece = i * kThreads + static_cast<int>(thread_id());
      const int row = first_row + piece / kRowPieces;
      raw[i] = {0, 0, 0};
      if ((kPieces % kThreads == 0 || piece < kPieces) && row < p.m) {
        raw[i] = load_raw_eight<Config>(p, row, first_column + piece % kRowPieces * 8);
      }
    }
  }
  // To the shared address place(row, piece of the row).
  template <class Place>
  LADDER_DEVICE void store(const Place& place) const {
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const int piece = i * kThreads + static_cast<int>(thread_id());
      if (kPieces % kThreads != 0 && piece >= kPieces) break;
      store_shared_v4(place(piece / kRowPieces, piece % kRowPieces), widen<Config>(raw[i]));
    }
  }
};

}  // namespace ladder
