// What the warp group schedules share around their main loops: the walk over work items, the ring of stages, the
// split-K sum and the store. Products are D^T = W X^T: a math group holds kRowTiles tiles of 64 rows of W by kTokens
// tokens, of all the block's K or, where kDepth groups share their rows, of a part of it; acc[t][4j + i] of lane l in
// warp w is row 64t + 16w + l / 4 + 8 * (i >> 1), token 8j + 2 * (l % 4) + (i & 1).
#pragma once
#include "schedules/device/widen.cuh"
#include "schedules/matmul/epilogue.cuh"
#include "schedules/matmul/split_k.cuh"

namespace ladder {

// Math groups side by side along the rows of W; group g takes rows g % kRowGroups and part g / kRowGroups of K.
template <class Config>
inline constexpr int kRowGroups = Config::kMathGroups / Config::kDepth;
// Parts of K whose sums meet in shared memory: those of a block's groups, and those of a cluster's blocks.
template <class Config>
inline constexpr bool kSumsMeet = Config::kCluster > 1 || Config::kDepth > 1;

// A position in a ring of kStages stages. `phase` flips at every wrap.
template <int kStages>
struct RingPosition {
  u32 stage = 0;
  u32 phase = 0;
  // By a divisor of kStages.
  template <int kBy = 1>
  LADDER_DEVICE void advance() {
    stage += kBy;
    if (stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// Arrivals by which a warp releases a stage. A warp barrier between converged lanes is no instruction, and racecheck,
// which sees instructions, takes all lanes' reads but the arriving one's for unordered (31 hazards of 32); its runs let
// every lane arrive.
#ifdef LADDER_EVERY_LANE_RELEASES
inline constexpr u32 kReleases = 32;
#else
inline constexpr u32 kReleases = 1;
#endif

// A math warp is done with a stage: one lane tells, for all of them have met in a product since they read their words.
LADDER_DEVICE void release_stage(u32 empty) {
  warp_sync();
  if (lane_id() < kReleases) barrier_arrive(empty);
}

// One work item: an output tile and a range of k blocks: 128 bytes of a row of X, 64 columns or 128 of 8 bits.
struct WorkItem {
  u32 tile;  // index of the output tile, in walking order
  int first_token;
  int first_row;  // of W, for the whole thread block
  int split;
  int k_begin, k_end;  // in k blocks, of one part of K: split * kDepth + depth
};

// The work items of this block, of a persistent grid: the splits of a tile follow each other (they run together and
// meet in L2, or are a cluster), tiles run through bands of kRaster token tiles so that what runs together reads few
// rows of X and of W. Splits begin at multiples of kBlockStep blocks. The host keeps the number of items below 2^31 and
// gives every split a block at least.
//   for (TileWalk<Config> walk(m); walk.more(); walk.advance()) ... walk.item()
template <class Config, int kBlockStep = 1>
struct TileWalk {
  static constexpr int kRows = 64 * kRowGroups<Config> * Config::kRowTiles;
  static constexpr u32 kTilesN = (Config::kN + kRows - 1) / kRows;
  static constexpr int kKBlocks = (Config::kK * kBytesOf<typename Config::Compute> + 127) / 128;

  u32 tiles_m, items;
  u32 index = block_id();
  LADDER_DEVICE explicit TileWalk(int m)
      : tiles_m((static_cast<u32>(m) + Config::kTokens - 1) / Config::kTokens),
        items(tiles_m * kTilesN * Config::kSplits) {}
  LADDER_DEVICE bool more() const { return index < items; }
  LADDER_DEVICE bool first() const { return index == block_id(); }
  LADDER_DEVICE void advance() { index += block_count(); }

  // For the math groups at `depth`.
  LADDER_DEVICE WorkItem item(int depth = 0) const {
    WorkItem work;
    work.tile = index / Config::kSplits;
    work.split = static_cast<int>(index % Config::kSplits);
    const u32 band = work.tile / (Config::kRaster * kTilesN);
    const u32 within = work.tile - band * (Config::kRaster * kTilesN);
    const u32 first_m = band * Config::kRaster;
    const u32 width = tiles_m - first_m < Config::kRaster ? tiles_m - first_m : Config::kRaster;
    work.first_token = static_cast<int>((first_m + within % width) * Config::kTokens);
    work.first_row = static_cast<int>(within / width) * kRows;
    constexpr int kSteps = kKBlocks / kBlockStep;  // at most 2^18, times a part at most 2^13
    constexpr int kParts = Config::kSplits * Config::kDepth;
    static_assert(kKBlocks % kBlockStep == 0 && kSteps >= kParts && kParts <= 4096, "every part has work");
    const int part = work.split * Config::kDepth + depth;
    work.k_begin = kSteps * part / kParts * kBlockStep;
    work.k_end = kSteps * (part + 1) / kParts * kBlockStep;
    return work;
  }
};

// Tokens of the tile from first_token on that X has.
template <class Config>
LADDER_DEVICE u32 tile_tokens(int m, int first_token) {
  return m - first_token < Config::kTokens ? static_cast<u32>(m - first_token) : Config::kTokens;
}
// Brings a tile's k block of X, 128 bytes a token, to a stage: tile_tokens rows. What lies beyond them is left as it
// was: a token's sums depend on no other token, and these are dropped.
template <class Config>
LADDER_DEVICE void produce_x(const MatmulTmaArguments& arguments, u32 shared, u32 full, const WorkItem& work,
                             int block) {
  const bool whole = arguments.base.m - work.first_token >= Config::kTokens;
  copy_tensor_2d(shared, whole ? &arguments.x_map : &arguments.x_tail_map, full, block * 64, work.first_token);
}
// A producer's part between two items: the sums of the first leave the ring at finish_item's second barrier.
template <class Config>
LADDER_DEVICE void await_ring() {
  if constexpr (kSumsMeet<Config>) {
    cluster_sync();
    cluster_sync();
  }
}

// A ring of kStages stages and who fills it: stage s belongs to depth s % kDepth, in whose own ring it is position s /
// kDepth, and to producer s % kProducers. What a producer does for a stage, most of it waiting for a barrier and
// computing addresses, takes 220 cycles and 20 for each copy (H100); one alone was the limit of blocks with many short
// stages.
template <class Config>
struct ProducedRing {
  static constexpr int kPositions = Config::kStages / Config::kDepth;
  // Warps, a thread of each. The others of the group may have to widen x (wgmma_widen.cuh), which fills a stage with
  // it.
  static constexpr int kProducers = kWidens<Config> ? 1 : Config::kStages % 4 == 0 ? 4 : Config::kDepth;
  static constexpr u32 kArrivals = kWidens<Config> ? 1 + 3 * kReleases : 1;  // that fill a stage
  static constexpr int kTurns = kProducers / Config::kDepth;                 // producers of one depth
  static_assert(Config::kStages % kProducers == 0 && kProducers % Config::kDepth == 0, "every stage has its producer");
};

// Whether this thread is that producer: `producer` counts the warps behind the math groups. An elected lane, not a
// numbered one: copies by what may be any lanes come with a loop around each, which made every kernel here 20 to 35%
// slower (H100).
template <class Config>
LADDER_DEVICE bool produces(int producer) {
  return producer >= 0 && producer < ProducedRing<Config>::kProducers && elect_one();
}

// What a producer does before the block's other threads have come: makes the barriers of its stages and asks for their
// weights. These are constants, so the first item's first stages are on their way before the previous kernel has
// finished; what that kernel may have written (x) waits for it. Returns up to which position of the ring.
// Plan: kFull, kEmpty, kXBytes, kReleased, Walk. weights(stage, work, block) announces all bytes of a stage, those of X
// among them, and brings the weights and what belongs to them.
template <class Config, class Plan, class Weights>
LADDER_DEVICE int start_producing(const MatmulTmaArguments& arguments, u32 base, int producer, const Weights& weights) {
  using Ring = ProducedRing<Config>;
#pragma unroll 1
  for (int i = producer; i < Config::kStages; i += Ring::kProducers) {
    barrier_init(base + Plan::kFull + i * 8, Ring::kArrivals);
    barrier_init(base + Plan::kEmpty + i * 8, Plan::kReleased);
  }
  barrier_init_fence();
  const typename Plan::Walk walk(arguments.base.m);
  if (!walk.more()) return 0;
  const int depth = producer % Config::kDepth;
  const WorkItem work = walk.item(depth);
  const int positions = work.k_end - work.k_begin < Ring::kPositions ? work.k_end - work.k_begin : Ring::kPositions;
#pragma unroll 1
  for (int i = producer / Config::kDepth; i < positions; i += Ring::kTurns) {
    weights(static_cast<u32>(i * Config::kDepth + depth), work, work.k_begin + i);
  }
  prefetch_tensor_map(&arguments.x_map);
  prefetch_tensor_map(&arguments.x_tail_map);
  return positions;
}

// And then: every kTurns-th stage of its depth. `early`: the position up to which start_producing has asked for
// weights.
template <class Config, class Plan, class Weights>
LADDER_DEVICE void produce(const MatmulTmaArguments& arguments, u32 base, int producer, int early,
                           const Weights& weights) {
  using Ring = ProducedRing<Config>;
  const int depth = producer % Config::kDepth;
  const u32 turn = static_cast<u32>(producer) / Config::kDepth;
  typename Plan::Walk walk(arguments.base.m);
  RingPosition<Ring::kPositions> ring;
  wait_for_previous();
  for (; walk.more(); walk.advance()) {
    const WorkItem work = walk.item(depth);
    if (!walk.first()) await_ring<Config>();
#pragma unroll 1
    for (int block = work.k_begin; block < work.k_end; block++) {
      if (ring.stage % Ring::kTurns == turn) {
        const u32 stage = ring.stage * Config::kDepth + depth;
        if (early <= 0) {
          barrier_wait(base + Plan::kEmpty + stage * 8, ring.phase ^ 1);
          weights(stage, work, block);
        }
        if constexpr (!kWidens<Config>) {
          produce_x<Config>(arguments, base + stage * Plan::kXBytes, base + Plan::kFull + stage * 8, work, block);
        }
      }
      early--;
      ring.advance();
    }
  }
}

// Named barriers 1 .. kMathGroups belong to the math groups, one each; the one after them to all of them.
LADDER_DEVICE void math_group_sync(u32 group) { named_sync(1 + group, 128); }
template <class Config>
LADDER_DEVICE void math_groups_sync() {
  named_sync(1 + Config::kMathGroups, 128 * Config::kMathGroups);
}

// Four sums of a row tile at a time, from this thread's registers: element i of quad j is acc[4j + i].
template <class Config>
struct RegisterSums {
  const float (&acc)[Config::kTokens / 2];
  LADDER_DEVICE void quad(int j, float (&sums)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; i++) sums[i] = acc[4 * j + i];
  }
};

// Partial sums of one part of K of one tile, in the workspace or in shared memory: [row group][row tile][quad][thread]
// [4], so that a warp's accesses are contiguous.
template <class Config>
struct SplitPartials {
  static constexpr u32 kQuad = 128 * 16;
  static constexpr u32 kTile = Config::kTokens / 8 * kQuad;  // of one row tile of one group
  static constexpr u32 kBytes = kTile * Config::kRowTiles * kRowGroups<Config>;
};

// Where the parts of a tile that add up lie in the workspace, for one row tile and thread. Added in the order of the
// splits, so that a result never depends on who came last.
template <class Config>
struct WorkspaceParts {
  const u8* first;  // of split 0
  LADDER_DEVICE Vec4 load(int split, int quad) const {
    using Partials = SplitPartials<Config>;
    return load_global_v4(first + static_cast<i64>(split) * Partials::kBytes + quad * Partials::kQuad);
  }
};
// And where they meet in shared memory: those of a block after each other, at the same place in every block of a
// cluster.
template <class Config>
struct SharedParts {
  u32 first;  // of depth 0
  LADDER_DEVICE Vec4 load(int part, int quad) const {
    using Partials = SplitPartials<Config>;
    const u32 at = first + static_cast<u32>(part % Config::kDepth) * Partials::kBytes + quad * Partials::kQuad;
    if constexpr (Config::kCluster == 1) return load_shared_v4(at);
    return load_cluster_v4(at, part / Config::kDepth);
  }
};

LADDER_DEVICE Vec4 quad_bits(const float* sums) {
  return Vec4{float_bits(sums[0]), float_bits(sums[1]), float_bits(sums[2]), float_bits(sums[3])};
}

// Split-K through the workspace: every split of a tile writes its partial sums; the last to arrive adds them up. True
// in the group that came last. Each group has a counter of its own, kept zero between launches. `flag`: 4 bytes of
// shared memory of this group.
template <class Config>
LADDER_DEVICE bool share_splits(const float (&acc)[Config::kRowTiles][Config::kTokens / 2],
                                const MatmulArguments& arguments, const WorkItem& work, u32 group, u32 flag) {
  using Partials = SplitPartials<Config>;
  const u32 thread = thread_id() & 127;
  u8* const counter =
      static_cast<u8*>(arguments.workspace) + (static_cast<i64>(work.tile) * Config::kMathGroups + group) * 4;
  u8* const mine = split_partials(arguments.workspace) +
                   (static_cast<i64>(work.tile) * Config::kSplits + work.split) * Partials::kBytes +
                   group * Config::kRowTiles * Partials::kTile + thread * 16;
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; t++) {
#pragma unroll
    for (int j = 0; j < Config::kTokens / 8; j++) {
      store_global_v4(mine + t * Partials::kTile + j * Partials::kQuad, quad_bits(&acc[t][4 * j]));
    }
  }
  fence_device();
  math_group_sync(group);  // also: the staging area, which holds the flag, has been read
  if (thread == 0) store_shared_u32(flag, atomic_increment(counter));
  math_group_sync(group);
  if (load_shared_u32(flag) != Config::kSplits - 1) return false;
  fence_device();
  if (thread == 0) store_global_u32(counter, 0);
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

// Copies what the first `tokens` of kChunk staged tokens have of y's columns that 64 rows of W from first_row on make,
// 16 bytes a thread where the columns allow it.
template <class Config, int kChunk>
LADDER_DEVICE void store_staged(u32 staging, void* y, int first_token, int tokens, int first_row) {
  using Shape = Staging<typename Config::Output>;
  constexpr int kVector = 16 / Shape::kBytes;
  const u32 thread = thread_id() & 127;
  constexpr int kN = kColumns<Config>;
  constexpr int kWidth = columns_of<Config>(64);
  const int first_column = columns_of<Config>(first_row);
  u8* const to = static_cast<u8*>(y) + (static_cast<i64>(first_token) * kN + first_column) * Shape::kBytes;
  if constexpr (kN % kVector == 0) {
    constexpr u32 kVectors = kWidth / kVector;     // of one token
    constexpr u32 kTokensAtOnce = 128 / kVectors;  // by all threads
    constexpr int kRounds = (kChunk + kTokensAtOnce - 1) / kTokensAtOnce;
    const u32 first = thread / kVectors;
    const u32 part = thread % kVectors;
    if (first_column + static_cast<int>(part) * kVector >= kN) return;
    Vec4 values[kRounds];  // all loads before the first store, so that they wait for shared memory once
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const u32 token = first + i * kTokensAtOnce;
      if (kChunk % kTokensAtOnce == 0 || token < kChunk) {
        values[i] = load_shared_v4(staging + token * Shape::kPitch + part * 16);
      }
    }
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const u32 token = first + i * kTokensAtOnce;
      if (static_cast<int>(token) < tokens) {
        store_global_v4(to + (static_cast<i64>(token) * kN + part * kVector) * Shape::kBytes, values[i]);
      }
    }
  } else {
    const u32 row = thread % kWidth;
    if (first_column + static_cast<int>(row) >= kN) return;
    for (u32 token = thread / kWidth; static_cast<int>(token) < tokens; token += 128 / kWidth) {
      u8* const one = to + (static_cast<i64>(token) * kN + row) * Shape::kBytes;
      const u32 from = staging + token * Shape::kPitch + row * Shape::kBytes;
      if constexpr (Shape::kBytes == 4) {
        store_global_u32(one, load_shared_u32(from));
      } else {
        store_global_u16(one, load_shared_u16(from));
      }
    }
  }
}

// Four sums of a thread, finished, into the staging area: tokens 8j + {0, 1} of the lane's pair from first_token on,
// rows r and r + 8 of the warp's 16 of the 64 from first_row on.
template <class Config>
LADDER_DEVICE void stage_quad(const MatmulArguments& arguments, u32 staging, int j, int first_token, int first_row,
                              const float (&sums)[4], float bias0, float bias1) {
  using Shape = Staging<typename Config::Output>;
  const int warp_row = static_cast<int>(thread_id() & 127) / 32 * 16;
  const int token = 8 * j + 2 * static_cast<int>(lane_id() & 3);
  finish_fragment<Config>(
      arguments, sums, bias0, bias1, first_token + token, first_row + warp_row, [&](int e, int column, float value) {
        const u32 address =
            staging + (token + e) * Shape::kPitch + (columns_of<Config>(warp_row) + column) * Shape::kBytes;
        if constexpr (Shape::kBytes == 4) {
          store_shared_f32(address, value);
        } else {
          store_shared_u16(address, output_bits(typename Config::Output{}, value));
        }
      });
}

// y = the finished sums for 64 rows of W by kTokens tokens from kFirst on, turned in shared memory so that stores are
// 16 bytes along a row of y. Called by a whole math group; what lies beyond M or N is dropped. A recursion and not a
// loop: were it not unrolled, the accumulators would move to memory.
template <class Config, int kFirst>
LADDER_DEVICE void store_tile(const RegisterSums<Config>& source, const MatmulArguments& arguments, int first_token,
                              int first_row, u32 group, u32 staging, float bias0, float bias1) {
  using Shape = Staging<typename Config::Output>;
  constexpr int kLeft = Config::kTokens - kFirst;
  constexpr int kChunk = kLeft < Shape::kChunk ? kLeft : Shape::kChunk;
  const int tokens = arguments.m - first_token - kFirst;
  if (tokens <= 0) return;  // the same in all threads
  math_group_sync(group);   // the staging area has been read
#pragma unroll
  for (int j = 0; j < kChunk / 8; j++) {
    float sums[4];
    source.quad(kFirst / 8 + j, sums);
    stage_quad<Config>(arguments, staging, j, first_token + kFirst, first_row, sums, bias0, bias1);
  }
  math_group_sync(group);
  store_staged<Config, kChunk>(staging, arguments.y, first_token + kFirst, tokens < kChunk ? tokens : kChunk,
                               first_row);
  if constexpr (kFirst + kChunk < Config::kTokens) {
    store_tile<Config, kFirst + kChunk>(source, arguments, first_token, first_row, group, staging, bias0, bias1);
  }
}

// Split-K inside a block, or a cluster whose blocks hold the splits of one tile: every math group leaves its partial
// sums in shared memory and adds up and stores its share of the tokens from all of them. No trip through global memory,
// no counter, and the groups share the work. `sums`: kDepth times SplitPartials::kBytes of shared memory, the ring of
// stages, of which nothing is used any more and into which nothing is on its way.
template <class Config>
LADDER_DEVICE void share_sums(const float (&acc)[Config::kRowTiles][Config::kTokens / 2], u32 group, u32 sums) {
  using Partials = SplitPartials<Config>;
  const u32 mine = sums + group / kRowGroups<Config> * Partials::kBytes +
                   group % kRowGroups<Config> * Config::kRowTiles * Partials::kTile + (thread_id() & 127) * 16;
  math_groups_sync<Config>();  // all groups have multiplied the last stage
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; t++) {
#pragma unroll
    for (int j = 0; j < Config::kTokens / 8; j++) {
      store_shared_v4(mine + t * Partials::kTile + j * Partials::kQuad, quad_bits(&acc[t][4 * j]));
    }
  }
  cluster_sync();
}

