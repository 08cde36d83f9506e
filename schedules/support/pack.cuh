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

// Code `column` of row `row`, of up to 8 bits; rows are byte-aligned. A code that runs into the next byte reads it too.
LADDER_DEVICE u32 natural_code(const void* codes, int bits, i64 row, i64 column, i64 row_bytes) {
  const i64 bit = column * bits;
  const u8* at = static_cast<const u8*>(codes) + row * row_bytes + bit / 8;
  const int shift = static_cast<int>(bit % 8);
  u32 word = at[0];
  if (shift + bits > 8) word |= static_cast<u32>(at[1]) << 8;
  return word >> shift & ((1u << bits) - 1);
}

// Of `all` words of a lane, how many the chunk has that word `word` is in, and which is its first. Chunks of 4 words
// come first, then one of 2, then one of 1.
struct Chunk {
  int first, words;
};
LADDER_DEVICE Chunk chunk_of(int all, int word) {
  const int whole = all / 4 * 4;
  if (word < whole) return {word / 4 * 4, 4};
  if ((all & 2) != 0 && word < whole + 2) return {whole, 2};
  return {all - 1, 1};
}

// Cells, and the codes of a cell, by placement: see PackedLayout.
struct Cells {
  int bits;      // of a cell: 16 or 8, or 4 where codes are looked up
  int whole;     // codes that a word's cell holds from its lowest bit up
  int rest;      // bits left at its top
  int words;     // of a lane
  int elements;  // of an A register: 2 (class k16) or 4 (class k32)

  LADDER_DEVICE int step_columns() const { return 8 * elements; }
  LADDER_DEVICE int columns() const { return 32 * elements; }  // of a block
};
LADDER_DEVICE Cells cells_of(const PackArguments& p) {
  const int bits = p.placement == 1 ? 16 : p.placement == 3 ? 8 : 4;
  const int elements = p.placement >= 3 ? 4 : 2;
  return {bits, bits / p.bits, bits % p.bits, p.bits * elements / 2, elements};
}

// The code of lane `lane` of a row tile, number `code` among those of a cell: its column of the block and its row
// of 16.
LADDER_DEVICE void find_code(const PackArguments& p, const Cells& cells, int lane, int cell, int code, int& row,
                             int& column) {
  int step, reg, element;
  if (p.placement == 2) {
    step = code, reg = cell / 2, element = cell % 2;
  } else if (p.placement == 4) {
    step = code / 2, reg = cell / 4 + 2 * (code % 2), element = cell % 4;
  } else {
    step = code / 4, reg = code % 4, element = cell;
  }
  row = lane / 4 + 8 * (reg & 1);
  column = cells.step_columns() * step + cells.elements * (lane % 4 + 4 * (reg >> 1)) + element;
}

// What is not packed: codes and scales as they are.
LADDER_DEVICE void copy_bytes(void* to, const void* from, i64 bytes) {
#pragma unroll 1
  for (i64 i = first_item(); i < bytes; i += item_stride()) static_cast<u8*>(to)[i] = static_cast<const u8*>(from)[i];
}

// One thread writes one word.
LADDER_DEVICE void pack_codes(const PackArguments& p) {
  const i64 row_bytes = (p.k * p.bits + 7) / 8;
  const Cells cells = cells_of(p);
  const i64 k_blocks = (p.k + cells.columns() - 1) / cells.columns();
  const i64 block_words = 128 * cells.words;
  const i64 items = (p.n + 63) / 64 * k_blocks * block_words;
  const u32 flip = p.offset_binary ? 1u << (p.bits - 1) : 0u;
#pragma unroll 1
  for (i64 item = first_item(); item < items; item += item_stride()) {
    const i64 block = item / block_words;
    const int at = static_cast<int>(item % block_words);
    const Chunk chunk = chunk_of(cells.words, at / 128);
    const int lane_word = (at - chunk.first * 128) / chunk.words;  // lane and row tile
    const int word = chunk.first + (at - chunk.first * 128) % chunk.words;
    const i64 row0 = block / k_blocks * 64 + lane_word / 32 * 16, column0 = block % k_blocks * cells.columns();
    // Code number `code` of a cell, as packed; padding is packed as zero bits.
    const auto code_of = [&](int cell, int code) -> u32 {
      int r, c;
      find_code(p, cells, lane_word % 32, cell, code, r, c);
      if (row0 + r >= p.n || column0 + c >= p.k) return 0;
      return natural_code(p.codes, p.bits, natural_row(p, row0 + r), column0 + c, row_bytes) ^ flip;
    };
    u32 value = 0;
#pragma unroll 1
    for (int cell = 0; cell < 32 / cells.bits; cell++) {
      u32 content = 0;
#pragma unroll 1
      for (int i = 0; i < cells.whole; i++) content |= code_of(cell, word * cells.whole + i) << (i * p.bits);
#pragma unroll 1
      for (int i = 0; i < cells.rest; i++) {
        const int bit = word * cells.rest + i;  // of the string of those without a cell
        const u32 code = code_of(cell, cells.whole * cells.words + bit / p.bits);
        content |= (code >> (bit % p.bits) & 1u) << (cells.bits - cells.rest + i);
      }
      value |= content << (cell * cells.bits);
    }
    static_cast<u32*>(p.packed)[item] = value;
  }
}

