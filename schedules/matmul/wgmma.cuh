// Quantised weights through the warp group matrix instruction: D^T = W X^T with the weights decoded into registers as
// operand A and the activations in shared memory as operand B. sm_90a.
//
// Threads: kMathGroups warp groups of 128 threads multiply, one more brings data (a thread of each of kProducers warps
// works, so that it can give its registers away). Block tile: 64 * kMathGroups / kDepth * kRowTiles rows of W by
// kTokens tokens; a math group holds kRowTiles tiles of 64 rows and shares the tokens with the others. kDepth groups
// have the same rows and each a part of the block's K: where tokens are few, a block with fewer rows needs fewer parts
// of K elsewhere, so less is summed through memory, and more warps hide the decode. The grid is persistent over
// TileWalk's work items.
//
// Stages: a ring of kStages, shared out to the depths in turn, and to the producers, each with 64 columns of K:
//   x      kTokens rows of 128 bytes, written by TMA with the 128-byte swizzle, zeros beyond K, anything beyond M
//          (where x has 8 bits, widened and written by the producer group's other warps: wgmma_widen.cuh)
//   w      one packed 64 x 64 block (512 bytes for each bit of a code) per row tile; a lane reads its four k16 steps,
//          at place 32v + l for lane l of warp v
//   scale  kFactorRows rows of 64 scales per row tile: those of the groups the 64 columns touch
//   zero   likewise
// Table weights are looked up in a table behind the stages (kPairTable), or by byte permutes. Permutes leave shared
// memory alone but take three times the integer operations: they win where many tokens share a decode.
// full[stage] completes when the bytes have landed (1 arrival + bytes); empty[stage] when every math warp of its depth
// has multiplied it.
//
// Main loop of a math group: decode kSteps k16 steps into one of two register sets, issue their products, and wait only
// for the products before those, which frees the other set. So the decode of a step overlaps the product of the one
// before it, across stages too: a stage is released one product late and the pipeline drains at the end of an item
// only.
//
// Scales: kScaleInWeights multiplies them into the decoded weights; otherwise they multiply fp32 sums at the end of
// each group (kPart sums beside the total), or once at the end where there is one group.
#pragma once
#include "ladder/wgmma_instruction.cuh"
#include "schedules/device/wgmma.cuh"
#include "schedules/matmul/wgmma_decode.cuh"
#include "schedules/matmul/wgmma_tile.cuh"
#include "schedules/matmul/wgmma_widen.cuh"

namespace ladder {

// Where things lie in shared memory, and how scales are walked.
template <class Config>
struct WgmmaPlan {
  using Ring = ProducedRing<Config>;
  static constexpr int kTiles = kRowGroups<Config> * Config::kRowTiles;  // of 64 rows
  static constexpr int kTilesOfN = (Config::kN + 63) / 64;
  static constexpr int kKBlocks = (Config::kK + 63) / 64;
  static constexpr int kGroups = Config::kK / Config::kGroup;  // of scales
  // 64 columns lie within one group, or touch as many as this.
  static constexpr bool kOneFactor = kGroups == 1 || Config::kGroup % 64 == 0;
  static constexpr int kFactorRows = kOneFactor                 ? 1
                                     : 64 % Config::kGroup == 0 ? 64 / Config::kGroup
                                                                : 62 / Config::kGroup + 2;
  static constexpr bool kAtEnd = !Config::kScaleInWeights && kGroups == 1;
  static constexpr bool kAtGroupEnds = !Config::kScaleInWeights && kGroups > 1;
  using Walk = TileWalk<Config, Config::kUnroll>;
  // In k blocks: how long a group is, and how often factors may change within a turn of the unrolled loop.
  static constexpr int kBlocksPerGroup = kOneFactor && kGroups > 1 ? Config::kGroup / 64 : kKBlocks;
  static constexpr int kFactorPeriod =
      kGroups == 1 ? Config::kUnroll : common_divisor(kBlocksPerGroup, Config::kUnroll);
  static_assert(Config::kStages % (Config::kUnroll * Config::kDepth) == 0, "a turn of the loop lies within the ring");
  static_assert(Config::kSteps < 4 || Config::kUnroll % 2 == 0, "register sets alternate by constants");
  static_assert(Config::kScaleInWeights || kOneFactor || (Config::kGroup == 32 && Config::kSteps <= 2),
                "sums of a group are kept apart, whole stages or halves of one");
  static_assert(Config::kScaleInWeights || Config::kZeros != Zeros::kRescale,
                "rescale zeros are not multiplied by the scale");

