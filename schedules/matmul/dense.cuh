// Weights of the activations' width (16 or 8 bits) as they are (row-major N x K), by mma.sync on sm_80 and up (fp8:
// sm_89): D^T = W X^T, both operands through a
// cp.async ring.
//
// Threads: kRowWarps x kTokenWarps warps over a block tile of kRows rows of W by kTokens tokens, warp w at
// (w % kRowWarps, w / kRowWarps). One block per work item (output tile and split of K); a band of kRaster token tiles
// is walked row tile by row tile, so that what runs together reads few rows of X and of W.
//
// Stages: kStages of 128 bytes of a row each (64 columns of 16 bits, 128 of 8), W rows then X rows, a row in 128 bytes;
// its 16-byte chunk c lies at c ^ (row % 8), so that the eight rows of an ldmatrix meet in no bank. Rows beyond N or M
// and columns beyond K are zeros. Copies are 16 or 4 bytes where rows are multiples of that, and plain loads of an
// element otherwise.
//
// Sums of int8 are int32 and exact; the tensor cores may add up fp8 with 14 bits only, so a stage's 128 columns make a
// sum of their own, added to the fp32 sum of the stages before.
//
// Fragments of step s + 1 are read while step s multiplies. The tile is turned in shared memory at the end (over the
// ring), so that stores are 16 bytes along a row of y; with split-K the last block of a tile adds the partial sums in
// order.
#pragma once
#include "schedules/device/scales.cuh"
#include "schedules/matmul/epilogue.cuh"
#include "schedules/matmul/split_k.cuh"

