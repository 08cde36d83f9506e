// What the warp group schedules share around their main loops: the walk over work items, the ring of stages, the split-K
// sum and the store. Products are D^T = W X^T: a math group holds kRowTiles tiles of 64 rows of W by kTokens tokens, and
// acc[t][4j + i] of lane l in warp w is row 64t + 16w + l / 4 + 8 * (i >> 1), token 8j + 2 * (l % 4) + (i & 1).
#pragma once
#include "schedules/matmul/epilogue.cuh"

namespace ladder {

// A position in a ring of kStages stages. `phase` flips at every wrap.
template <int kStages>
struct RingPosition {
  u32 stage = 0;
  u32 phase = 0;
  LADDER_DEVICE void advance() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// One work item: an output tile and a range of k blocks of 64.
struct WorkItem {
  u32 tile;        // index of the output tile, in walking order
  int first_token;
  int first_row;   // of W, for the whole thread block
  int split;
  int k_begin, k_end;  // in blocks of 64 columns
};

// Work items of a persistent grid: the splits of a tile follow each other (they run together and meet in L2), tiles run
// through bands of kRaster token tiles so that what runs together reads few rows of X and of W. The host keeps the number
// of items below 2^31.
template <class Config>
struct TileWalk {
  static constexpr int kRows = 64 * Config::kMathGroups * Config::kRowTiles;
  static constexpr u32 kTilesN = (Config::kN + kRows - 1) / kRows;
  static constexpr int kKBlocks = (Config::kK + 63) / 64;

  u32 tiles_m;
  u32 items;
  LADDER_DEVICE explicit TileWalk(int m)
      : tiles_m((static_cast<u32>(m) + Config::kTokens - 1) / Config::kTokens), items(tiles_m * kTilesN * Config::kSplits) {}

  LADDER_DEVICE WorkItem item(u32 index) const {
    WorkItem work;
    work.tile = index / Config::kSplits;
    work.split = static_cast<int>(index % Config::kSplits);
    const u32 band = work.tile / (Config::kRaster * kTilesN);
    const u32 within = work.tile - band * (Config::kRaster * kTilesN);
    const u32 first_m = band * Config::kRaster;
    const u32 width = tiles_m - first_m < Config::kRaster ? tiles_m - first_m : Config::kRaster;
    work.first_token = static_cast<int>((first_m + within % width) * Config::kTokens);
    work.first_row = static_cast<int>(within / width) * kRows;
    work.k_begin = static_cast<int>(static_cast<i64>(kKBlocks) * work.split / Config::kSplits);
    work.k_end = static_cast<int>(static_cast<i64>(kKBlocks) * (work.split + 1) / Config::kSplits);
    return work;
  }
};

// Named barriers 1 .. kMathGroups belong to the math groups, one each.
LADDER_DEVICE void math_group_sync(u32 group) { named_sync(1 + group, 128); }

// Split-K: every split of a tile writes its partial sums; the last to arrive adds them up in the order of the splits, so
// that a result never depends on who was last. Returns true in the group that holds the sum (in acc). Each group has a
// counter of its own, kept zero between launches. `flag`: 4 bytes of shared memory of this group.
template <class Config>
LADDER_DEVICE bool reduce_splits(float (&acc)[Config::kRowTiles][Config::kTokens / 2], const MatmulArguments& arguments,
                                 const WorkItem& work, u32 group, u32 flag) {
  constexpr int kValues = Config::kRowTiles * Config::kTokens / 2;  // of one thread; a multiple of 4
  constexpr i64 kPartBytes = static_cast<i64>(kValues) * 128 * 4;
  const u32 thread = thread_id() & 127;
  u8* const counter = static_cast<u8*>(arguments.workspace) + (static_cast<i64>(work.tile) * Config::kMathGroups + group) * 4;
  // Part of split s: [tile][split][group][value / 4][thread][4], so that a warp's accesses are contiguous.
  u8* const parts = static_cast<u8*>(arguments.workspace) + Config::kCounterBytes +
                    (static_cast<i64>(work.tile) * Config::kSplits * Config::kMathGroups + group) * kPartBytes + thread * 16;
  constexpr i64 kSplitBytes = Config::kMathGroups * kPartBytes;
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; t++) {
#pragma unroll
    for (int i = 0; i < Config::kTokens / 2; i += 4) {
      store_global_v4(parts + work.split * kSplitBytes + (t * (Config::kTokens / 2) + i) * (128 * 4),
                      Vec4{float_bits(acc[t][i]), float_bits(acc[t][i + 1]), float_bits(acc[t][i + 2]), float_bits(acc[t][i + 3])});
    }
  }
  fence_device();
  math_group_sync(group);
  if (thread == 0) store_shared_u32(flag, atomic_increment(counter));
  math_group_sync(group);
  if (load_shared_u32(flag) != Config::kSplits - 1) return false;
  fence_device();
  if (thread == 0) store_global_u32(counter, 0);
  // Not unrolled: the sum is short beside the product and an unrolled one would double the code.
#pragma unroll 1
  for (int s = 0; s < Config::kSplits; s++) {
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; t++) {
#pragma unroll
      for (int i = 0; i < Config::kTokens / 2; i += 4) {
        const Vec4 v = load_global_v4(parts + s * kSplitBytes + (t * (Config::kTokens / 2) + i) * (128 * 4));
        const float part[4] = {bits_float(v.x), bits_float(v.y), bits_float(v.z), bits_float(v.w)};
#pragma unroll
        for (int e = 0; e < 4; e++) acc[t][i + e] = s == 0 ? part[e] : acc[t][i + e] + part[e];
      }
    }
  }
  return true;
}

