// Packed weights with activations of 8 bits by mma.sync, for more rows than decode takes: D^T = W X^T on sm_80 and up
// (fp8: sm_89), both operands through a cp.async ring.
//
// Block tile, warps, walk over work items, ring, split-K and the store are those of dense.cuh, whose pieces are used
// here. A stage has 128 columns of K: packed blocks of 64 rows x 128 columns, as they lie in memory, then X rows of 128
// bytes. A lane reads its words of a row tile at the beginning of a stage and decodes them to the A fragments of its
// four k32 steps. Scales and zero points come straight from memory, a stage ahead.
//
// Sums of a segment (the columns of a stage that share a group, and of fp8 all of a stage's) are added, scaled, to fp32
// sums; int8 with a scale per channel has none, and its int32 sums are scaled at the end.
#pragma once
#include "schedules/device/byte_decode.cuh"
#include "schedules/matmul/dense.cuh"

namespace ladder {

template <class Config>
struct PipelinedBytesPlan {
  using Dense = DensePlan<Config>;
  using Weight = typename Config::Weight;
  using Plane = ScalePlane<Config>;
  static constexpr int kWords = kByteWords<Weight>;
  static constexpr int kRowTiles = Dense::kRowTiles;
  static constexpr u32 kBlockBytes = 1024 * Weight::kBits;
  static constexpr u32 kWBytes = Config::kRows / 64 * kBlockBytes;
  static constexpr u32 kStageBytes = kWBytes + Config::kTokens * 128;
  static constexpr int kTilesOfN = (Config::kN + 63) / 64;
  static constexpr bool kSegments = Dense::kPromotes || !Plane::kPerChannel;
  static constexpr int kSegmentSteps = Plane::kPerChannel ? 4 : common_divisor(Config::kGroup, 128) / 32;
  static constexpr int kStageSegments = 4 / kSegmentSteps;
  static constexpr bool kZeroCodes = Config::kZeros != Zeros::kNone;
  static_assert(Config::kRows % 64 == 0 && Dense::kWarpRows <= 64, "a warp's rows lie within a packed block");
};

// The factors of a stage for a warp's row tiles: pairs of rows.
template <class Config>
struct ByteFactors {
  using Plan = PipelinedBytesPlan<Config>;
  u32 scale[Plan::kStageSegments][Plan::kRowTiles];
  u32 zero[Plan::kStageSegments][Plan::kRowTiles];

  // Of k block `block`, for row tiles from `first_tile` on of the block of 64 rows `row_block`.
  LADDER_DEVICE void load(const MatmulArguments& p, int row_block, int first_tile, int block) {
    using Plane = typename Plan::Plane;
    const int lane_row = static_cast<int>(lane_id()) / 4;
#pragma unroll
    for (int s = 0; s < Plan::kStageSegments; s++) {
      const int group = Plane::kPerChannel ? 0 : Plane::group_of(block * 128 + s * Plan::kSegmentSteps * 32);
#pragma unroll
      for (int i = 0; i < Plan::kRowTiles; i++) {
        const int row = 16 * (first_tile + i) + lane_row;
        scale[s][i] = load_row_pair(static_cast<const u16*>(p.scale) + Plane::element(row_block, group, row));
        zero[s][i] = 0;
        if constexpr (Plan::kZeroCodes && Config::Weight::kBits > 4) {
          const u8* const zeros = static_cast<const u8*>(p.zero) + Plane::element(row_block, group, row);
          zero[s][i] = load_constant_u8(zeros) | load_constant_u8(zeros + 8) << 8;
        } else if constexpr (Plan::kZeroCodes) {
          zero[s][i] = load_constant_u8(static_cast<const u8*>(p.zero) +
                                        Plane::zero_byte(row_block, group, first_tile + i, lane_row));
        }
      }
    }
  }
};

// Brings the packed blocks of a stage. The last block of rows stands in for those beyond N; its rows are dropped later.
template <class Config>
LADDER_DEVICE void pipelined_copy_blocks(u32 shared, const void* w, int first_row, int block) {
  using Plan = PipelinedBytesPlan<Config>;
  constexpr u32 kCopies = Plan::kBlockBytes / 16;  // of one block
#pragma unroll
  for (int t = 0; t < Config::kRows / 64; t++) {
    int tile = first_row / 64 + t;
    if (tile >= Plan::kTilesOfN) tile = Plan::kTilesOfN - 1;
    const u8* const from = static_cast<const u8*>(w) + (static_cast<i64>(tile) * Plan::Dense::kKBlocks + block) *
                                                           static_cast<i64>(Plan::kBlockBytes);
#pragma unroll 4
    for (u32 i = thread_id(); i < kCopies; i += Plan::Dense::kThreads) {
      copy_async_16(shared + t * Plan::kBlockBytes + i * 16, from + i * 16, 16);
    }
  }
}

// The words of a lane and of row tile `tile` of the packed block at `block`.
template <int kWords>
LADDER_DEVICE void load_tile_words(u32 block, u32 tile, u32 (&words)[kWords]) {
  constexpr int kFours = kWords / 4;
  const u32 at = tile * 32 + lane_id();
#pragma unroll
  for (int c = 0; c < kFours; c++) {
    const Vec4 v = load_shared_v4(block + c * 2048 + at * 16);
    words[4 * c] = v.x, words[4 * c + 1] = v.y, words[4 * c + 2] = v.z, words[4 * c + 3] = v.w;
  }
  if constexpr (kWords % 4 != 0) {
    words[4 * kFours] = load_shared_u32(block + kFours * 2048 + at * 8);
    words[4 * kFours + 1] = load_shared_u32(block + kFours * 2048 + at * 8 + 4);
  }
}

// Config: config.h's members, and kRows (a multiple of 64), kTokens, kRowWarps, kTokenWarps, kStages, kSplits, kRaster.
template <class Config>
LADDER_DEVICE void PipelinedBytesMatmul(const MatmulArguments& arguments) {
  using Plan = PipelinedBytesPlan<Config>;
  using Dense = DensePlan<Config>;
  using Weight = typename Config::Weight;
  using Compute = typename Config::Compute;
  using Sum = typename SumOf<Compute>::Type;
  constexpr int kRowTiles = Dense::kRowTiles, kTokenTiles = Dense::kTokenTiles;
  const DenseItem item = dense_item<Config>(block_id(), arguments.m);
  const u32 shared = dynamic_shared();
  const u32 warp = thread_id() / 32;
  const u32 warp_row = warp % Config::kRowWarps * Dense::kWarpRows;
  const u32 warp_token = warp / Config::kRowWarps * Dense::kWarpTokens;
  const int tokens = arguments.m - item.first_token;
  int row_block = item.first_row / 64 + static_cast<int>(warp_row / 64);
  if (row_block >= Plan::kTilesOfN) row_block = Plan::kTilesOfN - 1;
  const u32 first_tile = warp_row % 64 / 16;
  const auto copy_w = [&](int block, u32 slot) {
    pipelined_copy_blocks<Config>(shared + slot * Plan::kStageBytes, arguments.w, item.first_row, block);
  };
  const auto copy_x = [&](int block, u32 slot) {
    dense_copy_rows<Config, Config::kTokens>(shared + slot * Plan::kStageBytes + Plan::kWBytes, arguments.x,
                                             item.first_token, tokens, block);
  };

  // Weights are constants and need not wait for the previous kernel. They belong to the first group of copies.
  launch_dependents();
#pragma unroll 1
  for (int i = 0; i < Config::kStages - 1 && item.k_begin + i < item.k_end; i++) copy_w(item.k_begin + i, i);
  ByteFactors<Config> next;
  next.load(arguments, row_block, static_cast<int>(first_tile), item.k_begin);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < Config::kStages - 1; i++) {
    if (item.k_begin + i < item.k_end) copy_x(item.k_begin + i, i);
    copy_async_commit();
  }

