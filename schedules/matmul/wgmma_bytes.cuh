// Packed weights with activations of 8 bits through the warp group matrix instruction: D^T = W X^T with the weights
// decoded to bytes in registers as operand A and the activations in shared memory as operand B. sm_90a.
//
// Threads, block tile, ring of stages and walk over work items are those of wgmma.cuh. A stage has 128 columns of K:
//   x      kTokens rows of 128 bytes, written by TMA with the 128-byte swizzle, zeros beyond K, anything beyond M
//   w      one packed 64 x 128 block per row tile; a thread reads its words of four k32 steps
//   scale  kFactorRows rows of 64 scales per row tile, those of the groups of the 128 columns; zero likewise. With one
//          scale per channel neither is brought: sums are scaled at the end of an item.
//
// Sums: a segment is the columns whose products are summed by the tensor cores before they are added, scaled, to fp32
// sums: those of a group, and of fp8 (which tensor cores sum with about 14 bits) at most 128. Sums of int8 are int32
// and exact; where a segment's lie within +-2^22 they become floats by an integer addition to the bits of 1.5 * 2^23
// and a subtraction of it, as conversions have a sixteenth of the rate. int8 with a scale per channel has no segments.
//
// Main loop of a math group: decode kSteps k32 steps (a chunk) into one of two register sets, wait for all products
// where a segment has ended and add its sums, and issue the chunk's products. So the decode overlaps the products
// before it, and the additions those of the other groups.
#pragma once
#include "ladder/wgmma_instruction.cuh"
#include "schedules/device/byte_decode.cuh"
#include "schedules/device/wgmma.cuh"
#include "schedules/matmul/wgmma_tile.cuh"

namespace ladder {

// Where things lie in shared memory, and how scales are walked. WgmmaBytesShared (wgmma_bytes.cc) adds up the same.
template <class Config>
struct WgmmaBytesPlan {
  using Weight = typename Config::Weight;
  using Walk = TileWalk<Config, Config::kUnroll>;
  static constexpr int kTiles = Config::kMathGroups * Config::kRowTiles;  // of 64 rows
  static constexpr int kTilesOfN = (Config::kN + 63) / 64;
  static constexpr int kKBlocks = Walk::kKBlocks;
  static constexpr int kGroups = Config::kK / Config::kGroup;  // of scales
  static constexpr bool kPerChannel = kGroups == 1;
  static constexpr bool kFloat = !SameType<typename Config::Compute, I8>::value;
  static constexpr bool kSegments = kFloat || !kPerChannel;
  // In k32 steps, if there are any. Both a chunk (kSteps) and a stage divide it or are multiples of it.
  static constexpr int kSegmentSteps = !kSegments                                        ? 4
                                       : kFloat && (kPerChannel || Config::kGroup > 128) ? 4
                                                                                         : Config::kGroup / 32;
  static_assert(kPerChannel || Config::kGroup % 128 == 0 || Config::kGroup == 64 || Config::kGroup == 32,
                "a chunk lies within one group");
  static_assert(!kSegments || kSegmentSteps % Config::kSteps == 0, "a chunk lies within one segment");
  static_assert(Config::kSteps < 4 || Config::kUnroll % 2 == 0, "register sets alternate by constants");
  static_assert(Config::kStages % Config::kUnroll == 0, "a turn of the loop lies within the ring");
  // Where segments begin is known at compile time: items begin at whole turns.
  static constexpr bool kStaticSegments = kSegments && (kSegmentSteps <= 4 || Config::kUnroll * 4 % kSegmentSteps == 0);
  static constexpr bool kSmallSums = Config::kGroup <= 256;