namespace ladder {

template <class Config>
struct DensePlan {
  static constexpr u32 kWarps = Config::kRowWarps * Config::kTokenWarps;
  static constexpr u32 kThreads = 32 * kWarps;
  static constexpr int kWarpRows = Config::kRows / Config::kRowWarps;
  static constexpr int kWarpTokens = Config::kTokens / Config::kTokenWarps;
  static constexpr int kRowTiles = kWarpRows / 16;
  static constexpr int kTokenTiles = kWarpTokens / 8;
  using Compute = typename Config::Compute;
  static constexpr int kElementBytes = kBytesOf<Compute>;
  static constexpr i64 kRowBytes = static_cast<i64>(Config::kK) * kElementBytes;
  static constexpr int kKBlocks = static_cast<int>((kRowBytes + 127) / 128);
  static constexpr bool kPromotes = kElementBytes == 1 && !SameType<Compute, I8>::value;
  static constexpr u32 kTilesN = (Config::kN + Config::kRows - 1) / Config::kRows;
  static constexpr u32 kWBytes = Config::kRows * 128;
  static constexpr u32 kStageBytes = kWBytes + Config::kTokens * 128;
  static constexpr int kOutputBytes = OutputBytes<typename Config::Output>::value;
  // Turning the tile: 16 bytes between tokens keep writes and reads free of bank conflicts.
  static constexpr u32 kPitch = Config::kRows * kOutputBytes + 16;
  static constexpr u32 kFlag = 0;  // in the turned tile's place: read before it is written
  static_assert(kWarpRows % 16 == 0 && kWarpTokens % 8 == 0, "warps hold whole fragments");
  static_assert(kKBlocks >= Config::kSplits, "every split works");
  static_assert(!kGated<Config>, "gate and up rows are interleaved in packed weights only");
};

struct DenseItem {
  u32 tile;
  int split, first_token, first_row;
  int k_begin, k_end;  // blocks of 128 bytes
};

template <class Config>
LADDER_DEVICE DenseItem dense_item(u32 index, int m) {
  using Plan = DensePlan<Config>;
  const u32 tiles_m = (static_cast<u32>(m) + Config::kTokens - 1) / Config::kTokens;
  DenseItem item;
  item.tile = index / Config::kSplits;
  item.split = static_cast<int>(index % Config::kSplits);
  const u32 band = item.tile / (Config::kRaster * Plan::kTilesN);
  const u32 within = item.tile - band * (Config::kRaster * Plan::kTilesN);
  const u32 first_m = band * Config::kRaster;
  const u32 width = tiles_m - first_m < Config::kRaster ? tiles_m - first_m : Config::kRaster;
  item.first_token = static_cast<int>((first_m + within % width) * Config::kTokens);
  item.first_row = static_cast<int>(within / width) * Config::kRows;
  item.k_begin = static_cast<int>(static_cast<i64>(Plan::kKBlocks) * item.split / Config::kSplits);
  item.k_end = static_cast<int>(static_cast<i64>(Plan::kKBlocks) * (item.split + 1) / Config::kSplits);
  return item;
}

// Brings 128 bytes of each of kRowsCopied rows from `source` (row-major, K columns) to `shared`. Rows from `rows` on
// and columns beyond K become zeros.
template <class Config, int kRowsCopied>
LADDER_DEVICE void dense_copy_rows(u32 shared, const void* source, i64 first_row, int rows, int block) {
  using Plan = DensePlan<Config>;
  // Bytes a copy moves: the most that every row's start is aligned to.
  constexpr int kUnit = Plan::kRowBytes % 16 == 0 ? 16 : Plan::kRowBytes % 4 == 0 ? 4 : Plan::kElementBytes;
  constexpr u32 kPerRow = 128 / kUnit;
  constexpr u32 kCopies = kRowsCopied * kPerRow;
#pragma unroll(kUnit == 16 ? 8 : 4)
  for (u32 i = thread_id(); i < kCopies; i += Plan::kThreads) {
    const u32 row = i / kPerRow;
    const u32 byte = i % kPerRow * kUnit;
    const i64 at = static_cast<i64>(block) * 128 + byte;
    const bool inside = static_cast<int>(row) < rows && at < Plan::kRowBytes;
    const u8* const from =
        static_cast<const u8*>(source) + (inside ? (first_row + static_cast<i64>(row)) * Plan::kRowBytes + at : 0);
    const u32 to = shared + row * 128 + (((byte / 16) ^ (row & 7)) << 4) + byte % 16;
    if constexpr (kUnit == 16) {
      copy_async_16(to, from, inside ? 16 : 0);
    } else if constexpr (kUnit == 4) {
      copy_async_4(to, from, inside ? 4 : 0);
    } else if constexpr (kUnit == 2) {
      store_shared_u16(to, inside ? load_global_u16(from) : 0);
    } else {
      store_shared_u8(to, inside ? load_global_u8(from) : 0);
    }
  }
}

// Fragments of one step of a warp: k16, or k32 of 8 bits.
template <class Config>
struct DenseFragments {
  u32 w[DensePlan<Config>::kRowTiles][4];
  u32 x[DensePlan<Config>::kTokenTiles][2];
};

// Reads step `step` (0 .. 3) of the X rows at `x`.
template <class Config>
LADDER_DEVICE void dense_load_x(u32 x, u32 warp_token, int step, DenseFragments<Config>& f) {
  using Plan = DensePlan<Config>;
  const u32 lane = lane_id();
#pragma unroll
  for (int j = 0; j + 1 < Plan::kTokenTiles; j += 2) {
    const u32 token = warp_token + 8 * j + (lane >> 4) * 8 + (lane & 7);
    u32 pair[4];
    load_matrix_x4(pair, x + token * 128 + (((2 * step + ((lane >> 3) & 1)) ^ (token & 7)) << 4));
    f.x[j][0] = pair[0];
    f.x[j][1] = pair[1];
    f.x[j + 1][0] = pair[2];
    f.x[j + 1][1] = pair[3];
  }
  if constexpr (Plan::kTokenTiles % 2 == 1) {
    const u32 token = warp_token + 8 * (Plan::kTokenTiles - 1) + (lane & 7);
    load_matrix_x2(f.x[Plan::kTokenTiles - 1], x + token * 128 + (((2 * step + ((lane >> 3) & 1)) ^ (token & 7)) << 4));
  }
}

// Reads step `step` of the stage at `stage`.
template <class Config>
LADDER_DEVICE void dense_load_step(u32 stage, u32 warp_row, u32 warp_token, int step, DenseFragments<Config>& f) {
  using Plan = DensePlan<Config>;
  const u32 lane = lane_id();
#pragma unroll
  for (int i = 0; i < Plan::kRowTiles; i++) {
    const u32 row = warp_row + 16 * i + (lane & 15);
    load_matrix_x4(f.w[i], stage + row * 128 + (((2 * step + (lane >> 4)) ^ (row & 7)) << 4));
  }
  dense_load_x<Config>(stage + Plan::kWBytes, warp_token, step, f);
}

template <class Config>
LADDER_DEVICE void dense_mma(typename SumOf<typename Config::Compute>::Type (&c)[4], const u32 (&w)[4], u32 x0,
                             u32 x1) {
  if constexpr (kBytesOf<typename Config::Compute> == 1) {
    mma_16832(typename Config::Weight{}, typename Config::Compute{}, c, w, x0, x1);
  } else {
    mma_16816(typename Config::Compute{}, c, w, x0, x1);
  }
}

// A warp's sums, fragment by fragment.
template <class Config, class Sum>
struct DenseSums {
  Sum at[DensePlan<Config>::kRowTiles][DensePlan<Config>::kTokenTiles][4];