  DenseSums<Config, float> total;
  DenseSums<Config, Sum> part;
  total.clear();
  part.clear();
  ByteDequantizer<Config> dequantize[kRowTiles];
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
    const ByteFactors<Config> factors = next;
    if constexpr (!Plan::Plane::kPerChannel) {
      if (block + 1 < item.k_end) next.load(arguments, row_block, static_cast<int>(first_tile), block + 1);
    }
    const u32 stage = shared + slot * Plan::kStageBytes;
    u32 words[kRowTiles][Plan::kWords];
#pragma unroll
    for (int i = 0; i < kRowTiles; i++) {
      load_tile_words(stage + warp_row / 64 * Plan::kBlockBytes, first_tile + i, words[i]);
    }
    DenseFragments<Config> fragments[2];
    dense_load_x<Config>(stage + Plan::kWBytes, warp_token, 0, fragments[0]);
#pragma unroll
    for (int step = 0; step < 4; step++) {
      const int segment = step / Plan::kSegmentSteps;
      if (step < 3) dense_load_x<Config>(stage + Plan::kWBytes, warp_token, step + 1, fragments[(step + 1) & 1]);
      DenseFragments<Config>& f = fragments[step & 1];
#pragma unroll
      for (int i = 0; i < kRowTiles; i++) {
        if (step % Plan::kSegmentSteps == 0) dequantize[i].set(0, factors.zero[segment][i]);
        dequantize[i].decode(words[i], step, f.w[i]);
#pragma unroll
        for (int j = 0; j < kTokenTiles; j++) {
          mma_16832(typename Weight::Byte{}, Compute{}, part.at[i][j], f.w[i], f.x[j][0], f.x[j][1]);
        }
      }
      if (Plan::kSegments && (step + 1) % Plan::kSegmentSteps == 0) {
#pragma unroll
        for (int i = 0; i < kRowTiles; i++) {
          const u32 pair = Plan::Plane::kPerChannel ? 0 : factors.scale[segment][i];
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const float scale = Plan::Plane::kPerChannel
                                    ? 1.0f
                                    : to_float(typename Config::Scale{}, e < 2 ? pair & 0xffffu : pair >> 16);
#pragma unroll
            for (int j = 0; j < kTokenTiles; j++) {
              total.at[i][j][e] += sum_number<true>(part.at[i][j][e]) * scale;  // of 128 columns at most
              part.at[i][j][e] = 0;
            }
          }
        }
      }
    }
    slot = slot + 1 == Config::kStages ? 0 : slot + 1;
    next_slot = next_slot + 1 == Config::kStages ? 0 : next_slot + 1;
  }
  copy_async_wait<0>();
  if constexpr (!Plan::kSegments) total.assign(part);
    // What the bytes and, where there is one scale per channel, the row are worth.
#pragma unroll
  for (int i = 0; i < kRowTiles; i++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      float factor = power_of_two(Weight::kExponent);
      if constexpr (Plan::Plane::kPerChannel) {
        factor *= to_float(typename Config::Scale{}, e < 2 ? next.scale[0][i] & 0xffffu : next.scale[0][i] >> 16);
      }
#pragma unroll
      for (int j = 0; j < kTokenTiles; j++) total.at[i][j][e] *= factor;
    }
  }
  dense_finish<Config>(arguments, item, shared, warp_row, warp_token, total);
}

}  // namespace ladder
