// Activations of 8 bits on their way into the stages of wgmma.cuh, whose products are of 16: the three warps of the
// producer's group that bring nothing widen them. A thread copies what it will widen, 32 columns of a token at a time
// with their scale, some stages ahead into a ring of its own (no other thread reads there), and stores it where TMA
// would have put it. full[stage] then waits for these warps too.
#pragma once
#include "schedules/device/widen.cuh"
#include "schedules/matmul/wgmma_tile.cuh"

namespace ladder {

template <class Config>
struct WidenRing {
  static constexpr u32 kThreads = 96;
  static constexpr u32 kUnits = 2 * Config::kTokens;  // of 32 columns: a token's of a stage are two
  static constexpr u32 kRounds = (kUnits + kThreads - 1) / kThreads;
  static constexpr int kGroups = Config::kXGroup == 0 ? 0 : Config::kK / Config::kXGroup;
  static_assert(Config::kXGroup % 32 == 0, "a unit has one scale");
  // Scales of a byte come in words of four where rows of them are whole words, and else one by one when they are
  // needed.
  static constexpr bool kByteScales = kBytesOf<typename Config::XScale> == 1;
  static constexpr bool kScaleWords = kGroups != 0 && (!kByteScales || kGroups % 4 == 0);
  static constexpr u32 kScales = kUnits * 32;
  static constexpr u32 kStageBytes = kWidens<Config> ? kScales + (Config::kXGroup != 0 ? kUnits * 4 : 0) : 0;
};

// What thread `worker` of the three warps widens of the 64 columns from `column` on: asks for it ...
template <class Config>
LADDER_DEVICE void fetch_units(const MatmulArguments& p, u32 raw, u32 worker, int first_token, int column) {
  using Ring = WidenRing<Config>;
  const u8* const x = static_cast<const u8*>(p.x);
#pragma unroll
  for (u32 round = 0; round < Ring::kRounds; round++) {
    const u32 unit = round * Ring::kThreads + worker;
    if (unit >= Ring::kUnits) break;
    const i64 row = first_token + static_cast<int>(unit % Config::kTokens);
    const int from = column + static_cast<int>(unit / Config::kTokens) * 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const bool inside = row < p.m && from + 16 * half < Config::kK;
      copy_async_16(raw + half * (Ring::kUnits * 16) + unit * 16, inside ? x + row * Config::kK + from + 16 * half : x,
                    inside ? 16 : 0);
    }
    if constexpr (Ring::kScaleWords) {
      const u8* const scales = static_cast<const u8*>(p.row_scale);
      const bool inside = row < p.m && from < Config::kK;
      const i64 at = inside ? x_scale_at<Config>(row, from) : 0;
      copy_async_4(raw + Ring::kScales + unit * 4, scales + (Ring::kByteScales ? at & ~i64{3} : at * 4),
                   inside ? 4 : 0);
    }
  }
}

// A unit in registers.
struct RawUnit {
  Vec4 codes[2];
  u32 scale;
};
template <class Config>
LADDER_DEVICE RawUnit load_unit(const MatmulArguments& p, u32 raw, u32 unit, int first_token, int column) {
  using Ring = WidenRing<Config>;
  RawUnit loaded;
  loaded.codes[0] = load_shared_v4(raw + unit * 16);
  loaded.codes[1] = load_shared_v4(raw + Ring::kUnits * 16 + unit * 16);
  loaded.scale = 0;
  if constexpr (Config::kXGroup != 0) {
    const int from = column + static_cast<int>(unit / Config::kTokens) * 32;
    const i64 row = first_token + static_cast<i64>(unit % Config::kTokens);
    if constexpr (Ring::kScaleWords) {
      loaded.scale = load_shared_u32(raw + Ring::kScales + unit * 4);
      if constexpr (Ring::kByteScales) loaded.scale = loaded.scale >> (from / Config::kXGroup % 4 * 8) & 0xffu;
    } else if (row < p.m && from < Config::kK) {
      loaded.scale = load_x_scale<Config>(p, row, from);
    }
  }
  return loaded;
}

