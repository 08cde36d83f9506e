// Pipelined: any number of activation rows (tokens) against quantised weights, by mma.sync and a ring of cp.async.
//
// A block computes kBN weight rows x kBM tokens for one of kSplits slices of K, kBK columns a stage, kStages in the
// ring. Its warps form row_warps x kTokenWarps x kDepthWarps: a warp computes 16 * kRowTiles rows x kBM / kTokenWarps
// tokens over its share of the stage's 64-column blocks; the depth warps' sums are added at the end. D = W * X^T by
// mma.m16n8k16:
//   A  the packed block is already in fragment order: 4 bytes a lane for each bit of a code are its four k16 steps,
//      decoded in registers. With kTokenWarps == 1 every weight is decoded once.
//   B  tokens by ldmatrix from [64-column block][token][128 bytes], 16-byte pieces swizzled by token % 8.
//      Tokens of 8 bits are widened on the way: loaded to registers before a stage is multiplied, stored after it.
//   D  lane t holds rows t/4 (+8), tokens 2(t%4) + {0, 1} of each 16 x 8 tile; the epilogue turns tiles through shared
//      memory so that y is stored in 16-byte pieces along N.
// Scales and zeros of a stage travel with it, a row of kBN per segment (the part of a group inside a warp's share of
// the stage). They multiply the weights (kScaleInWeights, for many tokens) or fp32 partial sums at the segment's end,
// or the finished sum when there is one per channel. Reductions across depth warps and splits keep a fixed order.
#pragma once
#include "schedules/device/pair_table.cuh"
#include "schedules/device/scales.cuh"
#include "schedules/device/widen.cuh"
#include "schedules/matmul/epilogue.cuh"
#include "schedules/matmul/split_k.cuh"

namespace ladder {

template <class Config>
struct PipelinedKernel {
  using Compute = typename Config::Compute;
  using Scale = typename Config::Scale;
  using Weight = typename Config::Weight;
  using Output = typename Config::Output;
  using Plane = ScalePlane<Config>;
  using Dequantize = Dequantizer<Config, Config::kScaleInWeights != 0>;

  static constexpr int kBM = Config::kBM, kBN = Config::kBN, kBK = Config::kBK, kStages = Config::kStages;
  static constexpr int kRowTiles = Config::kRowTiles, kTokenWarps = Config::kTokenWarps;
  static constexpr int kDepthWarps = Config::kDepthWarps, kSplits = Config::kSplits, kRaster = Config::kRaster;
  static constexpr bool kPairTable = Config::kPairTable != 0;
  static constexpr int kRowWarps = kBN / (16 * kRowTiles);
  static constexpr int kSumWarps = kRowWarps * kTokenWarps;  // warps that hold different outputs
  static constexpr int kThreads = 32 * kSumWarps * kDepthWarps;
  static constexpr int kWarpTokens = kBM / kTokenWarps;
  static constexpr int kTokenTiles = kWarpTokens / 8;
  static constexpr int kRowBlocks = kBN / 64, kColumnBlocks = kBK / 64;  // 64 x 64 blocks of a stage
  static constexpr int kWarpBlocks = kColumnBlocks / kDepthWarps;

  static constexpr int kBlocks = (Config::kK + 63) / 64;
  static constexpr int kAllRowBlocks = (Config::kN + 63) / 64;
  static constexpr int kSteps = (kBlocks + kColumnBlocks - 1) / kColumnBlocks;
  static constexpr int kStepsPerSplit = (kSteps + kSplits - 1) / kSplits;
  static constexpr int kTilesN = (Config::kN + kBN - 1) / kBN;

  static constexpr bool kLoadScales = !Plane::kPerChannel;
  static constexpr int kSegmentColumns =
      kLoadScales ? common_divisor(Config::kGroup, 64 * kWarpBlocks) : 64 * kWarpBlocks;
  static constexpr int kSegments = kBK / kSegmentColumns;  // of a stage
  static constexpr bool kRescale = Config::kZeros == Zeros::kRescale;
  static constexpr bool kScaleSums = kLoadScales && !kRescale && !Config::kScaleInWeights;
  static constexpr bool kScaleAtEnd = Plane::kPerChannel && !kRescale && !Config::kScaleInWeights;