// The packed code at (row, column), as packed.
LADDER_DEVICE u32 packed_code(const PackArguments& p, const Cells& cells, i64 row, i64 column, i64 k_blocks) {
  const int r = static_cast<int>(row % 64), c = static_cast<int>(column % cells.columns());
  const int in_step = c % cells.step_columns(), quad = in_step / cells.elements;
  const int lane = r % 8 * 4 + quad % 4, reg = r / 8 % 2 + quad / 4 * 2, element = in_step % cells.elements;
  const int step = c / cells.step_columns();
  int cell = element, code = 4 * step + reg;
  if (p.placement == 2) cell = 2 * reg + element, code = step;
  if (p.placement == 4) cell = 4 * (reg & 1) + element, code = 2 * step + (reg >> 1);
  const u32* block =
      static_cast<const u32*>(p.packed) + (row / 64 * k_blocks + column / cells.columns()) * (128 * cells.words);
  const auto bits_at = [&](int word, int shift) -> u32 {
    const Chunk chunk = chunk_of(cells.words, word);
    return block[chunk.first * 128 + (r / 16 * 32 + lane) * chunk.words + word - chunk.first] >>
           (cell * cells.bits + shift);
  };
  if (code < cells.whole * cells.words) {
    return bits_at(code / cells.whole, code % cells.whole * p.bits) & ((1u << p.bits) - 1);
  }
  u32 value = 0;
#pragma unroll 1
  for (int i = 0; i < p.bits; i++) {
    const int bit = (code - cells.whole * cells.words) * p.bits + i;
    value |= (bits_at(bit / cells.rest, cells.bits - cells.rest + bit % cells.rest) & 1u) << i;
  }
  return value;
}

// One thread writes one natural byte: the codes that have bits in it.
LADDER_DEVICE void unpack_codes(const PackArguments& p) {
  const i64 row_bytes = (p.k * p.bits + 7) / 8;
  const Cells cells = cells_of(p);
  const i64 k_blocks = (p.k + cells.columns() - 1) / cells.columns();
  const u32 flip = p.offset_binary ? 1u << (p.bits - 1) : 0u;
#pragma unroll 1
  for (i64 item = first_item(); item < p.n * row_bytes; item += item_stride()) {
    const i64 row = packed_row(p, item / row_bytes), first_bit = item % row_bytes * 8;
    u32 byte = 0;
#pragma unroll 1
    for (i64 column = first_bit / p.bits; column < p.k && column * p.bits < first_bit + 8; column++) {
      const u32 code = packed_code(p, cells, row, column, k_blocks) ^ flip;
      const int at = static_cast<int>(column * p.bits - first_bit);
      byte |= at >= 0 ? code << at : code >> -at;
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

// Quantized zeros of up to 4 bits: 32 bytes per 64 rows and group; byte 8 * tile + r holds rows 16 * tile + r and that
// + 8. Wider ones: 64 bytes, one for each row.
LADDER_DEVICE void pack_zero_codes(const PackArguments& p, void* packed, const void* natural) {
  const i64 groups = p.groups, row_bytes = (groups * p.bits + 7) / 8;
  const bool bytes = p.bits > 4;
  const int block = bytes ? 64 : 32;
#pragma unroll 1
  for (i64 item = first_item(); item < (p.n + 63) / 64 * groups * block; item += item_stride()) {
    const int at = static_cast<int>(item % block);
    const i64 row = item / block / groups * 64 + (bytes ? at : at / 8 * 16 + at % 8), group = item / block % groups;
    u32 value = row < p.n ? natural_code(natural, p.bits, natural_row(p, row), group, row_bytes) : 0;
    if (!bytes && row + 8 < p.n) {
      value |= natural_code(natural, p.bits, natural_row(p, row + 8), group, row_bytes) << 4;
    }
    static_cast<u8*>(packed)[item] = static_cast<u8>(value);
  }
}
LADDER_DEVICE u32 packed_zero(const PackArguments& p, const void* packed, i64 row, i64 group) {
  const u8* block = static_cast<const u8*>(packed) + (row / 64 * p.groups + group) * (p.bits > 4 ? 64 : 32);
  if (p.bits > 4) return block[row % 64];
  return block[row % 64 / 16 * 8 + row % 8] >> (4 * (row / 8 % 2)) & 0xf;
}
LADDER_DEVICE void unpack_zero_codes(const PackArguments& p, void* natural, const void* packed) {
  const i64 groups = p.groups, row_bytes = (groups * p.bits + 7) / 8;
#pragma unroll 1
  for (i64 item = first_item(); item < p.n * row_bytes; item += item_stride()) {
    const i64 row = packed_row(p, item / row_bytes), first_bit = item % row_bytes * 8;
    u32 byte = 0;
#pragma unroll 1
    for (i64 group = first_bit / p.bits; group < groups && group * p.bits < first_bit + 8; group++) {
      const int at = static_cast<int>(group * p.bits - first_bit);
      const u32 code = packed_zero(p, packed, row, group);
      byte |= at >= 0 ? code << at : code >> -at;
    }
    static_cast<u8*>(natural)[item] = static_cast<u8>(byte);
  }
}

}  // namespace ladder::support

LADDER_KERNEL void __launch_bounds__(256) ladder_pack(const ladder::support::PackArguments p) {
  using namespace ladder::support;
  if (p.placement == 0) {
    copy_bytes(p.packed, p.codes, p.n * p.k * (p.bits / 8));
    copy_bytes(p.packed_scales, p.scales, p.n * p.groups * (p.scale_type == kScaleF32 ? 4 : 2));
    return;
  }
  pack_codes(p);
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
    copy_bytes(p.codes, p.packed, p.n * p.k * (p.bits / 8));
    copy_bytes(p.scales, p.packed_scales, p.n * p.groups * (p.scale_type == kScaleF32 ? 4 : 2));
    return;
  }
  unpack_codes(p);
  if (p.groups > 0) unpack_plane(p, p.scales, p.packed_scales, p.scale_type);
  if (p.zero_mode == 3) {
    unpack_zero_codes(p, p.zeros, p.packed_zeros);
  } else if (p.zero_mode != 0) {
    unpack_plane(p, p.zeros, p.packed_zeros, 0);
  }
}