  LADDER_DEVICE void clear() {
    for_each([](Sum& sum, int, int, int) { sum = 0; });
  }
  LADDER_DEVICE void add(const DenseSums& other) {
    for_each([&](Sum& sum, int i, int j, int e) { sum += other.at[i][j][e]; });
  }
  template <class Other>
  LADDER_DEVICE void assign(const Other& other) {
    for_each([&](Sum& sum, int i, int j, int e) { sum = static_cast<Sum>(other.at[i][j][e]); });
  }

 private:
  template <class Apply>
  LADDER_DEVICE void for_each(const Apply& apply) {
#pragma unroll
    for (int i = 0; i < DensePlan<Config>::kRowTiles; i++) {
#pragma unroll
      for (int j = 0; j < DensePlan<Config>::kTokenTiles; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) apply(at[i][j][e], i, j, e);
      }
    }
  }
};

// Partial sums in the workspace: [tile][split][fragment][thread][4].
template <class Config>
LADDER_DEVICE u8* dense_parts(const MatmulArguments& arguments, const DenseItem& item, int split) {
  using Plan = DensePlan<Config>;
  constexpr i64 kPartBytes = static_cast<i64>(Config::kRows) * Config::kTokens * 4;
  return split_partials(arguments.workspace) + (static_cast<i64>(item.tile) * Config::kSplits + split) * kPartBytes +
         thread_id() * 16;
}

// Finishes one fragment (rows from `row` on, tokens from `token` on) into the turned tile.
template <class Config>
LADDER_DEVICE void dense_stage(const MatmulArguments& arguments, const DenseItem& item, u32 shared, u32 row, u32 token,
                               const float (&sums)[4], float bias0, float bias1) {
  using Plan = DensePlan<Config>;
  const u32 mine = token + 2 * (lane_id() & 3);
  finish_fragment<Config>(arguments, sums, bias0, bias1, item.first_token + static_cast<int>(mine),
                          item.first_row + static_cast<int>(row), [&](int e, int column, float value) {
                            const u32 to = shared + (mine + e) * Plan::kPitch + (row + column) * Plan::kOutputBytes;
                            if constexpr (Plan::kOutputBytes == 4) {
                              store_shared_f32(to, value);
                            } else {
                              store_shared_u16(to, output_bits(typename Config::Output{}, value));
                            }
                          });
}