  static constexpr u32 kScaleRowBytes = 128;
  static constexpr u32 kZeroRowBytes = Config::kZeros == Zeros::kNone        ? 0
                                       : Config::kZeros != Zeros::kQuantized ? 128
                                       : Config::Weight::kBits > 4           ? 64
                                                                             : 32;
  static constexpr u32 kBlockBytes = 512 * Config::Weight::kBits;
  static constexpr u32 kXBytes = Config::kTokens * 128;
  static constexpr u32 kWBytes = kTiles * kBlockBytes;
  static_assert(!kSumsMeet<Config> ||
                    Config::kDepth * SplitPartials<Config>::kBytes <= Config::kStages * (kXBytes + kWBytes),
                "partial sums lie in the ring");
  static constexpr u32 kScaleBytes = kTiles * kFactorRows * kScaleRowBytes;
  static constexpr u32 kZeroBytes = kTiles * kFactorRows * kZeroRowBytes;
  // From the base, which is a multiple of 1,024. Every region is a multiple of 16 bytes.
  static constexpr u32 kW = Config::kStages * kXBytes;
  static constexpr u32 kScale = kW + Config::kStages * kWBytes;
  static constexpr u32 kZero = kScale + Config::kStages * kScaleBytes;
  static constexpr u32 kStaging = kZero + Config::kStages * kZeroBytes;
  static constexpr u32 kTable = kStaging + Config::kMathGroups * Staging<typename Config::Output>::kTotal;
  static constexpr u32 kRaw = kTable + (Config::kPairTable != 0 ? kSharedTableBytes<typename Config::Weight> : 0);
  static constexpr u32 kFull = kRaw + Config::kStages * WidenRing<Config>::kStageBytes;
  static constexpr u32 kEmpty = kFull + Config::kStages * 8;
  static constexpr u32 kReleased = kRowGroups<Config> * 4 * kReleases;  // arrivals that release a stage
  static constexpr u32 kEnd = kEmpty + Config::kStages * 8;             // WgmmaSharedBytes (wgmma.cc) computes the same