  static constexpr bool kOneFactor = kPerChannel || Config::kGroup % 128 == 0;
  static constexpr int kFactorRows = kPerChannel ? 0 : kOneFactor ? 1 : 128 / Config::kGroup;
  static constexpr u32 kScaleRowBytes = 128;
  static constexpr u32 kZeroRowBytes = Config::kZeros == Zeros::kNone ? 0 : Weight::kBits > 4 ? 64 : 32;
  static constexpr u32 kXBytes = Config::kTokens * 128;
  static constexpr u32 kBlockBytes = 1024 * Weight::kBits;
  static constexpr u32 kWBytes = kTiles * kBlockBytes;
  static_assert(Config::kCluster == 1 || SplitPartials<Config>::kBytes <= Config::kStages * (kXBytes + kWBytes),
                "partial sums lie in the ring");
  static constexpr u32 kScaleBytes = kTiles * kFactorRows * kScaleRowBytes;
  static constexpr u32 kZeroBytes = kTiles * kFactorRows * kZeroRowBytes;
  // From the base, which is a multiple of 1,024. Every region is a multiple of 16 bytes.
  static constexpr u32 kW = Config::kStages * kXBytes;
  static constexpr u32 kScale = kW + Config::kStages * kWBytes;
  static constexpr u32 kZero = kScale + Config::kStages * kScaleBytes;
  static constexpr u32 kStaging = kZero + Config::kStages * kZeroBytes;
  static constexpr u32 kFull = kStaging + Config::kMathGroups * Staging<typename Config::Output>::kTotal;
  static constexpr u32 kEmpty = kFull + Config::kStages * 8;
  static constexpr u32 kReleased = Config::kMathGroups * 4 * kReleases;  // arrivals that release a stage
  static_assert(Config::kDepth == 1, "groups share no rows here");

  LADDER_DEVICE static int first_group(int block) {
    return static_cast<int>(static_cast<i64>(block) * 128 / Config::kGroup);
  }
  // Rows of factors that k block `block` brings: never beyond the last group.
  LADDER_DEVICE static int factor_rows(int block) {
    if constexpr (kFactorRows < 2) return kFactorRows;
    const int left = kGroups - first_group(block);
    return left < kFactorRows ? left : kFactorRows;
  }
};

// The weights, scales and zeros of one stage. The last row tile stands in for those beyond N; its rows are dropped
// later.
template <class Config>
LADDER_DEVICE void produce_byte_weights(const MatmulArguments& arguments, u32 base, u32 stage, const WorkItem& work,
                                        int block) {
  using Plan = WgmmaBytesPlan<Config>;
  const u32 full = base + Plan::kFull + stage * 8;
  const int rows = Plan::factor_rows(block);
  barrier_arrive_expect(full, tile_tokens<Config>(arguments.m, work.first_token) * 128 + Plan::kWBytes +
                                  Plan::kTiles * rows * (Plan::kScaleRowBytes + Plan::kZeroRowBytes));
#pragma unroll
  for (int t = 0; t < Plan::kTiles; t++) {
    int tile = work.first_row / 64 + t;
    if (tile >= Plan::kTilesOfN) tile = Plan::kTilesOfN - 1;
    copy_bulk(
        base + Plan::kW + stage * Plan::kWBytes + t * Plan::kBlockBytes,
        static_cast<const u8*>(arguments.w) + (static_cast<i64>(tile) * Plan::kKBlocks + block) * Plan::kBlockBytes,
        Plan::kBlockBytes, full);
    if constexpr (!Plan::kPerChannel) {
      const i64 factor = static_cast<i64>(tile) * Plan::kGroups + Plan::first_group(block);
      copy_bulk_keep(base + Plan::kScale + stage * Plan::kScaleBytes + t * Plan::kFactorRows * Plan::kScaleRowBytes,
                     static_cast<const u8*>(arguments.scale) + factor * Plan::kScaleRowBytes,
                     rows * Plan::kScaleRowBytes, full);
      if constexpr (Plan::kZeroRowBytes != 0) {
        copy_bulk_keep(base + Plan::kZero + stage * Plan::kZeroBytes + t * Plan::kFactorRows * Plan::kZeroRowBytes,
                       static_cast<const u8*>(arguments.zero) + factor * Plan::kZeroRowBytes,
                       rows * Plan::kZeroRowBytes, full);
      }
    }
  }
}

// The words of thread `thread` of a warp group, of one row tile of a stage: chunks of 4, 2, 1 words as they are packed.
template <int kWords>
LADDER_DEVICE void load_block_words(u32 block, u32 thread, u32 (&words)[kWords]) {
  constexpr int kFours = kWords / 4;
#pragma unroll
  for (int c = 0; c < kFours; c++) {
    const Vec4 v = load_shared_v4(block + c * 2048 + thread * 16);
    words[4 * c] = v.x, words[4 * c + 1] = v.y, words[4 * c + 2] = v.z, words[4 * c + 3] = v.w;
  }
  if constexpr (kWords % 4 != 0) {
    static_assert(kWords % 4 == 2, "blocks of 128 columns have two words for each bit");
    words[4 * kFours] = load_shared_u32(block + kFours * 2048 + thread * 8);
    words[4 * kFours + 1] = load_shared_u32(block + kFours * 2048 + thread * 8 + 4);
  }
}

// One math group's sums of an item and what they are multiplied by.
template <class Config>
struct ByteSums {
  using Plan = WgmmaBytesPlan<Config>;
  using Part = typename SumOf<typename Config::Compute>::Type;
  static constexpr int kRowTiles = Config::kRowTiles, kValues = Config::kTokens / 2;