  // A stage: packed weights, tokens, scales, zeros. The epilogue reuses the ring.
  static constexpr u32 kBlockBytes = 512 * Weight::kBits;  // of 64 rows and columns
  static constexpr u32 kXAt = kRowBlocks * kColumnBlocks * kBlockBytes;
  static constexpr u32 kScalesAt = kXAt + kBM * kBK * 2;
  static constexpr u32 kScaleBytes = kLoadScales ? kSegments * kBN * 2 : 0;
  static constexpr u32 kZerosAt = kScalesAt + kScaleBytes;
  static constexpr bool kByteZeros = Config::kZeros == Zeros::kQuantized && Weight::kBits > 4;
  static constexpr u32 kZeroRowBytes = Config::kZeros != Zeros::kQuantized ? kBN * 2 : kByteZeros ? kBN : kBN / 2;
  static constexpr u32 kZeroBytes = kLoadScales && Config::kZeros != Zeros::kNone ? kSegments * kZeroRowBytes : 0;
  static constexpr u32 kStageBytes = kZerosAt + kZeroBytes;
  static constexpr u32 kTableAt = 128;  // after the split flag
  static constexpr u32 kRingAt = kTableAt + (kPairTable ? kSharedTableBytes<Weight> : 0);
  static constexpr u32 kOutputStride = kBN * OutputBytes<Output>::value + 16;

  struct Position {
    int first_token, first_row, first_row_block;  // of the block
    int token, row;                               // the warp's first, within the block's tile
    int lane, depth, sum_warp;
    int first_step, steps;
    int tile, split;
  };

  // Packed 64-row block `i` of the tile; blocks past the end repeat the last one.
  static LADDER_DEVICE int row_block(const Position& at, int i) {
    const int block = at.first_row_block + i;
    return block < kAllRowBlocks ? block : kAllRowBlocks - 1;
  }

  static LADDER_DEVICE void load_weights(const MatmulArguments& p, const Position& at, int step, u32 stage) {
    const int first_block = (at.first_step + step) * kColumnBlocks;
    const u8* w = static_cast<const u8*>(p.w);
    constexpr int kBlockPieces = kBlockBytes / 16;
    constexpr int kPieces = kRowBlocks * kColumnBlocks * kBlockPieces;
#pragma unroll
    for (int i = 0; i < (kPieces + kThreads - 1) / kThreads; i++) {
      const int piece = i * kThreads + static_cast<int>(thread_id());
      if (kPieces % kThreads != 0 && piece >= kPieces) break;
      const int block = first_block + piece / kBlockPieces % kColumnBlocks;
      const int rows = row_block(at, piece / kBlockPieces / kColumnBlocks);
      const bool inside = kBlocks % kColumnBlocks == 0 || block < kBlocks;
      const u8* from = w + (static_cast<i64>(rows) * kBlocks + block) * kBlockBytes + piece % kBlockPieces * 16;
      copy_async_16(stage + piece * 16, inside ? from : w, inside ? 16 : 0);
    }
    if constexpr (kLoadScales) load_planes(p, at, first_block * 64, stage);
  }

  // Scales and zeros of the stage: 64 rows of one group are 128 contiguous bytes (quantized zeros: 32, or 64 above 4
  // bits).
  static LADDER_DEVICE void load_planes(const MatmulArguments& p, const Position& at, int first_column, u32 stage) {
    const u16* scale = static_cast<const u16*>(p.scale);
#pragma unroll 1
    for (int i = thread_id(); i < kSegments * kBN / 8; i += kThreads) {
      const int group = Plane::group_of(first_column + i / (kBN / 8) * kSegmentColumns);
      const int piece = i % (kBN / 8);
      const i64 element = Plane::element(row_block(at, piece / 8), group, piece % 8 * 8);
      copy_async_16(stage + kScalesAt + i * 16, scale + element, 16);
      if constexpr (Config::kZeros == Zeros::kOriginal || kRescale) {
        copy_async_16(stage + kZerosAt + i * 16, static_cast<const u16*>(p.zero) + element, 16);
      }
    }
    if constexpr (Config::kZeros == Zeros::kQuantized) {
      constexpr int kRowPieces = kZeroRowBytes / 16, kBlockPieces = kRowPieces / kRowBlocks;
#pragma unroll 1
      for (int i = thread_id(); i < kSegments * kRowPieces; i += kThreads) {
        const int group = Plane::group_of(first_column + i / kRowPieces * kSegmentColumns);
        const int rows = row_block(at, i % kRowPieces / kBlockPieces);
        const i64 byte =
            (kByteZeros ? Plane::element(rows, group, 0) : Plane::zero_byte(rows, group, 0, 0)) + i % kBlockPieces * 16;
        copy_async_16(stage + kZerosAt + i * 16, static_cast<const u8*>(p.zero) + byte, 16);
      }
    }
  }