  // First group that k block `block` touches.
  LADDER_DEVICE static int first_group(int block) {
    return kGroups == 1 ? 0 : static_cast<int>(static_cast<i64>(block) * 64 / Config::kGroup);
  }
  // Rows of factors it brings: never beyond the last group.
  LADDER_DEVICE static int factor_rows(int block) {
    const int left = kGroups - first_group(block);
    return left < kFactorRows ? left : kFactorRows;
  }
};

// The weights, scales and zeros of one stage. The last row tile stands in for those beyond N; its rows are dropped
// later.
template <class Config>
LADDER_DEVICE void produce_weights(const MatmulArguments& arguments, u32 base, u32 stage, const WorkItem& work,
                                   int block) {
  using Plan = WgmmaPlan<Config>;
  const u32 full = base + Plan::kFull + stage * 8;
  const int rows = Plan::factor_rows(block);
  const int group = Plan::first_group(block);
  const u32 x_bytes = kWidens<Config> ? 0 : tile_tokens<Config>(arguments.m, work.first_token) * 128;
  barrier_arrive_expect(full,
                        x_bytes + Plan::kWBytes + Plan::kTiles * rows * (Plan::kScaleRowBytes + Plan::kZeroRowBytes));
#pragma unroll
  for (int t = 0; t < Plan::kTiles; t++) {
    int tile = work.first_row / 64 + t;
    if (tile >= Plan::kTilesOfN) tile = Plan::kTilesOfN - 1;
    copy_bulk(
        base + Plan::kW + stage * Plan::kWBytes + t * Plan::kBlockBytes,
        static_cast<const u8*>(arguments.w) + (static_cast<i64>(tile) * Plan::kKBlocks + block) * Plan::kBlockBytes,
        Plan::kBlockBytes, full);
    const i64 factor = static_cast<i64>(tile) * Plan::kGroups + group;
    copy_bulk_keep(base + Plan::kScale + stage * Plan::kScaleBytes + t * Plan::kFactorRows * Plan::kScaleRowBytes,
                   static_cast<const u8*>(arguments.scale) + factor * Plan::kScaleRowBytes, rows * Plan::kScaleRowBytes,
                   full);
    if constexpr (Plan::kZeroRowBytes != 0) {
      copy_bulk_keep(base + Plan::kZero + stage * Plan::kZeroBytes + t * Plan::kFactorRows * Plan::kZeroRowBytes,
                     static_cast<const u8*>(arguments.zero) + factor * Plan::kZeroRowBytes, rows * Plan::kZeroRowBytes,
                     full);
    }
  }
}

// One math group. The loop over stages is unrolled kUnroll times and stages come kUnroll at a time, so that where
// things lie, which register set is next and where a group of scales begins are constants: at small token tiles the
// instructions around the decode cost as much as a third of it.
template <class Config>
LADDER_DEVICE void wgmma_multiply(const MatmulArguments& arguments, u32 base, u32 group) {
  using Plan = WgmmaPlan<Config>;
  using Compute = typename Config::Compute;
  constexpr int kRowTiles = Config::kRowTiles;
  constexpr int kSteps = Config::kSteps;
  constexpr int kChunks = 4 / kSteps;  // products (commit groups) of one stage
  constexpr int kUnroll = Config::kUnroll;
  constexpr int kValues = Config::kTokens / 2;
  const u32 thread = thread_id() & 127;
  const u32 row = (thread >> 5) * 16 + ((thread & 31) >> 2);
  const u32 lane_table = base + Plan::kTable + (thread & 31) * 4;
  const u32 ring_x = wgmma_descriptor_low(base);
  const u32 depth = group / kRowGroups<Config>;
  const u32 row_group = group % kRowGroups<Config>;
  typename Plan::Walk walk(arguments.m);
  RingPosition<Plan::Ring::kPositions> ring;
  wait_for_previous();  // y and the workspace may be in use until then

  for (; walk.more(); walk.advance()) {
    const WorkItem work = walk.item(static_cast<int>(depth));
    float acc[kRowTiles][kValues];
    float part[kRowTiles][Plan::kAtGroupEnds ? kValues : 1];
    float group_scale[kRowTiles][2];
    RowFactors factors[kRowTiles];
    u32 a[2][kSteps][kRowTiles][4];
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
      for (int i = 0; i < kValues; i++) acc[t][i] = 0.0f;
      group_scale[t][0] = group_scale[t][1] = 0.0f;
    }
    u32 previous_empty = 0;  // barrier of the last stage of the turn before, 0 at the start

#pragma unroll 1
    for (int turn = work.k_begin; turn < work.k_end; turn += kUnroll) {
      const u32 turn_stage = (Plan::Ring::kPositions == kUnroll ? 0 : ring.stage * Config::kDepth) + depth;
#pragma unroll
      for (int u = 0; u < kUnroll; u++) {
        const int block = turn + u;
        const u32 stage = turn_stage + u * Config::kDepth;
        barrier_wait(base + Plan::kFull + stage * 8, ring.phase);
        u32 words[kRowTiles][Config::Weight::kBits];
        const u32 first_tile = stage * Plan::kTiles + row_group * kRowTiles;
        const bool new_factors = Plan::kOneFactor && u % Plan::kFactorPeriod == 0;
#pragma unroll
        for (int t = 0; t < kRowTiles; t++) {
          load_lane_words_shared(base + Plan::kW + (first_tile + t) * Plan::kBlockBytes, thread, words[t]);
          if (new_factors) {
            load_row_factors<Config>(base + Plan::kScale + (first_tile + t) * Plan::kScaleRowBytes,
                                     base + Plan::kZero + (first_tile + t) * Plan::kZeroRowBytes, row, factors[t]);
          }
        }
        const u32 x = ring_x + wgmma_descriptor_step(stage * Plan::kXBytes);
        // Sums start anew with a group, and with the item.
        const bool starts_item = u == 0 && turn == work.k_begin;
        const bool starts_group =
            Plan::kAtGroupEnds && u % Plan::kFactorPeriod == 0 &&
            (starts_item || Plan::kFactorPeriod == Plan::kBlocksPerGroup || block % Plan::kBlocksPerGroup == 0);
#pragma unroll
        for (int c = 0; c < kChunks; c++) {
          const int set = kChunks == 1 ? u & 1 : c & 1;
#pragma unroll
          for (int s = 0; s < kSteps; s++) {
            const int step = c * kSteps + s;
#pragma unroll
            for (int t = 0; t < kRowTiles; t++) {
              if constexpr (!Plan::kOneFactor) {
                // The group of this step among those brought; beyond K the last one serves, as x is zero there.
                int line = static_cast<int>((static_cast<i64>(block) * 64 + 16 * step) / Config::kGroup) -
                           Plan::first_group(block);
                const int rows = Plan::factor_rows(block);
                if (line >= rows) line = rows - 1;
                const u32 at = (first_tile + t) * Plan::kFactorRows + line;
                load_row_factors<Config>(base + Plan::kScale + at * Plan::kScaleRowBytes,
                                         base + Plan::kZero + at * Plan::kZeroRowBytes, row, factors[t]);
              }
              decode_fragment<Config, (Config::kScaleInWeights != 0)>(words[t], step, lane_table, factors[t],
                                                                      a[set][s][t]);
            }
          }
          const bool starts = Plan::kAtGroupEnds && (Plan::kOneFactor ? c == 0 && starts_group : c * kSteps % 2 == 0);
          if constexpr (Plan::kAtGroupEnds) {
            if (starts) {
              if (c > 0 || !starts_item) {
                wgmma_wait<0>();
#pragma unroll
                for (int t = 0; t < kRowTiles; t++) {
                  wgmma_settle(part[t]);
#pragma unroll
                  for (int i = 0; i < kValues; i++) acc[t][i] += part[t][i] * group_scale[t][(i >> 1) & 1];
                }
              }
#pragma unroll
              for (int t = 0; t < kRowTiles; t++) {
                group_scale[t][0] = row_scale<Config>(factors[t], 0);
                group_scale[t][1] = row_scale<Config>(factors[t], 1);
              }
            }
          }
          wgmma_fence();
#pragma unroll
          for (int s = 0; s < kSteps; s++) {
            const u64 b = wgmma_descriptor_of(x + wgmma_descriptor_step((c * kSteps + s) * 32));
#pragma unroll
            for (int t = 0; t < kRowTiles; t++) {
              if constexpr (Plan::kAtGroupEnds) {
                wgmma_rs<Compute, Config::kTokens>(part[t], a[set][s][t], b, s > 0 || !starts ? 1u : 0u);
              } else {
                wgmma_rs<Compute, Config::kTokens>(acc[t], a[set][s][t], b, 1u);
              }
            }
          }
          wgmma_commit();
          wgmma_wait<1>();
          // The stage before has been multiplied.
          if (c == 0) {
            if (u > 0) {
              release_stage(base + Plan::kEmpty + (stage - Config::kDepth) * 8);
            } else if (previous_empty != 0) {
              release_stage(previous_empty);
            }
          }
        }
      }
      if constexpr (Plan::kAtEnd) {
#pragma unroll
        for (int t = 0; t < kRowTiles; t++) {
          group_scale[t][0] = row_scale<Config>(factors[t], 0);
          group_scale[t][1] = row_scale<Config>(factors[t], 1);
        }
      }
      previous_empty = base + Plan::kEmpty + (turn_stage + (kUnroll - 1) * Config::kDepth) * 8;
      ring.template advance<kUnroll>();
    }
    wgmma_wait<0>();
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
      wgmma_settle(acc[t]);
      if constexpr (Plan::kAtGroupEnds) wgmma_settle(part[t]);
    }
    release_stage(previous_empty);
    if constexpr (!Config::kScaleInWeights) {
#pragma unroll
      for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
        for (int i = 0; i < kValues; i++) {
          const float scale = group_scale[t][(i >> 1) & 1];
          acc[t][i] = Plan::kAtEnd ? acc[t][i] * scale : acc[t][i] + part[t][Plan::kAtGroupEnds ? i : 0] * scale;
        }
      }
    }
    finish_item<Config>(acc, arguments, work, group,
                        base + Plan::kStaging + group * Staging<typename Config::Output>::kTotal, base);
  }
}

