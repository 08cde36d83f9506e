// The GPU's form of PackReference and UnpackReference (core/layout): the same bits, by grid-striding threads. Loops
// over items stay rolled: their 64-bit divisions would make up most of the binary and of its compilation.
#pragma once
#include "schedules/device/ptx.cuh"
#include "schedules/support/abi.cuh"

namespace ladder::support {

LADDER_DEVICE i64 first_item() { return static_cast<i64>(block_id()) * blockDim.x + thread_id(); }
LADDER_DEVICE i64 item_stride() { return static_cast<i64>(block_count()) * blockDim.x; }

// Natural row of a row of the packed weight, and back.
LADDER_DEVICE i64 natural_row(const PackArguments& p, i64 row) {
  return p.gated == 0 ? row : row % 16 / 8 * (p.n / 2) + row / 16 * 8 + row % 8;
}
LADDER_DEVICE i64 packed_row(const PackArguments& p, i64 row) {
  if (p.gated == 0) return row;
  const i64 up = row >= p.n / 2 ? 1 : 0, column = row - up * (p.n / 2);
  return column / 8 * 16 + 8 * up + column % 8;
}

// 4-bit code `column` of row `row`; rows are byte-aligned.
LADDER_DEVICE u32 natural_code(const void* codes, i64 row, i64 column, i64 row_bytes) {
  return static_cast<const u8*>(codes)[row * row_bytes + column / 2] >> (4 * (column & 1)) & 0xf;
}

LADDER_DEVICE int code_shift(int placement, int pair, int element) {
  return placement == 1 ? 16 * element + 4 * pair : 8 * pair + 4 * element;
}

LADDER_DEVICE void copy_16bit(void* to, const void* from, i64 count) {
#pragma unroll 1
  for (i64 i = first_item(); i < count; i += item_stride()) static_cast<u16*>(to)[i] = static_cast<const u16*>(from)[i];
}

// One thread writes the 16 bytes of one lane of one row tile of one block.
LADDER_DEVICE void pack_codes(const PackArguments& p) {
  const i64 row_bytes = (p.k + 1) / 2;
  const i64 k_blocks = (p.k + 63) / 64;
  const i64 items = (p.n + 63) / 64 * k_blocks * 128;
#pragma unroll 1
  for (i64 item = first_item(); item < items; item += item_stride()) {
    const int lane = static_cast<int>(item % 32), tile = static_cast<int>(item / 32 % 4);
    const i64 block = item / 128;
    const i64 row0 = block / k_blocks * 64 + 16 * tile + lane / 4;
    const i64 column0 = block % k_blocks * 64 + 2 * (lane % 4);
    u32 words[4];
#pragma unroll
    for (int f = 0; f < 4; f++) {
      words[f] = 0;
#pragma unroll
      for (int pair = 0; pair < 4; pair++) {
        // Columns of a pair are 2c and 2c + 1: one byte.
        const i64 row = row0 + 8 * (pair & 1), column = column0 + 16 * f + 8 * (pair >> 1);
        if (row >= p.n || column >= p.k) continue;  // padding is packed as zero bits
        const u32 byte = static_cast<const u8*>(p.codes)[natural_row(p, row) * row_bytes + column / 2];
        const u32 flip = p.offset_binary ? 8u : 0u;
        words[f] |= ((byte & 0xf) ^ flip) << code_shift(p.placement, pair, 0);
        if (column + 1 < p.k) words[f] |= (byte >> 4 ^ flip) << code_shift(p.placement, pair, 1);
      }
    }
    store_global_v4(static_cast<Vec4*>(p.packed) + item, Vec4{words[0], words[1], words[2], words[3]});
  }
}

// One thread writes one natural byte: two columns of a row.
LADDER_DEVICE void unpack_codes(const PackArguments& p) {
  const i64 row_bytes = (p.k + 1) / 2;
  const i64 k_blocks = (p.k + 63) / 64;
#pragma unroll 1
  for (i64 item = first_item(); item < p.n * row_bytes; item += item_stride()) {
    const i64 row = packed_row(p, item / row_bytes);
    u32 byte = 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const i64 column = item % row_bytes * 2 + h;
      if (column >= p.k) continue;
      const int r = static_cast<int>(row % 64), c = static_cast<int>(column % 64);
      const int lane = r % 8 * 4 + c % 8 / 2, pair = r / 8 % 2 + c / 8 % 2 * 2;
      const i64 block = row / 64 * k_blocks + column / 64;
      const u32 word = static_cast<const u32*>(p.packed)[((block * 4 + r / 16) * 32 + lane) * 4 + c / 16];
      const u32 code = word >> code_shift(p.placement, pair, c % 2) & 0xf;
      byte |= (code ^ (p.offset_binary ? 8u : 0u)) << (4 * h);
    }
    static_cast<u8*>(p.codes)[item] = static_cast<u8>(byte);
  }
}

