// Table lookup through shared memory, in a table repeated for each of the 32 banks, so that any 32 lanes read without
// conflicts. Of 4 bits, entry b (256 of them) is the pair of values of byte b's two codes, low code in the low half:
// half a load and about one integer operation a weight, against 2.6 integer operations by byte permutes. 32 KB. Of 5
// to 8 bits, entry c is the value of code c in both halves: a load and about 2.5 integer operations. 4 to 32 KB.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

template <class Weight>
inline constexpr u32 kSharedTableBytes = (Weight::kLookup ? 1 << Weight::kBits : 256) * 32 * 4;

// Fills the table at `table`; a block_sync must follow before anyone reads it.
template <class Weight>
LADDER_DEVICE void build_shared_table(u32 table, u32 thread, u32 threads) {
  for (u32 entry = thread; entry < kSharedTableBytes<Weight> / 128; entry += threads) {
    u32 value;
    if constexpr (Weight::kLookup) {
      value = Weight::value(entry) * 0x00010001u;
    } else {
      u32 a[4];
      decode_table4<Weight>(entry, a);  // register 0 is the pair of byte 0
      value = a[0];
    }
    const Vec4 copies = {value, value, value, value};
    // Lanes start at different banks: neighbouring entries lie 128 bytes apart.
#pragma unroll
    for (u32 i = 0; i < 8; i++) store_shared_v4(table + entry * 128 + ((i + entry) & 7) * 16, copies);
  }
}

// The A fragment of a word of 4-bit codes. `lane_table` = table + 4 * lane.
LADDER_DEVICE void decode_pair_table(u32 word, u32 lane_table, u32 (&a)[4]) {
  // A permute and a shifted addition; a shift and a mask would tempt the compiler to keep four addresses a word instead
  // of the word.
#pragma unroll
  for (u32 i = 0; i < 4; i++) a[i] = load_shared_u32(lane_table + (byte_permute(word, 0, 0x4440u + i) << 7));
}

// The A fragment of step `step` of a lane's block.
template <class Weight>
LADDER_DEVICE void decode_shared_table(const u32 (&words)[Weight::kBits], int step, u32 lane_table, u32 (&a)[4]) {
  if constexpr (!Weight::kLookup) {
    decode_pair_table(words[step], lane_table, a);
  } else {
    constexpr int kBits = Weight::kBits, kWhole = 16 / kBits;
    constexpr u32 kMask = (1u << kBits) - 1;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int code = 4 * step + i;
      const bool whole = code < kWhole * kBits;
      const int shift = whole ? whole_place<kBits>(code).shift : 0;
      const u32 word = whole ? words[whole_place<kBits>(code).word] : code_pair<kBits>(words, code);
      u32 value[2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        // A byte by a permute, as above.
        const u32 index =
            kBits == 8 ? byte_permute(word, 0, 0x4440u + (16 * h + shift) / 8) : (word >> (16 * h + shift)) & kMask;
        value[h] = load_shared_u32(lane_table + (index << 7));
      }
      a[i] = byte_permute(value[0], value[1], 0x5410u);
    }
  }
}

}  // namespace ladder