// How store_tile stages a tile: kChunk tokens at a time, each with its 64 rows in kPitch bytes. The 16 bytes beyond the
// values keep both the scattered writes (8 rows x 4 token pairs a warp) and the 16-byte reads free of bank conflicts.
template <class Output>
struct Staging {
  static constexpr int kBytes = OutputBytes<Output>::value;
  static constexpr int kChunk = 128 / kBytes;
  static constexpr int kPitch = 64 * kBytes + 16;
  static constexpr int kTotal = kChunk * kPitch;  // of one math group
};

// y = acc + bias for 64 rows of W by kTokens tokens, turned in shared memory so that stores are 16 bytes along a row of y.
// Called by a whole math group; what lies beyond M or N is dropped.
template <class Config>
LADDER_DEVICE void store_tile(const float (&acc)[Config::kTokens / 2], const MatmulArguments& arguments, int first_token,
                              int first_row, u32 group, u32 staging) {
  using Output = typename Config::Output;
  using Shape = Staging<Output>;
  const u32 thread = thread_id() & 127;
  const u32 row = (thread >> 5) * 16 + ((thread & 31) >> 2);  // and row + 8
  const float bias[2] = {load_bias<Config>(arguments.bias, first_row + static_cast<int>(row)),
                         load_bias<Config>(arguments.bias, first_row + static_cast<int>(row) + 8)};
#pragma unroll
  for (int chunk = 0; chunk < Config::kTokens; chunk += Shape::kChunk) {
    if (first_token + chunk >= arguments.m) return;  // the same in all threads
    math_group_sync(group);                          // the staging area has been read
#pragma unroll
    for (int j = 0; j < Shape::kChunk / 8; j++) {
      if (chunk + 8 * j < Config::kTokens) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float value = acc[(chunk / 8 + j) * 4 + i] + bias[i >> 1];
          const u32 address = staging + (8 * j + 2 * (thread & 3) + (i & 1)) * Shape::kPitch + (row + 8 * (i >> 1)) * Shape::kBytes;
          if constexpr (Shape::kBytes == 4) {
            store_shared_f32(address, value);
          } else {
            store_shared_u16(address, output_bits(Output{}, value));
          }
        }
      }
    }
    math_group_sync(group);
    const int chunk_tokens = Config::kTokens - chunk < Shape::kChunk ? Config::kTokens - chunk : Shape::kChunk;
    const int tokens = arguments.m - first_token - chunk < chunk_tokens ? arguments.m - first_token - chunk : chunk_tokens;
    u8* const y = static_cast<u8*>(arguments.y) +
                  (static_cast<i64>(first_token + chunk) * Config::kN + first_row) * Shape::kBytes;
    constexpr int kVector = 16 / Shape::kBytes;
    if constexpr (Config::kN % kVector == 0) {
      constexpr u32 kVectors = 64 / kVector;  // of one token
      const u32 part = thread % kVectors;
      if (first_row + static_cast<int>(part) * kVector < Config::kN) {
#pragma unroll
        for (u32 token = thread / kVectors; token < Shape::kChunk; token += 128 / kVectors) {
          if (static_cast<int>(token) < tokens) {
            store_global_v4(y + (static_cast<i64>(token) * Config::kN + part * kVector) * Shape::kBytes,
                            load_shared_v4(staging + token * Shape::kPitch + part * 16));
          }
        }
      }
    } else if (first_row + static_cast<int>(thread % 64) < Config::kN) {
      for (u32 token = thread / 64; static_cast<int>(token) < tokens; token += 2) {
        u8* const to = y + (static_cast<i64>(token) * Config::kN + thread % 64) * Shape::kBytes;
        const u32 from = staging + token * Shape::kPitch + (thread % 64) * Shape::kBytes;
        if constexpr (Shape::kBytes == 4) {
          store_global_u32(to, load_shared_u32(from));
        } else {
          store_global_u16(to, load_shared_u16(from));
        }
      }
    }
  }
}

// The end of a work item: the split-K sum, then the store by the group that has it.
template <class Config>
LADDER_DEVICE void finish_item(float (&acc)[Config::kRowTiles][Config::kTokens / 2], const MatmulArguments& arguments,
                               const WorkItem& work, u32 group, u32 staging) {
  if constexpr (Config::kSplits > 1) {
    math_group_sync(group);  // the flag shares the staging area, which may still be read
    if (!reduce_splits<Config>(acc, arguments, work, group, staging)) return;
  }
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; t++) {
    store_tile<Config>(acc[t], arguments, work.first_token, work.first_row + static_cast<int>(group * Config::kRowTiles + t) * 64,
                       group, staging);
  }
}

}  // namespace ladder