  // Where piece `c` of 8 columns of a token lies in a stage.
  static LADDER_DEVICE u32 token_piece(u32 stage, int token, int c) {
    return stage + kXAt + (c / 8 * kBM + token) * 128 + ((c % 8) ^ (token & 7)) * 16;
  }
  static constexpr int kXPieces = kBM * kBK / 8;  // of 8 columns
  static constexpr int kXRounds = (kXPieces + kThreads - 1) / kThreads;

  // Tokens of the stage; zeros beyond m and K.
  static LADDER_DEVICE void load_tokens(const MatmulArguments& p, const Position& at, int step, u32 stage) {
    const int first_column = (at.first_step + step) * kBK;
    const u16* x = static_cast<const u16*>(p.x);
#pragma unroll
    for (int i = 0; i < kXRounds; i++) {
      const int piece = i * kThreads + static_cast<int>(thread_id());
      if (kXPieces % kThreads != 0 && piece >= kXPieces) break;
      const int token = piece / (kBK / 8);
      const int c = piece % (kBK / 8);
      const int column = first_column + c * 8;
      const u32 to = token_piece(stage, token, c);
      const u16* from = x + static_cast<i64>(at.first_token + token) * Config::kK + column;
      const bool row_inside = at.first_token + token < p.m;
      if constexpr (Config::kK % 8 == 0) {
        const bool inside = row_inside && (Config::kK % kBK == 0 || column < Config::kK);
        copy_async_16(to, inside ? from : x, inside ? 16 : 0);
      } else {  // rows are not 16-byte aligned
#pragma unroll
        for (int e = 0; e < 8; e += 2) {
          const u32 low = row_inside && column + e < Config::kK ? load_global_u16(from + e) : 0;
          const u32 high = row_inside && column + e + 1 < Config::kK ? load_global_u16(from + e + 1) : 0;
          store_shared_u32(to + e * 2, low | (high << 16));
        }
      }
    }
  }

  static LADDER_DEVICE u32 stage_at(u32 shared, int step) { return shared + kRingAt + step % kStages * kStageBytes; }

  // Scale and zero of the warp's row tile `r` in segment `segment` of the stage.
  static LADDER_DEVICE u32 scale_of(const Position& at, u32 stage, int segment, int r) {
    return load_row_pair_shared(stage + kScalesAt + (segment * kBN + at.row + 16 * r + at.lane / 4) * 2);
  }
  static LADDER_DEVICE u32 zero_of(const Position& at, u32 stage, int segment, int r) {
    if constexpr (kByteZeros) {
      const u32 zeros = stage + kZerosAt + segment * kZeroRowBytes + at.row + 16 * r + at.lane / 4;
      return load_shared_u8(zeros) | (load_shared_u8(zeros + 8) << 8);
    } else if constexpr (Config::kZeros == Zeros::kQuantized) {
      return load_shared_u8(stage + kZerosAt + segment * kZeroRowBytes + (at.row / 16 + r) * 8 + at.lane / 4);
    } else if constexpr (Config::kZeros != Zeros::kNone) {
      return load_row_pair_shared(stage + kZerosAt + (segment * kBN + at.row + 16 * r + at.lane / 4) * 2);
    }
    return 0;
  }