  // Without segments, `part` has everything.
  float acc[Plan::kSegments ? kRowTiles : 1][Plan::kSegments ? kValues : 1];
  Part part[kRowTiles][kValues];
  float scale[kRowTiles][2];  // of the segment in `part`

  // Sums of nothing: the first segment's start adds them. Unconditional additions keep the assembler from doubting that
  // accumulators are at rest when it meets them, for which it would serialise the products.
  LADDER_DEVICE void clear() {
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
      for (int i = 0; i < kValues; i++) {
        if constexpr (Plan::kSegments) acc[t][i] = 0.0f;
        part[t][i] = 0;
      }
    }
  }
  // All products are done.
  LADDER_DEVICE void add_segment() {
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
      wgmma_settle(part[t]);
      if constexpr (Plan::kSegments) {
#pragma unroll
        for (int i = 0; i < kValues; i++) {
          acc[t][i] += sum_number<Plan::kSmallSums>(part[t][i]) * scale[t][(i >> 1) & 1];
        }
      }
    }
  }
  LADDER_DEVICE void set_scale(const u32 (&scales)[kRowTiles], float unit) {
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
      scale[t][0] = unit * to_float(typename Config::Scale{}, scales[t] & 0xffffu);
      scale[t][1] = unit * to_float(typename Config::Scale{}, scales[t] >> 16);
    }
  }
};