// Config: config.h's members, and kTokens, kMathGroups, kDepth, kRowTiles, kStages, kSteps, kScaleInWeights,
// kPairTable, kUnroll (stages a turn), kSplits, kCluster, kRaster, kMathRegisters and kProducerRegisters (0: leave them
// as launched).
template <class Config>
LADDER_DEVICE void WgmmaMatmul(const MatmulTmaArguments& arguments) {
  using Plan = WgmmaPlan<Config>;
  const u32 base = (dynamic_shared() + 1023u) & ~1023u;
  launch_dependents();
  // Uniform, and the compiler can tell.
  const u32 group = shuffle(thread_id() >> 7, 0);
  const int producer = static_cast<int>(shuffle(thread_id() >> 5, 0)) - 4 * Config::kMathGroups;
  const auto weights = [&](u32 stage, const WorkItem& work, int block) {
    produce_weights<Config>(arguments.base, base, stage, work, block);
  };
  int early = 0;
  if (produces<Config>(producer)) early = start_producing<Config, Plan>(arguments, base, producer, weights);
  if constexpr (Config::kPairTable != 0) {
    if (thread_id() < 128 * Config::kMathGroups) {
      build_shared_table<typename Config::Weight>(base + Plan::kTable, thread_id(), 128 * Config::kMathGroups);
    }
  }
  block_sync();
  if (group == Config::kMathGroups) {
    if constexpr (Config::kMathRegisters != 0) registers_decrease<Config::kProducerRegisters>();
    if (produces<Config>(producer)) {
      produce<Config, Plan>(arguments, base, producer, early, weights);
    } else if constexpr (kWidens<Config>) {
      if (producer > 0) wgmma_widen<Config, Plan>(arguments.base, base);
    }
  } else {
    if constexpr (Config::kMathRegisters != 0) registers_increase<Config::kMathRegisters>();
    wgmma_multiply<Config>(arguments.base, base, group);
  }
}

}  // namespace ladder