  // Multiplies the warp's share of one stage into `sum`.
  static LADDER_DEVICE void compute(const Position& at, u32 stage, u32 lane_table, Dequantize (&dequantize)[kRowTiles],
                                    float (&sum)[kRowTiles][kTokenTiles][4]) {
    constexpr int kSegmentSteps = kSegmentColumns / 16;
    float part[kRowTiles][kTokenTiles][4] = {};
    // ldmatrix: lane t points at token t%8 (+8 for t >= 16) and 8-column piece t/8%2 of the k16 step.
    const u32 lane_row = (at.token + at.lane / 16 * 8 + at.lane % 8) * 128;
    const u32 lane_piece = ((at.lane / 8 & 1) ^ (at.lane & 7)) * 16;
#pragma unroll
    for (int j = 0; j < kWarpBlocks; j++) {
      const int block = at.depth * kWarpBlocks + j;
      u32 words[kRowTiles][Weight::kBits];
#pragma unroll
      for (int r = 0; r < kRowTiles; r++) {
        const int row = at.row + 16 * r;
        load_lane_words_shared(stage + (row / 64 * kColumnBlocks + block) * kBlockBytes, row % 64 * 2 + at.lane,
                               words[r]);
      }
#pragma unroll
      for (int f = 0; f < 4; f++) {
        const int step = 4 * j + f;
        const int segment = at.depth * (kSegments / kDepthWarps) + step / kSegmentSteps;
        u32 b[kTokenTiles / 2][4];
#pragma unroll
        for (int t = 0; t < kTokenTiles / 2; t++) {
          load_matrix_x4(b[t], stage + kXAt + (block * kBM + 16 * t) * 128 + lane_row + (lane_piece ^ (32 * f)));
        }
#pragma unroll
        for (int r = 0; r < kRowTiles; r++) {
          if (kLoadScales && step % kSegmentSteps == 0) {
            dequantize[r].set(Dequantize::kNeedsScale ? scale_of(at, stage, segment, r) : 0,
                              zero_of(at, stage, segment, r));
          }
          u32 a[4];
          if constexpr (kPairTable) {
            decode_shared_table<Weight>(words[r], f, lane_table, a);
            dequantize[r].finish(a);
          } else {
            dequantize[r].decode(words[r], f, a);
          }
#pragma unroll
          for (int t = 0; t < kTokenTiles; t++) {
            mma_16816(Compute{}, kScaleSums ? part[r][t] : sum[r][t], a, b[t / 2][t % 2 * 2], b[t / 2][t % 2 * 2 + 1]);
          }
          if (kScaleSums && (step + 1) % kSegmentSteps == 0) {
            const u32 pair = scale_of(at, stage, segment, r);
            const float scale[2] = {to_float(Scale{}, pair & 0xffffu), to_float(Scale{}, pair >> 16)};
#pragma unroll
            for (int t = 0; t < kTokenTiles; t++) {
#pragma unroll
              for (int i = 0; i < 4; i++) {
                sum[r][t][i] += part[r][t][i] * scale[i / 2];
                part[r][t][i] = 0;
              }
            }
          }
        }
      }
    }
  }

  // Adds the depth warps' sums into those of depth 0, in order.
  static LADDER_DEVICE void reduce_depth(const Position& at, u32 buffer, float (&sum)[kRowTiles][kTokenTiles][4]) {
    constexpr int kValues = kRowTiles * kTokenTiles;  // 16-byte values a lane
    if (at.depth > 0) {
      const u32 to = buffer + (((at.depth - 1) * kSumWarps + at.sum_warp) * kValues * 32 + at.lane) * 16;
#pragma unroll
      for (int v = 0; v < kValues; v++) {
        const float* s = sum[v / kTokenTiles][v % kTokenTiles];
        store_shared_v4(to + v * 512, {float_bits(s[0]), float_bits(s[1]), float_bits(s[2]), float_bits(s[3])});
      }
    }
    block_sync();
    if (at.depth == 0) {
#pragma unroll
      for (int d = 1; d < kDepthWarps; d++) {
        const u32 from = buffer + (((d - 1) * kSumWarps + at.sum_warp) * kValues * 32 + at.lane) * 16;
#pragma unroll
        for (int v = 0; v < kValues; v++) add(load_shared_v4(from + v * 512), sum[v / kTokenTiles][v % kTokenTiles]);
      }
    }
    block_sync();
  }

  static LADDER_DEVICE void add(const Vec4& v, float (&sum)[4]) {
    sum[0] += bits_float(v.x);
    sum[1] += bits_float(v.y);
    sum[2] += bits_float(v.z);
    sum[3] += bits_float(v.w);
  }

  // Stores this split's sums; true in the last split to arrive, whose `sum` then holds the total.
  static LADDER_DEVICE bool reduce_splits(const MatmulArguments& p, const Position& at, u32 shared,
                                          float (&sum)[kRowTiles][kTokenTiles][4]) {
    constexpr int kValues = kRowTiles * kTokenTiles;
    constexpr i64 kTileBytes = static_cast<i64>(kBM) * kBN * 4;
    u8* const tile = split_partials(p.workspace) + at.tile * kSplits * kTileBytes + (at.sum_warp * 32 + at.lane) * 16;
    if (at.depth == 0) {
      u8* const to = tile + at.split * kTileBytes;
#pragma unroll
      for (int v = 0; v < kValues; v++) {
        const float* s = sum[v / kTokenTiles][v % kTokenTiles];
        store_global_v4(to + v * (kSumWarps * 512),
                        {float_bits(s[0]), float_bits(s[1]), float_bits(s[2]), float_bits(s[3])});
      }
    }
    if (!last_to_arrive(p.workspace, at.tile, kSplits, shared)) return false;
    if (at.depth == 0) {
#pragma unroll
      for (int v = 0; v < kValues; v++) {
        float(&s)[4] = sum[v / kTokenTiles][v % kTokenTiles];
        s[0] = s[1] = s[2] = s[3] = 0;
#pragma unroll 4
        for (int i = 0; i < kSplits; i++) add(load_global_v4(tile + i * kTileBytes + v * (kSumWarps * 512)), s);
      }
    }
    return true;
  }