// Adds up and stores tokens 8 * first .. 8 * last - 1 of one row tile.
template <class Config, class Parts>
LADDER_DEVICE void store_parts(const Parts& parts, const MatmulArguments& arguments, int first_token, int first,
                               int last, int first_row, u32 group, u32 staging, float bias0, float bias1) {
  constexpr int kChunk = Staging<typename Config::Output>::kChunk;
  constexpr int kBatch = Config::kTokens >= 32 ? 4 : Config::kTokens / 8;  // quads whose loads are in flight together
#pragma unroll 1
  for (; first < last; first += kChunk / 8) {
    const int quads = last - first < kChunk / 8 ? last - first : kChunk / 8;
    const int tokens = arguments.m - first_token - 8 * first;
    if (tokens <= 0) return;  // the same in all threads
    math_group_sync(group);   // the staging area has been read
#pragma unroll 1
    for (int j = 0; j < quads; j += kBatch) {
      float total[kBatch][4] = {};
#pragma unroll 4
      for (int s = 0; s < Config::kSplits * Config::kDepth; s++) {
#pragma unroll
        for (int q = 0; q < kBatch; q++) {
          if (j + q >= quads) break;
          const Vec4 v = parts.load(s, first + j + q);
          total[q][0] = s == 0 ? bits_float(v.x) : total[q][0] + bits_float(v.x);
          total[q][1] = s == 0 ? bits_float(v.y) : total[q][1] + bits_float(v.y);
          total[q][2] = s == 0 ? bits_float(v.z) : total[q][2] + bits_float(v.z);
          total[q][3] = s == 0 ? bits_float(v.w) : total[q][3] + bits_float(v.w);
        }
      }
#pragma unroll
      for (int q = 0; q < kBatch; q++) {
        if (j + q >= quads) break;
        stage_quad<Config>(arguments, staging, j + q, first_token + 8 * first, first_row, total[q], bias0, bias1);
      }
    }
    math_group_sync(group);
    store_staged<Config, kChunk>(staging, arguments.y, first_token + 8 * first, tokens < 8 * quads ? tokens : 8 * quads,
                                 first_row);
  }
}