// One math group. The loop over stages is unrolled kUnroll times and stages come kUnroll at a time, so that where
// things lie and which register set is next are constants.
template <class Config>
LADDER_DEVICE void wgmma_bytes_multiply(const MatmulArguments& arguments, u32 base, u32 group) {
  using Plan = WgmmaBytesPlan<Config>;
  using Weight = typename Config::Weight;
  using Compute = typename Config::Compute;
  constexpr int kRowTiles = Config::kRowTiles, kSteps = Config::kSteps, kUnroll = Config::kUnroll;
  constexpr int kChunks = 4 / kSteps;  // products (commit groups) of one stage
  constexpr int kValues = Config::kTokens / 2;
  const u32 thread = thread_id() & 127;
  const u32 row = (thread >> 5) * 16 + ((thread & 31) >> 2);
  const u32 ring_x = wgmma_descriptor_low(base);
  const float unit = power_of_two(Weight::kExponent);
  typename Plan::Walk walk(arguments.m);
  RingPosition<Config::kStages> ring;
  wait_for_previous();  // y and the workspace may be in use until then

  for (; walk.more(); walk.advance()) {
    const WorkItem work = walk.item();
    ByteSums<Config> sums;
    ByteDequantizer<Config> dequantize[kRowTiles];
    u32 scales[kRowTiles];  // of the rows of a lane: the first in the low half
    u32 a[2][kSteps][kRowTiles][4];
    sums.clear();
#pragma unroll
    for (int t = 0; t < kRowTiles; t++) {
      scales[t] = 0;
      if constexpr (Plan::kPerChannel) {
        int tile = work.first_row / 64 + static_cast<int>(group) * kRowTiles + t;
        if (tile >= Plan::kTilesOfN) tile = Plan::kTilesOfN - 1;
        scales[t] = load_row_pair(static_cast<const u16*>(arguments.scale) + tile * 64 + row);
        if constexpr (Plan::kZeroRowBytes == 64) {
          const u8* const zeros = static_cast<const u8*>(arguments.zero) + static_cast<i64>(tile) * 64 + row;
          dequantize[t].set(0, load_constant_u8(zeros) | load_constant_u8(zeros + 8) << 8);
        } else if constexpr (Plan::kZeroRowBytes == 32) {
          dequantize[t].set(0, load_constant_u8(static_cast<const u8*>(arguments.zero) + static_cast<i64>(tile) * 32 +
                                                (row >> 4) * 8 + (row & 7)));
        }
      }
    }
    // With groups, of a segment that is not there: its sums are zero.
    sums.set_scale(scales, unit);
    u32 previous_empty = 0;  // barrier of the last stage of the turn before, 0 at the start

#pragma unroll 1
    for (int turn = work.k_begin; turn < work.k_end; turn += kUnroll) {
      const u32 turn_stage = Config::kStages == kUnroll ? 0 : ring.stage;
#pragma unroll
      for (int u = 0; u < kUnroll; u++) {
        const int block = turn + u;
        const u32 stage = turn_stage + u;
        barrier_wait(base + Plan::kFull + stage * 8, ring.phase);
        const u32 first_tile = stage * Plan::kTiles + group * kRowTiles;
        const bool starts_item = u == 0 && turn == work.k_begin;
        u32 words[kRowTiles][kByteWords<Weight>];
#pragma unroll
        for (int t = 0; t < kRowTiles; t++) {
          load_block_words(base + Plan::kW + (first_tile + t) * Plan::kBlockBytes, thread, words[t]);
        }
        const u32 x = ring_x + wgmma_descriptor_step(stage * Plan::kXBytes);
#pragma unroll
        for (int c = 0; c < kChunks; c++) {
          const int set = kChunks == 1 ? u & 1 : c & 1;
          const bool starts_segment =
              Plan::kSegments &&
              (Plan::kStaticSegments ? (u * 4 + c * kSteps) % Plan::kSegmentSteps == 0
                                     : c == 0 && (starts_item || block * 4 % Plan::kSegmentSteps == 0));
          if constexpr (!Plan::kPerChannel) {
            if (starts_segment) {
              // The group of this chunk among those brought; beyond K the last one serves, as x is zero there.
              int line = 0;
              if constexpr (!Plan::kOneFactor) {
                line = c * kSteps * 32 / Config::kGroup;
                const int rows = Plan::factor_rows(block);
                if (line >= rows) line = rows - 1;
              }
#pragma unroll
              for (int t = 0; t < kRowTiles; t++) {
                const u32 at = (first_tile + t) * Plan::kFactorRows + line;
                scales[t] = load_row_pair_shared(base + Plan::kScale + at * Plan::kScaleRowBytes + row * 2);
                const u32 zeros = base + Plan::kZero + at * Plan::kZeroRowBytes;
                if constexpr (Plan::kZeroRowBytes == 64) {
                  dequantize[t].set(0, load_shared_u8(zeros + row) | load_shared_u8(zeros + row + 8) << 8);
                } else if constexpr (Plan::kZeroRowBytes == 32) {
                  dequantize[t].set(0, load_shared_u8(zeros + (row >> 4) * 8 + (row & 7)));
                }
              }
            }
          }
#pragma unroll
          for (int s = 0; s < kSteps; s++) {
#pragma unroll
            for (int t = 0; t < kRowTiles; t++) {
              dequantize[t].decode(words[t], c * kSteps + s, a[set][s][t]);
              wgmma_ready(a[set][s][t]);
            }
          }
          if (starts_segment) {
            wgmma_wait<0>();
            if (Plan::kStaticSegments || !starts_item) sums.add_segment();
            if constexpr (!Plan::kPerChannel) sums.set_scale(scales, unit);
          }
          wgmma_fence();
#pragma unroll
          for (int s = 0; s < kSteps; s++) {
            const u64 b = wgmma_descriptor_of(x + wgmma_descriptor_step((c * kSteps + s) * 32));
#pragma unroll
            for (int t = 0; t < kRowTiles; t++) {
              wgmma_rs<typename Weight::Byte, Compute, Config::kTokens>(sums.part[t], a[set][s][t], b,
                                                                        s == 0 && starts_segment ? 0u : 1u);
            }
          }
          wgmma_commit();
          wgmma_wait<1>();
          // The stage before has been multiplied.
          if (c == 0) {
            if (u > 0) {
              release_stage(base + Plan::kEmpty + (stage - 1) * 8);
            } else if (previous_empty != 0) {
              release_stage(previous_empty);
            }
          }
        }
      }
      previous_empty = base + Plan::kEmpty + (turn_stage + kUnroll - 1) * 8;
      ring.template advance<kUnroll>();
    }
    wgmma_wait<0>();
    sums.add_segment();
    release_stage(previous_empty);
    const u32 staging = base + Plan::kStaging + group * Staging<typename Config::Output>::kTotal;
    if constexpr (Plan::kSegments) {
      finish_item<Config>(sums.acc, arguments, work, group, staging, base);
    } else {
      float scaled[kRowTiles][kValues];
#pragma unroll
      for (int t = 0; t < kRowTiles; t++) {
#pragma unroll
        for (int i = 0; i < kValues; i++) {
          scaled[t][i] = static_cast<float>(sums.part[t][i]) * sums.scale[t][(i >> 1) & 1];
        }
      }
      finish_item<Config>(scaled, arguments, work, group, staging, base);
    }
  }
}