// ... and stores it, when it has come, to the stage's rows at `rows`. A batch of units is loaded before any is stored:
// three warps have to hide their own latencies.
template <class Config>
LADDER_DEVICE void widen_units(const MatmulArguments& p, u32 raw, u32 rows, u32 worker, int first_token, int column) {
  using Ring = WidenRing<Config>;
  constexpr u32 kBatch = Ring::kRounds % 3 == 0 ? 3 : 2;
#pragma unroll
  for (u32 first = 0; first < Ring::kRounds; first += kBatch) {
    RawUnit loaded[kBatch];
#pragma unroll
    for (u32 i = 0; i < kBatch; i++) {
      const u32 unit = (first + i) * Ring::kThreads + worker;
      if (first + i < Ring::kRounds && unit < Ring::kUnits) {
        loaded[i] = load_unit<Config>(p, raw, unit, first_token, column);
      }
    }
#pragma unroll
    for (u32 i = 0; i < kBatch; i++) {
      const u32 unit = (first + i) * Ring::kThreads + worker;
      if (first + i >= Ring::kRounds || unit >= Ring::kUnits) break;
      const u32 token = unit % Config::kTokens, piece = unit / Config::kTokens * 4;
      const WidenFactor<Config> factor(loaded[i].scale);
      Vec4 widened[4];
#pragma unroll
      for (u32 half = 0; half < 2; half++) {
        const Vec4& codes = loaded[i].codes[half];
        widened[2 * half] = widen_eight<Config>(codes.x, codes.y, factor);
        widened[2 * half + 1] = widen_eight<Config>(codes.z, codes.w, factor);
      }
#pragma unroll
      for (u32 j = 0; j < 4; j++) {
        store_shared_v4(rows + token * 128 + (((piece + j) ^ (token & 7)) << 4), widened[j]);
      }
    }
  }
}

// The three warps. kFull, kEmpty and kRaw of Plan: where the barriers and the ring lie; the stages' rows begin the
// base.
template <class Config, class Plan>
LADDER_DEVICE void wgmma_widen(const MatmulArguments& p, u32 base) {
  using Ring = WidenRing<Config>;
  constexpr int kAhead = Config::kStages - 1;
  const u32 worker = thread_id() - (128 * Config::kMathGroups + 32);
  const u32 raw = base + Plan::kRaw;
  typename Plan::Walk walk(p.m);
  RingPosition<Config::kStages> ring;
  wait_for_previous();
  for (; walk.more(); walk.advance()) {
    const WorkItem work = walk.item();
    u32 next = ring.stage;  // of the block that is fetched next
    const auto fetch = [&](int block) {
      if (block < work.k_end) {
        fetch_units<Config>(p, raw + next * Ring::kStageBytes, worker, work.first_token, block * 64);
      }
      copy_async_commit();
      next = next + 1 == Config::kStages ? 0 : next + 1;
    };
#pragma unroll 1
    for (int i = 0; i < kAhead; i++) fetch(work.k_begin + i);
    if (!walk.first()) await_ring<Config>();
#pragma unroll 1
    for (int block = work.k_begin; block < work.k_end; block++) {
      copy_async_wait<kAhead - 1>();
      barrier_wait(base + Plan::kEmpty + ring.stage * 8, ring.phase ^ 1);
      widen_units<Config>(p, raw + ring.stage * Ring::kStageBytes, base + ring.stage * Plan::kXBytes, worker,
                          work.first_token, block * 64);
      fence_async_proxy();
      warp_sync();
      if (lane_id() < kReleases) barrier_arrive(base + Plan::kFull + ring.stage * 8);
      fetch(block + kAhead);
      ring.advance();
    }
    copy_async_wait<0>();
  }
}

}  // namespace ladder