// The end of a work item: the split-K sum, by the group that came last or by all whose sums meet together, and the
// store. `ring`: see share_sums.
template <class Config>
LADDER_DEVICE void finish_item(const float (&acc)[Config::kRowTiles][Config::kTokens / 2],
                               const MatmulArguments& arguments, const WorkItem& work, u32 group, u32 staging,
                               u32 ring) {
  using Partials = SplitPartials<Config>;
  constexpr int kQuads = Config::kTokens / 8;
  static_assert(Config::kSplits == Config::kCluster || !kSumsMeet<Config>, "all parts of a tile meet or none");
  if constexpr (kSumsMeet<Config>) {
    share_sums<Config>(acc, group, ring);
  } else if constexpr (Config::kSplits > 1) {
    if (!share_splits<Config>(acc, arguments, work, group, staging)) return;
  }
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; t++) {
    const u32 tile = group % kRowGroups<Config> * Config::kRowTiles + t;
    const u32 within = tile * Partials::kTile + (thread_id() & 127) * 16;
    const int first_row = work.first_row + static_cast<int>(tile) * 64;
    const int row = first_row + static_cast<int>((thread_id() & 127) / 32 * 16 + lane_id() / 4);
    const float bias0 = load_bias<Config>(arguments.bias, row);
    const float bias1 = load_bias<Config>(arguments.bias, row + 8);
    if constexpr (kSumsMeet<Config>) {
      constexpr int kParts = Config::kSplits * Config::kDepth;
      const int part = work.split * Config::kDepth + static_cast<int>(group / kRowGroups<Config>);
      store_parts<Config>(SharedParts<Config>{ring + within}, arguments, work.first_token, kQuads * part / kParts,
                          kQuads * (part + 1) / kParts, first_row, group, staging, bias0, bias1);
    } else if constexpr (Config::kSplits > 1) {
      const u8* const first = split_partials(arguments.workspace) +
                              static_cast<i64>(work.tile) * Config::kSplits * Partials::kBytes + within;
      store_parts<Config>(WorkspaceParts<Config>{first}, arguments, work.first_token, 0, kQuads, first_row, group,
                          staging, bias0, bias1);
    } else {
      store_tile<Config, 0>(RegisterSums<Config>{acc[t]}, arguments, work.first_token, first_row, group, staging, bias0,
                            bias1);
    }
  }
  if constexpr (kSumsMeet<Config>) {
    fence_async_proxy();  // the ring fills by TMA again
    cluster_sync();
  }
}

}  // namespace ladder
