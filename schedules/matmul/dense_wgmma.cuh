// Weights of the activations' width (16 or 8 bits) as they are (row-major N x K) through the warp group matrix
// instruction with both operands in shared memory: D^T = W X^T. sm_90a.
//
// Threads: kMathGroups warp groups of 128 threads multiply, one more brings data (one thread of it works, so that it
// can give its registers away). Block tile: 64 * kMathGroups * kRowTiles rows of W by kTokens tokens; a math group
// holds kRowTiles tiles of 64 rows for itself and shares the tokens with the others. The grid is persistent over
// TileWalk's work items.
//
// Stages: a ring of kStages, each with 128 bytes of a row (64 columns of 16 bits, 128 of 8), both operands written by
// TMA with the 128-byte swizzle and zeros beyond their tensors: x, kTokens rows of 128 bytes, then w, all rows of the
// block tile. full[stage] completes when the bytes have landed (1 arrival + bytes); empty[stage] when every math warp
// has multiplied it. A math group issues a stage's products as one group and waits only for those of the stage before,
// which it then releases: one stage's products are always in flight.
//
// Sums of int8 are int32 and exact. The tensor cores add up fp8 with about 14 bits, so a stage's 128 columns make a sum
// of their own, added to the fp32 sum of the stages before; the other math groups multiply meanwhile. TMA moves 8-bit
// elements in pairs, as if they were 16-bit ones.
#pragma once
#include "ladder/wgmma_instruction.cuh"
#include "schedules/device/scales.cuh"
#include "schedules/device/wgmma.cuh"
#include "schedules/matmul/wgmma_tile.cuh"

