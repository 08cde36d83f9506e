// Table lookup through shared memory: entry b (256 of them) is the pair of values of byte b's two codes, low code in
// the low half, repeated for each of the 32 banks, so that any 32 lanes read without conflicts. Half a load and about
// one integer operation a weight, against 2.6 integer operations by byte permutes. 32 KB.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

inline constexpr u32 kPairTableBytes = 256 * 32 * 4;

// Fills the table at `table`; a block_sync must follow before anyone reads it.
template <class Table>
LADDER_DEVICE void build_pair_table(u32 table, u32 thread, u32 threads) {
  for (u32 byte = thread; byte < 256; byte += threads) {
    u32 a[4];
    decode_table4<Table>(byte, a);  // register 0 is the pair of byte 0
    const Vec4 copies = {a[0], a[0], a[0], a[0]};
    // Lanes start at different banks: neighbouring entries lie 128 bytes apart.
#pragma unroll
    for (u32 i = 0; i < 8; i++) store_shared_v4(table + byte * 128 + ((i + byte) & 7) * 16, copies);
  }
}

// The A fragment of a word. `lane_table` = table + 4 * lane.
LADDER_DEVICE void decode_pair_table(u32 word, u32 lane_table, u32 (&a)[4]) {
  // A permute and a shifted addition; a shift and a mask would tempt the compiler to keep four addresses a word instead
  // of the word.
#pragma unroll
  for (u32 i = 0; i < 4; i++) a[i] = load_shared_u32(lane_table + (byte_permute(word, 0, 0x4440u + i) << 7));
}

}  // namespace ladder