// Scales of 8 bits as packing widens them, exactly: e4m3 to fp16, e8m0 to bf16.
LADDER_DEVICE u32 widen_scale(int type, u32 byte) {
  if (type == kScaleE8M0) return byte == 0xff ? 0x7fc0u : byte == 0 ? 0x0040u : byte << 7;  // 2^-127 is subnormal
  const u32 sign = (byte & 0x80) << 8, magnitude = byte & 0x7f;
  if (magnitude == 0x7f) return sign | 0x7e00u;
  if (magnitude >= 8) return sign | ((magnitude << 7) + (8u << 10));  // fp16's bias is 8 more
  if (magnitude == 0) return sign;
  const u32 top = magnitude >= 4 ? 2 : magnitude >> 1;  // subnormal: magnitude * 2^-9, its highest bit 2^(top - 9)
  return sign | (top + 6) << 10 | ((magnitude << (10 - top)) & 0x3ffu);
}
LADDER_DEVICE u32 narrow_scale(int type, u32 bits) {
  if (type == kScaleE8M0) return (bits & 0x7fff) > 0x7f80u ? 0xffu : bits == 0x0040u ? 0u : bits >> 7;
  const u32 sign = bits >> 8 & 0x80, magnitude = bits & 0x7fff, exponent = magnitude >> 10;
  if (magnitude > 0x7c00u) return sign | 0x7f;
  if (exponent >= 9) return sign | (magnitude - (8u << 10)) >> 7;
  return magnitude == 0 ? sign : sign | ((magnitude & 0x3ffu) | 0x400u) >> (16 - exponent);
}

// Planes of 16-bit values, in natural form those of `type` if that is not 0: [n][groups] <-> [n / 64][groups][64],
// padded rows zero.
LADDER_DEVICE void pack_plane(const PackArguments& p, void* packed, const void* natural, int type) {
  const i64 groups = p.groups;
#pragma unroll 1
  for (i64 item = first_item(); item < (p.n + 63) / 64 * groups * 64; item += item_stride()) {
    const i64 row = item / 64 / groups * 64 + item % 64, group = item / 64 % groups;
    u32 bits = 0;
    if (row < p.n) {
      const i64 from = natural_row(p, row) * groups + group;
      bits =
          type == 0 ? static_cast<const u16*>(natural)[from] : widen_scale(type, static_cast<const u8*>(natural)[from]);
    }
    static_cast<u16*>(packed)[item] = static_cast<u16>(bits);
  }
}
LADDER_DEVICE void unpack_plane(const PackArguments& p, void* natural, const void* packed, int type) {
  const i64 groups = p.groups;
#pragma unroll 1
  for (i64 item = first_item(); item < p.n * groups; item += item_stride()) {
    const i64 row = packed_row(p, item / groups), group = item % groups;
    const u16 bits = static_cast<const u16*>(packed)[(row / 64 * groups + group) * 64 + row % 64];
    if (type == 0) {
      static_cast<u16*>(natural)[item] = bits;
    } else {
      static_cast<u8*>(natural)[item] = static_cast<u8>(narrow_scale(type, bits));
    }
  }
}

// Quantized zeros: 32 bytes per 64 rows and group; byte 8 * tile + r holds rows 16 * tile + r and that + 8.
LADDER_DEVICE void pack_zero_codes(const PackArguments& p, void* packed, const void* natural) {
  const i64 groups = p.groups, row_bytes = (groups + 1) / 2;
#pragma unroll 1
  for (i64 item = first_item(); item < (p.n + 63) / 64 * groups * 32; item += item_stride()) {
    const i64 row = item / 32 / groups * 64 + item % 32 / 8 * 16 + item % 8, group = item / 32 % groups;
    const u32 low = row < p.n ? natural_code(natural, natural_row(p, row), group, row_bytes) : 0;
    const u32 high = row + 8 < p.n ? natural_code(natural, natural_row(p, row + 8), group, row_bytes) : 0;
    static_cast<u8*>(packed)[item] = static_cast<u8>(low | high << 4);
  }
}
LADDER_DEVICE void unpack_zero_codes(const PackArguments& p, void* natural, const void* packed) {
  const i64 groups = p.groups, row_bytes = (groups + 1) / 2;
#pragma unroll 1
  for (i64 item = first_item(); item < p.n * row_bytes; item += item_stride()) {
    const i64 row = packed_row(p, item / row_bytes);
    u32 byte = 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const i64 group = item % row_bytes * 2 + h;
      if (group >= groups) continue;
      const i64 source = (row / 64 * groups + group) * 32 + row % 64 / 16 * 8 + row % 8;
      byte |= (static_cast<const u8*>(packed)[source] >> (4 * (row / 8 % 2)) & 0xf) << (4 * h);
    }
    static_cast<u8*>(natural)[item] = static_cast<u8>(byte);
  }
}

}  // namespace ladder::support

LADDER_KERNEL void __launch_bounds__(256) ladder_pack(const ladder::support::PackArguments p) {
  using namespace ladder::support;
  if (p.placement == 0) {
    copy_16bit(p.packed, p.codes, p.n * p.k);
  } else {
    pack_codes(p);
  }
  if (p.groups > 0) pack_plane(p, p.packed_scales, p.scales, p.scale_type);
  if (p.zero_mode == 3) {
    pack_zero_codes(p, p.packed_zeros, p.zeros);
  } else if (p.zero_mode != 0) {
    pack_plane(p, p.packed_zeros, p.zeros, 0);
  }
}

LADDER_KERNEL void __launch_bounds__(256) ladder_unpack(const ladder::support::PackArguments p) {
  using namespace ladder::support;
  if (p.placement == 0) {
    copy_16bit(p.codes, p.packed, p.n * p.k);
  } else {
    unpack_codes(p);
  }
  if (p.groups > 0) unpack_plane(p, p.scales, p.packed_scales, p.scale_type);
  if (p.zero_mode == 3) {
    unpack_zero_codes(p, p.zeros, p.packed_zeros);
  } else if (p.zero_mode != 0) {
    unpack_plane(p, p.zeros, p.packed_zeros, 0);
  }
}