namespace ladder {

// Where things lie in shared memory, from a base that is a multiple of 1,024; dense_wgmma.cc adds up the same.
template <class Config>
struct DenseWgmmaPlan {
  using Walk = TileWalk<Config>;
  static constexpr u32 kXBytes = Config::kTokens * 128;
  static constexpr u32 kWBytes = Walk::kRows * 128;
  static constexpr u32 kW = Config::kStages * kXBytes;
  static constexpr u32 kStaging = kW + Config::kStages * kWBytes;
  static constexpr u32 kFull = kStaging + Config::kMathGroups * Staging<typename Config::Output>::kTotal;
  static constexpr u32 kEmpty = kFull + Config::kStages * 8;
  static constexpr u32 kReleased = Config::kMathGroups * 4;  // arrivals that release a stage
  static_assert(Config::kDepth == 1, "groups share no rows here");
};

template <class Config>
LADDER_DEVICE void produce_dense_weights(const MatmulTmaArguments& arguments, u32 base, u32 stage, const WorkItem& work,
                                         int block) {
  using Plan = DenseWgmmaPlan<Config>;
  const u32 full = base + Plan::kFull + stage * 8;
  barrier_arrive_expect(full, tile_tokens<Config>(arguments.base.m, work.first_token) * 128 + Plan::kWBytes);
  copy_tensor_2d(base + Plan::kW + stage * Plan::kWBytes, &arguments.w_map, full, block * 64, work.first_row);
}

// One math group.
template <class Config>
LADDER_DEVICE void dense_wgmma_multiply(const MatmulArguments& arguments, u32 base, u32 group) {
  using Plan = DenseWgmmaPlan<Config>;
  using Weight = typename Config::Weight;
  using Compute = typename Config::Compute;
  using Sum = typename SumOf<Compute>::Type;
  constexpr int kRowTiles = Config::kRowTiles;
  constexpr bool kPromotes = kBytesOf<Compute> == 1 && !SameType<Compute, I8>::value;
  typename Plan::Walk walk(arguments.m);
  RingPosition<Config::kStages> ring;
  wait_for_previous();  // y and the workspace may be in use until then

  for (; walk.more(); walk.advance()) {
    const WorkItem work = walk.item();
    Sum acc[kRowTiles][Config::kTokens / 2];
    [[maybe_unused]] Sum part[kPromotes ? kRowTiles : 1][kPromotes ? Config::kTokens / 2 : 1];
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
      for (int i = 0; i < Config::kTokens / 2; i++) acc[t][i] = 0;
    }
    [[maybe_unused]] u32 previous_empty = 0;  // barrier of the stage before, 0 at the start
#pragma unroll 1
    for (int block = work.k_begin; block < work.k_end; block++) {
      barrier_wait(base + Plan::kFull + ring.stage * 8, ring.phase);
      const u64 x = wgmma_descriptor(base + ring.stage * Plan::kXBytes);
      const u64 w = wgmma_descriptor(base + Plan::kW + ring.stage * Plan::kWBytes + group * (kRowTiles * 8192));
      wgmma_fence();
#pragma unroll
      for (int step = 0; step < 4; step++) {
#pragma unroll
        for (int t = 0; t < kRowTiles; t++) {
          const u64 w_step = w + wgmma_descriptor_step(t * 8192 + step * 32),
                    x_step = x + wgmma_descriptor_step(step * 32);
          if constexpr (kPromotes) {
            wgmma_ss<Weight, Compute, Config::kTokens>(part[t], w_step, x_step, step > 0 ? 1u : 0u);
          } else {
            wgmma_ss<Weight, Compute, Config::kTokens>(acc[t], w_step, x_step, 1u);
          }
        }
      }
      wgmma_commit();
      const u32 empty = base + Plan::kEmpty + ring.stage * 8;
      ring.advance();
      if constexpr (kPromotes) {
        wgmma_wait<0>();
        if (lane_id() == 0) barrier_arrive(empty);
#pragma unroll
        for (int t = 0; t < kRowTiles; t++) {
          wgmma_settle(part[t]);
#pragma unroll
          for (int i = 0; i < Config::kTokens / 2; i++) acc[t][i] += part[t][i];
        }
      } else {
        wgmma_wait<1>();
        if (previous_empty != 0 && lane_id() == 0) barrier_arrive(previous_empty);
        previous_empty = empty;
      }
    }
    if constexpr (!kPromotes) {
      wgmma_wait<0>();
#pragma unroll
      for (int t = 0; t < kRowTiles; t++) wgmma_settle(acc[t]);
      if (lane_id() == 0) barrier_arrive(previous_empty);
    }
    const u32 staging = base + Plan::kStaging + group * Staging<typename Config::Output>::kTotal;
    if constexpr (SameType<Sum, float>::value) {
      finish_item<Config>(acc, arguments, work, group, staging, base);
    } else {
      float sums[kRowTiles][Config::kTokens / 2];
#pragma unroll
      for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
        for (int i = 0; i < Config::kTokens / 2; i++) sums[t][i] = static_cast<float>(acc[t][i]);
      }
      finish_item<Config>(sums, arguments, work, group, staging, base);
    }
  }
}

// Config: config.h's members, and kTokens, kMathGroups, kRowTiles, kStages, kSplits, kRaster, kMathRegisters and
// kProducerRegisters (0: leave them as launched).
template <class Config>
LADDER_DEVICE void DenseWgmmaMatmul(const MatmulTmaArguments& arguments) {
  using Plan = DenseWgmmaPlan<Config>;
  const u32 base = (dynamic_shared() + 1023u) & ~1023u;
  launch_dependents();
  // Uniform, and the compiler can tell.
  const u32 group = shuffle(thread_id() >> 7, 0);
  const int producer = static_cast<int>(shuffle(thread_id() >> 5, 0)) - 4 * Config::kMathGroups;
  const auto weights = [&](u32 stage, const WorkItem& work, int block) {
    produce_dense_weights<Config>(arguments, base, stage, work, block);
  };
  int early = 0;
  if (produces<Config>(producer)) early = start_producing<Config, Plan>(arguments, base, producer, weights);
  block_sync();
  if (group == Config::kMathGroups) {
    if constexpr (Config::kMathRegisters != 0) registers_decrease<Config::kProducerRegisters>();
    if (produces<Config>(producer)) produce<Config, Plan>(arguments, base, producer, early, weights);
  } else {
    if constexpr (Config::kMathRegisters != 0) registers_increase<Config::kMathRegisters>();
    dense_wgmma_multiply<Config>(arguments.base, base, group);
  }
}

}  // namespace ladder