// Copies the turned tile to y.
template <class Config>
LADDER_DEVICE void dense_store(u32 shared, const MatmulArguments& arguments, const DenseItem& item) {
  using Plan = DensePlan<Config>;
  const int tokens =
      arguments.m - item.first_token < Config::kTokens ? arguments.m - item.first_token : Config::kTokens;
  u8* const y = static_cast<u8*>(arguments.y) +
                (static_cast<i64>(item.first_token) * Config::kN + item.first_row) * Plan::kOutputBytes;
  constexpr int kVector = Config::kN % (16 / Plan::kOutputBytes) == 0 ? 16 / Plan::kOutputBytes : 1;
  constexpr u32 kPerToken = Config::kRows / kVector;
#pragma unroll 4
  for (u32 i = thread_id(); i < Config::kTokens * kPerToken; i += Plan::kThreads) {
    const u32 token = i / kPerToken;
    const u32 row = i % kPerToken * kVector;
    if (static_cast<int>(token) >= tokens || item.first_row + static_cast<int>(row) >= Config::kN) continue;
    u8* const to = y + (static_cast<i64>(token) * Config::kN + row) * Plan::kOutputBytes;
    const u32 from = shared + token * Plan::kPitch + row * Plan::kOutputBytes;
    if constexpr (kVector > 1) {
      store_global_v4(to, load_shared_v4(from));
    } else if constexpr (Plan::kOutputBytes == 4) {
      store_global_u32(to, load_shared_u32(from));
    } else {
      store_global_u16(to, load_shared_u16(from));
    }
  }
}

// From a warp's sums to y: adds up those of all splits, in the last block of a tile to arrive, and stores. The ring,
// over which this works, has been read when every warp is here.
template <class Config>
LADDER_DEVICE void dense_finish(const MatmulArguments& arguments, const DenseItem& item, u32 shared, u32 warp_row,
                                u32 warp_token, DenseSums<Config, float>& total) {
  using Plan = DensePlan<Config>;
  auto& acc = total.at;
  if constexpr (Config::kSplits > 1) {
    u8* const mine = dense_parts<Config>(arguments, item, item.split);
#pragma unroll
    for (int i = 0; i < Plan::kRowTiles; i++) {
#pragma unroll
      for (int j = 0; j < Plan::kTokenTiles; j++) {
        const float(&a)[4] = acc[i][j];
        store_global_v4(mine + (i * Plan::kTokenTiles + j) * static_cast<i64>(Plan::kThreads * 16),
                        Vec4{float_bits(a[0]), float_bits(a[1]), float_bits(a[2]), float_bits(a[3])});
      }
    }
    fence_device();
    block_sync();  // the ring has been read: its memory holds the flag
    if (!last_to_arrive(arguments.workspace, item.tile, Config::kSplits, shared + Plan::kFlag)) return;
    fence_device();
  }
  block_sync();  // the ring, or the flag, has been read
  const u32 lane = lane_id();
#pragma unroll
  for (int i = 0; i < Plan::kRowTiles; i++) {
    const u32 row = warp_row + 16 * i;
    const float bias0 = load_bias<Config>(arguments.bias, item.first_row + static_cast<int>(row + lane / 4));
    const float bias1 = load_bias<Config>(arguments.bias, item.first_row + static_cast<int>(row + lane / 4) + 8);
#pragma unroll
    for (int j = 0; j < Plan::kTokenTiles; j++) {
      if constexpr (Config::kSplits > 1) {
        // In the order of the splits, so that a result never depends on which block came last.
#pragma unroll
        for (int s = 0; s < Config::kSplits; s++) {
          const Vec4 v = load_global_v4(dense_parts<Config>(arguments, item, s) +
                                        (i * Plan::kTokenTiles + j) * static_cast<i64>(Plan::kThreads * 16));
          const float part[4] = {bits_float(v.x), bits_float(v.y), bits_float(v.z), bits_float(v.w)};
#pragma unroll
          for (int e = 0; e < 4; e++) acc[i][j][e] = s == 0 ? part[e] : acc[i][j][e] + part[e];
        }
      }
      dense_stage<Config>(arguments, item, shared, row, warp_token + 8 * j, acc[i][j], bias0, bias1);
    }
  }
  block_sync();
  dense_store<Config>(shared, arguments, item);
}