  // Scale, epilogue, conversion; the tile passes through shared memory on its way to y.
  static LADDER_DEVICE void store(const MatmulArguments& p, const Position& at, u32 buffer,
                                  const float (&sum)[kRowTiles][kTokenTiles][4]) {
    constexpr int kBytes = OutputBytes<Output>::value;
    if (at.depth == 0) {
#pragma unroll
      for (int r = 0; r < kRowTiles; r++) {
        const int tile_row = at.row + 16 * r;
        float scale[2] = {1, 1}, bias[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int n = at.first_row + tile_row + 8 * h + at.lane / 4;
          if (kScaleAtEnd && n < Config::kN) {
            const i64 element = Plane::element(n / 64, 0, n % 64);
            scale[h] = to_float(Scale{}, load_constant_u16(static_cast<const u16*>(p.scale) + element));
          }
          bias[h] = load_bias<Config>(p.bias, n);
        }
#pragma unroll
        for (int t = 0; t < kTokenTiles; t++) {
          const float(&s)[4] = sum[r][t];
          const float scaled[4] = {s[0] * scale[0], s[1] * scale[0], s[2] * scale[1], s[3] * scale[1]};
          const int token = at.token + 8 * t + 2 * (at.lane % 4);
          finish_fragment<Config>(p, scaled, bias[0], bias[1], at.first_token + token, at.first_row + tile_row,
                                  [&](int e, int column, float value) {
                                    const u32 to = buffer + (token + e) * kOutputStride +
                                                   (columns_of<Config>(tile_row) + column) * kBytes;
                                    if constexpr (kBytes == 2) {
                                      store_shared_u16(to, output_bits(Output{}, value));
                                    } else {
                                      store_shared_f32(to, value);
                                    }
                                  });
        }
      }
    }
    block_sync();
    constexpr int kPiece = 16 / kBytes;
    constexpr bool kWhole = kColumns<Config> % kPiece == 0;  // rows of y are 16-byte aligned
    constexpr int kStep = kWhole ? kPiece : 1;
    constexpr int kSteps = columns_of<Config>(kBN) / kStep;
    const int first_column = columns_of<Config>(at.first_row);
    u8* const y = static_cast<u8*>(p.y);
    for (int i = thread_id(); i < kBM * kSteps; i += kThreads) {
      const int token = i / kSteps;
      const int column = i % kSteps * kStep;
      if (at.first_token + token >= p.m || first_column + column >= kColumns<Config>) continue;
      u8* const to = y + (static_cast<i64>(at.first_token + token) * kColumns<Config> + first_column + column) * kBytes;
      const u32 from = buffer + token * kOutputStride + column * kBytes;
      if constexpr (kWhole) {
        store_global_v4(to, load_shared_v4(from));
      } else if constexpr (kBytes == 2) {
        store_global_u16(to, load_shared_u16(from));
      } else {
        store_global_u32(to, load_shared_u32(from));
      }
    }
  }

  // Tiles in bands of kRaster token tiles, so that blocks running together share weights and tokens in the L2 cache.
  static LADDER_DEVICE Position place(const MatmulArguments& p) {
    Position at;
    at.split = block_id() % kSplits;
    const int tile = block_id() / kSplits;
    const int tiles_m = (p.m + kBM - 1) / kBM;
    const int band = tile / (kRaster * kTilesN);
    const int in_band = tile - band * (kRaster * kTilesN);
    const int left = tiles_m - band * kRaster;
    const int height = left < kRaster ? left : kRaster;
    const int tile_m = band * kRaster + in_band % height;
    const int tile_n = in_band / height;
    at.tile = tile_m * kTilesN + tile_n;
    at.first_token = tile_m * kBM;
    at.first_row = tile_n * kBN;
    at.first_row_block = tile_n * kRowBlocks;
    at.lane = lane_id();
    const int warp = thread_id() / 32;
    at.sum_warp = warp % kSumWarps;
    at.depth = warp / kSumWarps;
    at.row = at.sum_warp % kRowWarps * (16 * kRowTiles);
    at.token = at.sum_warp / kRowWarps * kWarpTokens;
    at.first_step = at.split * kStepsPerSplit;
    at.steps = kSteps - at.first_step < kStepsPerSplit ? kSteps - at.first_step : kStepsPerSplit;
    return at;
  }