// Config: config.h's members, and kTokens, kMathGroups, kRowTiles, kStages, kSteps, kUnroll (stages a turn), kSplits,
// kCluster, kRaster, kMathRegisters and kProducerRegisters (0: leave them as launched).
template <class Config>
LADDER_DEVICE void WgmmaBytesMatmul(const MatmulTmaArguments& arguments) {
  using Plan = WgmmaBytesPlan<Config>;
  const u32 base = (dynamic_shared() + 1023u) & ~1023u;
  launch_dependents();
  // Uniform, and the compiler can tell.
  const u32 group = shuffle(thread_id() >> 7, 0);
  const int producer = static_cast<int>(shuffle(thread_id() >> 5, 0)) - 4 * Config::kMathGroups;
  const auto weights = [&](u32 stage, const WorkItem& work, int block) {
    produce_byte_weights<Config>(arguments.base, base, stage, work, block);
  };
  int early = 0;
  if (produces<Config>(producer)) early = start_producing<Config, Plan>(arguments, base, producer, weights);
  block_sync();
  if (group == Config::kMathGroups) {
    if constexpr (Config::kMathRegisters != 0) registers_decrease<Config::kProducerRegisters>();
    if (produces<Config>(producer)) produce<Config, Plan>(arguments, base, producer, early, weights);
  } else {
    if constexpr (Config::kMathRegisters != 0) registers_increase<Config::kMathRegisters>();
    wgmma_bytes_multiply<Config>(arguments.base, base, group);
  }
}

}  // namespace ladder