// Config: config.h's members, and kRows, kTokens, kRowWarps, kTokenWarps, kStages, kSplits, kRaster.
template <class Config>
LADDER_DEVICE void DenseMatmul(const MatmulArguments& arguments) {
  using Plan = DensePlan<Config>;
  using Compute = typename Config::Compute;
  const DenseItem item = dense_item<Config>(block_id(), arguments.m);
  const u32 shared = dynamic_shared();
  const u32 warp = thread_id() / 32;
  const u32 warp_row = warp % Config::kRowWarps * Plan::kWarpRows;
  const u32 warp_token = warp / Config::kRowWarps * Plan::kWarpTokens;
  const int rows = Config::kN - item.first_row;
  const int tokens = arguments.m - item.first_token;
  const auto copy_w = [&](int block, u32 slot) {
    dense_copy_rows<Config, Config::kRows>(shared + slot * Plan::kStageBytes, arguments.w, item.first_row, rows, block);
  };
  const auto copy_x = [&](int block, u32 slot) {
    dense_copy_rows<Config, Config::kTokens>(shared + slot * Plan::kStageBytes + Plan::kWBytes, arguments.x,
                                             item.first_token, tokens, block);
  };

  // Weights are constants and need not wait for the previous kernel. They belong to the first group of copies.
  launch_dependents();
#pragma unroll 1
  for (int i = 0; i < Config::kStages - 1 && item.k_begin + i < item.k_end; i++) copy_w(item.k_begin + i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < Config::kStages - 1; i++) {
    if (item.k_begin + i < item.k_end) copy_x(item.k_begin + i, i);
    copy_async_commit();
  }

  DenseSums<Config, typename SumOf<Compute>::Type> sums;
  sums.clear();
  DenseFragments<Config> fragments[2];
  u32 slot = 0;
  u32 next_slot = Config::kStages - 1;
#pragma unroll 1
  for (int block = item.k_begin; block < item.k_end; block++) {
    copy_async_wait<Config::kStages - 2>();
    block_sync();  // the stage has landed for everyone, and everyone has left the one that is filled next
    const int ahead = block + Config::kStages - 1;
    if (ahead < item.k_end) {
      copy_w(ahead, next_slot);
      copy_x(ahead, next_slot);
    }
    copy_async_commit();
    const u32 stage = shared + slot * Plan::kStageBytes;
    [[maybe_unused]] DenseSums<Config, typename SumOf<Compute>::Type> part;
    if constexpr (Plan::kPromotes) part.clear();
    auto& into = [&]() -> auto& {
      if constexpr (Plan::kPromotes) {
        return part;
      } else {
        return sums;
      }
    }
    ();
    dense_load_step<Config>(stage, warp_row, warp_token, 0, fragments[0]);
#pragma unroll
    for (int step = 0; step < 4; step++) {
      if (step < 3) dense_load_step<Config>(stage, warp_row, warp_token, step + 1, fragments[(step + 1) & 1]);
      const DenseFragments<Config>& f = fragments[step & 1];
#pragma unroll
      for (int i = 0; i < Plan::kRowTiles; i++) {
#pragma unroll
        for (int j = 0; j < Plan::kTokenTiles; j++) dense_mma<Config>(into.at[i][j], f.w[i], f.x[j][0], f.x[j][1]);
      }
    }
    if constexpr (Plan::kPromotes) sums.add(part);
    slot = slot + 1 == Config::kStages ? 0 : slot + 1;
    next_slot = next_slot + 1 == Config::kStages ? 0 : next_slot + 1;
  }
  copy_async_wait<0>();
  DenseSums<Config, float> total;
  total.assign(sums);
  dense_finish<Config>(arguments, item, shared, warp_row, warp_token, total);
}

}  // namespace ladder