  static LADDER_DEVICE void run(const MatmulArguments& p) {
    launch_dependents();
    const u32 shared = dynamic_shared();
    const Position at = place(p);
    Dequantize dequantize[kRowTiles];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
      if constexpr (Plane::kPerChannel) set_per_channel(p, at, r, dequantize[r]);
    }
    // Weights are constants: they are on their way before the previous kernel has finished. Their copies belong to the
    // first committed group.
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
      if (s < at.steps) load_weights(p, at, s, stage_at(shared, s));
    }
    if constexpr (kPairTable) build_shared_table<Weight>(shared + kTableAt, thread_id(), kThreads);
    [[maybe_unused]] RawTile<Config, kBM, kBK, kThreads> tokens;
    wait_for_previous();
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
      if (s < at.steps) {
        if constexpr (kWidens<Config>) {
          tokens.load(p, at.first_token, (at.first_step + s) * kBK);
          tokens.store([&](int token, int c) { return token_piece(stage_at(shared, s), token, c); });
        } else {
          load_tokens(p, at, s, stage_at(shared, s));
        }
      }
      copy_async_commit();
    }

    float sum[kRowTiles][kTokenTiles][4] = {};
    for (int step = 0; step < at.steps; step++) {
      copy_async_wait<kStages - 2>();
      block_sync();  // the stage is there for all, and all are done with the one before: its place is free
      const int next = step + kStages - 1;
      if (next < at.steps) {
        load_weights(p, at, next, stage_at(shared, next));
        if constexpr (kWidens<Config>) {
          tokens.load(p, at.first_token, (at.first_step + next) * kBK);
        } else {
          load_tokens(p, at, next, stage_at(shared, next));
        }
      }
      copy_async_commit();
      compute(at, stage_at(shared, step), shared + kTableAt + 4 * at.lane, dequantize, sum);
      if constexpr (kWidens<Config>) {
        if (next < at.steps) {
          tokens.store([&](int token, int c) { return token_piece(stage_at(shared, next), token, c); });
        }
      }
    }
    copy_async_wait<0>();
    block_sync();  // the ring becomes the epilogue's buffer
    if constexpr (kDepthWarps > 1) reduce_depth(at, shared + kRingAt, sum);
    if constexpr (kSplits > 1) {
      if (!reduce_splits(p, at, shared, sum)) return;
    }
    store(p, at, shared + kRingAt, sum);
  }

  // One scale and zero for the whole row: read once.
  static LADDER_DEVICE void set_per_channel(const MatmulArguments& p, const Position& at, int r,
                                            Dequantize& dequantize) {
    const int row = at.row + 16 * r;
    const int block = row_block(at, row / 64);
    const i64 element = Plane::element(block, 0, row % 64 + at.lane / 4);
    u32 scales = 0;
    u32 zeros = 0;
    if constexpr (Dequantize::kNeedsScale) scales = load_row_pair(static_cast<const u16*>(p.scale) + element);
    if constexpr (kByteZeros) {
      const u8* codes = static_cast<const u8*>(p.zero) + element;
      zeros = load_constant_u8(codes) | (load_constant_u8(codes + 8) << 8);
    } else if constexpr (Config::kZeros == Zeros::kQuantized) {
      const i64 byte = Plane::zero_byte(block, 0, row % 64 / 16, at.lane / 4);
      zeros = load_constant_u8(static_cast<const u8*>(p.zero) + byte);
    } else if constexpr (Config::kZeros != Zeros::kNone) {
      zeros = load_row_pair(static_cast<const u16*>(p.zero) + element);
    }
    dequantize.set(scales, zeros);
  }
};

template <class Config>
LADDER_DEVICE void PipelinedMatmul(const MatmulArguments& arguments) {
  PipelinedKernel<Config>::run(arguments);
}

}  // namespace ladder
