// Decode: few activation rows (m <= kRows <= 16) against quantised weights, bound by reading the weights once.
//
// A block computes kBlockRows = 16 * kRowTiles * kRowWarps weight rows for one of kSplits slices of K. Its warps form
// kRowWarps x kWarps: warps of one row group share rows and take turns along K, a unit of kUnit blocks each. A block
// has four steps of the matrix instruction and 128 bytes of a row of x: 64 columns in k16 steps, or with activations of
// 8 bits 128 columns in k32 steps. D = W * X^T by mma.m16n8k16 or m16n8k32, weights being operand A:
//   A  lane t holds rows t/4 (+8) of a row tile; a lane loads 4 bytes, or 8, for each bit of a code, its four steps of
//   a
//      block.
//      kLoads units are in flight in registers; being constants, the first are issued before the previous kernel ends.
//   B  activation row t/4 (+8 for the second tile), by ldmatrix from x, staged once in shared memory in natural order:
//      [m][slice of K], rows padded by 16 bytes so that eight rows fall into different banks. Lanes of rows >= m read
//      row m - 1 again: a column of D depends on its own row of x only, and theirs are not stored.
//   D  lane t holds weight rows t/4 (+8), activation rows 2(t%4) + {0, 1} (+8 for the second tile).
// Scales multiply fp32 partial sums at the end of each group (of each segment, the part of a group inside a unit), or
// the finished sum when there is one per channel; rescaled zeros need them in the weights. Sums of int8 are int32 and
// exact until then; those of fp8, which the tensor cores add up with about 14 bits, become fp32 every 128 columns.
// Warps of a row group reduce through shared memory in a fixed order, blocks of a tile through the workspace
// (split_k.cuh).
#pragma once
#include "schedules/device/byte_decode.cuh"
#include "schedules/device/pair_table.cuh"
#include "schedules/device/scales.cuh"
#include "schedules/device/widen.cuh"
#include "schedules/matmul/epilogue.cuh"
#include "schedules/matmul/split_k.cuh"

namespace ladder {

// How a lane's words become A fragments, by the bytes of an activation.
template <class Config, int kBytes>
struct FragmentDecoder {
  using Type = Dequantizer<Config, false>;
  static constexpr int kExponent = 0;
};
template <class Config>
struct FragmentDecoder<Config, 1> {
  using Type = ByteDequantizer<Config>;
  static constexpr int kExponent = Config::Weight::kExponent;
};

template <class Config>
struct DecodeKernel {
  using Compute = typename Config::Compute;
  using Scale = typename Config::Scale;
  using Weight = typename Config::Weight;
  using Plane = ScalePlane<Config>;
  static constexpr int kXBytes = kBytesOf<Compute>;  // of an activation as it is multiplied
  using Decoder = FragmentDecoder<Config, kXBytes>;
  using Dequantize = typename Decoder::Type;

  static constexpr int kRows = Config::kRows, kRowTiles = Config::kRowTiles, kRowWarps = Config::kRowWarps;
  static constexpr int kWarps = Config::kWarps, kUnit = Config::kUnit, kLoads = Config::kLoads;
  static constexpr int kSplits = Config::kSplits;
  static constexpr bool kPairTable = Config::kPairTable != 0;
  static constexpr int kThreads = 32 * kWarps * kRowWarps;
  static constexpr int kBlockRows = 16 * kRowTiles * kRowWarps;
  static constexpr int kBlockColumns = columns_of<Config>(kBlockRows);  // of y
  static constexpr int kTokenTiles = (kRows + 7) / 8;

  // K in blocks and in units; what a split takes.
  static constexpr int kStepColumns = 32 / kXBytes;
  static constexpr int kKBlock = 4 * kStepColumns;
  static constexpr int kWords = Weight::kBits * 2 / kXBytes;  // of a lane, row tile and block
  static constexpr int kBlocks = (Config::kK + kKBlock - 1) / kKBlock;
  static constexpr int kUnits = (kBlocks + kUnit - 1) / kUnit;
  static constexpr int kUnitsPerSplit = (kUnits + kSplits - 1) / kSplits;
  static constexpr int kSliceColumns = kUnitsPerSplit * kUnit * kKBlock;
  static constexpr int kRowBlocks = (Config::kN + 63) / 64;
  static constexpr int kBlockBytes = 512 * kWords;  // of 64 rows

  // A segment: the columns of a unit that surely share a group, and of fp8 no more than are summed by tensor cores.
  using Part = typename SumOf<Compute>::Type;
  static constexpr bool kPromotes = kXBytes == 1 && !SameType<Part, int>::value;
  static constexpr int kGroupColumns =
      Plane::kPerChannel ? kKBlock * kUnit : common_divisor(Config::kGroup, kKBlock* kUnit);
  static constexpr int kSegmentColumns = kPromotes ? common_divisor(kGroupColumns, 128) : kGroupColumns;
  static constexpr int kSegmentSteps = kSegmentColumns / kStepColumns;
  static_assert(kSegmentColumns % kStepColumns == 0, "a step has one scale");
  static constexpr int kSegments = 4 * kUnit / kSegmentSteps;
  static constexpr bool kRescale = Config::kZeros == Zeros::kRescale;
  static constexpr bool kScaleSegments = !Plane::kPerChannel && !kRescale;  // scales on partial sums
  static constexpr bool kScaleAtEnd = Plane::kPerChannel && !kRescale;
  static constexpr bool kLoadScales = !Plane::kPerChannel;  // a scale (and a zero) per segment
  static constexpr bool kPartSegments = kScaleSegments || kPromotes;
  template <bool kParts, class P>
  struct SumType {
    using Type = float;
  };
  template <class P>
  struct SumType<false, P> {
    using Type = P;
  };
  using Sum = typename SumType<kPartSegments, Part>::Type;

  // Shared memory: a flag, the pair table, then x; partial sums of the warps after x or over it.
  static constexpr u32 kTableAt = 16;
  static constexpr u32 kXAt = kTableAt + (kPairTable ? kSharedTableBytes<Weight> : 0);
  static constexpr u32 kXStride = kSliceColumns * kXBytes + 16;
  static constexpr u32 kSumsAt = Config::kSumsOverX ? kTableAt : kXAt + kRows * kXStride;
  static constexpr u32 kSumStride = kBlockRows + 4;  // 2 * kSumStride = 8 mod 32: a warp's stores fall into 32 banks

  // What a warp has in flight: the words of a unit and the scales and zeros of its segments.
  struct Load {
    u32 words[kRowTiles][kUnit][kWords];
    u32 scales[kRowTiles][kSegments];
    u32 zeros[kRowTiles][kSegments];
  };

  struct Position {
    int row_block, row_tile;  // 64-row block and the warp's first row tile within it
    int row;                  // the warp's first row within the block's tile
    int lane, warp;           // warp: which of the kWarps along K
    int first_unit, units;    // of the split
  };

  static LADDER_DEVICE u32 load_scale(const MatmulArguments& p, const Position& at, int r, int group) {
    const int row = 16 * (at.row_tile + r) + at.lane / 4;
    return load_row_pair(static_cast<const u16*>(p.scale) + Plane::element(at.row_block, group, row));
  }
  static LADDER_DEVICE u32 load_zero(const MatmulArguments& p, const Position& at, int r, int group) {
    if constexpr (Config::kZeros == Zeros::kQuantized && Weight::kBits > 4) {
      const u8* zeros =
          static_cast<const u8*>(p.zero) + Plane::element(at.row_block, group, 16 * (at.row_tile + r) + at.lane / 4);
      return load_constant_u8(zeros) | (load_constant_u8(zeros + 8) << 8);
    } else if constexpr (Config::kZeros == Zeros::kQuantized) {
      return load_constant_u8(static_cast<const u8*>(p.zero) +
                              Plane::zero_byte(at.row_block, group, at.row_tile + r, at.lane / 4));
    } else if constexpr (Config::kZeros != Zeros::kNone) {
      const int row = 16 * (at.row_tile + r) + at.lane / 4;
      return load_row_pair(static_cast<const u16*>(p.zero) + Plane::element(at.row_block, group, row));
    }
    return 0;
  }

  static LADDER_DEVICE void load(const MatmulArguments& p, const Position& at, int unit, Load& load) {
    const int block = (at.first_unit + unit) * kUnit;
    const LaneWords<kWords> words(
        static_cast<const u8*>(p.w) + (static_cast<i64>(at.row_block) * kBlocks + block) * kBlockBytes, at.row_tile,
        at.lane);
#pragma unroll
    for (int j = 0; j < kUnit; j++) {
      if (kBlocks % kUnit == 0 || block + j < kBlocks) {
#pragma unroll
        for (int r = 0; r < kRowTiles; r++) words.load(r, j, load.words[r][j]);
      }
    }
    if constexpr (kLoadScales) {
#pragma unroll
      for (int s = 0; s < kSegments; s++) {
        const int group = Plane::group_of(block * kKBlock + s * kSegmentColumns);
#pragma unroll
        for (int r = 0; r < kRowTiles; r++) {
          load.scales[r][s] = load_scale(p, at, r, group);
          load.zeros[r][s] = load_zero(p, at, r, group);
        }
      }
    }
  }

  // x[0 .. m) of the split's columns into shared memory; zeros beyond K. Through registers, not cp.async: that bypasses
  // the L1 cache, in which blocks of one multiprocessor share x, and took 0.8 to 4 us more a launch (m = 1, H200).
  static LADDER_DEVICE void stage_activations(const MatmulArguments& p, u32 shared, int first_column) {
    constexpr int kChunkColumns = 16 / kXBytes;
    constexpr int kChunks = kSliceColumns / kChunkColumns;
    constexpr int kBatch = 4;  // loads in flight
    const int chunks = p.m * kChunks;
    for (int first = thread_id(); first < chunks; first += kBatch * kThreads) {
      Vec4 values[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; b++) {
        const int i = first + b * kThreads;
        if (i < chunks) values[b] = load_activations(p, i / kChunks, first_column + i % kChunks * kChunkColumns);
      }
#pragma unroll
      for (int b = 0; b < kBatch; b++) {
        const int i = first + b * kThreads;
        if (i < chunks) store_shared_v4(shared + kXAt + i / kChunks * kXStride + i % kChunks * 16, values[b]);
      }
    }
  }

  // 16 bytes of a row of x in the compute type, zeros beyond K.
  static LADDER_DEVICE Vec4 load_activations(const MatmulArguments& p, int row, int column) {
    if constexpr (kWidens<Config>) return widen<Config>(load_raw_eight<Config>(p, row, column));
    const u8* bytes = static_cast<const u8*>(p.x) + (static_cast<i64>(row) * Config::kK + column) * kXBytes;
    if constexpr (Config::kK * kXBytes % 16 == 0) {
      return column < Config::kK ? load_global_v4(bytes) : Vec4{0, 0, 0, 0};
    } else if constexpr (kXBytes == 1) {
      u32 four[4] = {};
#pragma unroll
      for (int e = 0; e < 16; e++) {
        if (column + e < Config::kK) four[e / 4] |= load_global_u8(bytes + e) << (8 * (e % 4));
      }
      return Vec4{four[0], four[1], four[2], four[3]};
    } else {
      const u16* from = reinterpret_cast<const u16*>(bytes);
      u32 pair[4];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const u32 low = column + 2 * e < Config::kK ? load_global_u16(from + 2 * e) : 0;
        const u32 high = column + 2 * e + 1 < Config::kK ? load_global_u16(from + 2 * e + 1) : 0;
        pair[e] = low | (high << 16);
      }
      return Vec4{pair[0], pair[1], pair[2], pair[3]};
    }
  }

  static LADDER_DEVICE void multiply(Part (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    if constexpr (kXBytes == 1) {
      mma_16832(typename Weight::Byte{}, Compute{}, c, a, b0, b1);
    } else {
      mma_16816(Compute{}, c, a, b0, b1);
    }
  }

  // Multiplies one unit into `sum`.
  static LADDER_DEVICE void compute(const Position& at, int unit, const Load& load, u32 lane_table,
                                    const u32 (&lane_x)[kTokenTiles], Dequantize (&dequantize)[kRowTiles],
                                    Sum (&sum)[kRowTiles][kTokenTiles][4]) {
    Part part[kRowTiles][kTokenTiles][4] = {};
#pragma unroll
    for (int j = 0; j < kUnit; j++) {
      if (kBlocks % kUnit != 0 && (at.first_unit + unit) * kUnit + j >= kBlocks) break;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        u32 b[kTokenTiles][4];  // B fragments of two steps
#pragma unroll
        for (int t = 0; t < kTokenTiles; t++) load_matrix_x4(b[t], lane_x[t] + (unit * kUnit + j) * 128 + half * 64);
#pragma unroll
        for (int f = 0; f < 2; f++) {
          const int step = 4 * j + 2 * half + f;
          const int segment = step / kSegmentSteps;
#pragma unroll
          for (int r = 0; r < kRowTiles; r++) {
            if (kLoadScales && step % kSegmentSteps == 0) {
              dequantize[r].set(load.scales[r][segment], load.zeros[r][segment]);
            }
            u32 a[4];
            if constexpr (kPairTable) {
              decode_shared_table<Weight>(load.words[r][j], 2 * half + f, lane_table, a);
            } else {
              dequantize[r].decode(load.words[r][j], 2 * half + f, a);
            }
#pragma unroll
            for (int t = 0; t < kTokenTiles; t++) {
              if constexpr (kPartSegments) {
                multiply(part[r][t], a, b[t][2 * f], b[t][2 * f + 1]);
              } else {
                multiply(sum[r][t], a, b[t][2 * f], b[t][2 * f + 1]);
              }
            }
          }
          if (kPartSegments && (step + 1) % kSegmentSteps == 0) add_scaled(load, segment, part, sum);
        }
      }
    }
    // A unit cut short at the end of K leaves its last segment open.
    if (kPartSegments && kBlocks % kUnit != 0 && kSegmentSteps > 4) {
      const int blocks = kBlocks - (at.first_unit + unit) * kUnit;
#pragma unroll
      for (int s = 0; s < kSegments; s++) {
        const bool open = 4 * blocks > s * kSegmentSteps && 4 * blocks < (s + 1) * kSegmentSteps;
        if (open) add_scaled(load, s, part, sum);
      }
    }
  }

  // sum += part * scale of the segment; part becomes zero.
  static LADDER_DEVICE void add_scaled(const Load& load, int segment, Part (&part)[kRowTiles][kTokenTiles][4],
                                       Sum (&sum)[kRowTiles][kTokenTiles][4]) {
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
      float scale[2] = {1.0f, 1.0f};
      if constexpr (kScaleSegments) {
        const u32 pair = load.scales[r][segment];
        scale[0] = to_float(Scale{}, pair & 0xffffu);
        scale[1] = to_float(Scale{}, pair >> 16);
      }
#pragma unroll
      for (int t = 0; t < kTokenTiles; t++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          if (kRows == 1 && i % 2 == 1) continue;  // of an odd activation row
          sum[r][t][i] += sum_number<kSegmentColumns <= 256>(part[r][t][i]) * scale[i / 2];
          part[r][t][i] = 0;
        }
      }
    }
  }

  // A finished sum of row n and activation row `token`, scaled.
  static LADDER_DEVICE float scale_at_end(const MatmulArguments& p, int n, int token, float value) {
    if constexpr (kXBytes == 1) value *= power_of_two(Decoder::kExponent);
    if constexpr (Config::kSumScale || Config::kRowScale) value *= token_factor<Config>(p, token);
    if constexpr (kScaleAtEnd) {
      value *=
          to_float(Scale{}, load_constant_u16(static_cast<const u16*>(p.scale) + Plane::element(n / 64, 0, n % 64)));
    }
    return value;
  }

  // Column `column` of the block's tile for one activation row: scale, epilogue, store. sum(row) is the finished sum of
  // a row of the tile.
  template <class SumOfRow>
  static LADDER_DEVICE void finish(const MatmulArguments& p, int tile, int token, int column, const SumOfRow& sum) {
    const int row = kGated<Config> ? column / 8 * 16 + column % 8 : column;
    const int n = tile * kBlockRows + row;
    if (n >= Config::kN) return;
    const float up = kGated<Config> ? scale_at_end(p, n + 8, token, sum(row + 8)) : 0.0f;
    const float up_bias = kGated<Config> ? load_bias<Config>(p.bias, n + 8) : 0.0f;
    const int y_column = tile * kBlockColumns + column;
    const float value = finish_sum<Config>(p, scale_at_end(p, n, token, sum(row)), up, load_bias<Config>(p.bias, n),
                                           up_bias, token, y_column);
    store_output(typename Config::Output{}, p.y, static_cast<i64>(token) * kColumns<Config> + y_column, value);
  }

  // Split-K: block_sum(token, row) is this split's sum of a row of the tile. The last block to arrive adds them up.
  template <class BlockSum>
  static LADDER_DEVICE void reduce_splits(const MatmulArguments& p, u32 shared, int tile, int split,
                                          const BlockSum& block_sum) {
    u8* const partials = split_partials(p.workspace) + static_cast<i64>(tile) * kSplits * (kRows * kBlockRows * 4);
#pragma unroll 1
    for (int i = thread_id(); i < p.m * kBlockRows; i += kThreads) {
      store_global_f32(partials + (split * (kRows * kBlockRows) + i) * 4, block_sum(i / kBlockRows, i % kBlockRows));
    }
    if (!last_to_arrive(p.workspace, tile, kSplits, shared)) return;
#pragma unroll 1
    for (int i = thread_id(); i < p.m * kBlockColumns; i += kThreads) {
      const int token = i / kBlockColumns;
      finish(p, tile, token, i % kBlockColumns, [&](int row) {
        float value = 0;
#pragma unroll
        for (int s = 0; s < kSplits; s++) {
          value += load_global_f32(partials + (s * (kRows * kBlockRows) + token * kBlockRows + row) * 4);
        }
        return value;
      });
    }
  }

  // Adds the warps' sums and stores the outputs, or this split's share of them.
  static LADDER_DEVICE void reduce(const MatmulArguments& p, const Position& at, u32 shared, int tile, int split,
                                   const Sum (&sum)[kRowTiles][kTokenTiles][4]) {
    const u32 sums = shared + kSumsAt;
    if constexpr (Config::kSumsOverX) block_sync();  // every warp is done with x and the table
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
#pragma unroll
      for (int t = 0; t < kTokenTiles; t++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int token = 8 * t + 2 * (at.lane % 4) + i % 2;
          const int row = at.row + 16 * r + at.lane / 4 + 8 * (i / 2);
          if (token < kRows) {
            store_shared_f32(sums + ((at.warp * kRows + token) * kSumStride + row) * 4,
                             static_cast<float>(sum[r][t][i]));
          }
        }
      }
    }
    block_sync();
    const auto block_sum = [&](int token, int row) {
      float value = 0;
#pragma unroll
      for (int w = 0; w < kWarps; w++) value += load_shared_f32(sums + ((w * kRows + token) * kSumStride + row) * 4);
      return value;
    };
    if constexpr (kSplits == 1) {
#pragma unroll 1
      for (int i = thread_id(); i < p.m * kBlockColumns; i += kThreads) {
        const int token = i / kBlockColumns;
        finish(p, tile, token, i % kBlockColumns, [&](int row) { return block_sum(token, row); });
      }
    } else {
      reduce_splits(p, shared, tile, split, block_sum);
    }
  }

  static LADDER_DEVICE void run(const MatmulArguments& p) {
    launch_dependents();
    const u32 shared = dynamic_shared();
    const int tile = block_id() / kSplits;
    const int split = block_id() % kSplits;
    const int warp = thread_id() / 32;
    Position at;
    at.lane = lane_id();
    at.warp = warp % kWarps;
    at.row = warp / kWarps * kRowTiles * 16;
    const int row = tile * kBlockRows + at.row;
    at.row_block = row / 64 < kRowBlocks ? row / 64 : kRowBlocks - 1;  // row groups past the end repeat the last rows
    at.row_tile = row % 64 / 16;
    at.first_unit = split * kUnitsPerSplit;
    at.units = kUnits - at.first_unit < kUnitsPerSplit ? kUnits - at.first_unit : kUnitsPerSplit;

    Load loads[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; i++) {
      if (at.warp + i * kWarps < at.units) load(p, at, at.warp + i * kWarps, loads[i]);
    }
    Dequantize dequantize[kRowTiles];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
      if constexpr (Plane::kPerChannel) dequantize[r].set(load_scale(p, at, r, 0), load_zero(p, at, r, 0));
    }
    if constexpr (kPairTable) build_shared_table<Weight>(shared + kTableAt, thread_id(), kThreads);

    wait_for_previous();
    stage_activations(p, shared, at.first_unit * kUnit * kKBlock);
    block_sync();

    u32 lane_x[kTokenTiles];  // ldmatrix: lane t points at row t%8 of the 16-byte piece t/8
#pragma unroll
    for (int t = 0; t < kTokenTiles; t++) {
      const int token = 8 * t + at.lane % 8;
      lane_x[t] = shared + kXAt + (token < p.m ? token : p.m - 1) * kXStride + at.lane / 8 * 16;
    }
    Sum sum[kRowTiles][kTokenTiles][4] = {};
    // A count the compiler can't see through: as straight-line code, the lookups of a short slice get scheduled all at
    // once and spill.
    at.units = static_cast<int>(shuffle(at.units, 0));
    for (int first = at.warp; first < at.units; first += kWarps * kLoads) {
#pragma unroll
      for (int i = 0; i < kLoads; i++) {
        const int unit = first + i * kWarps;
        if (unit < at.units) {
          compute(at, unit, loads[i], shared + kTableAt + 4 * at.lane, lane_x, dequantize, sum);
          const int next = unit + kWarps * kLoads;
          if (next < at.units) load(p, at, next, loads[i]);
        }
      }
    }
    reduce(p, at, shared, tile, split, sum);
  }
};

template <class Config>
LADDER_DEVICE void DecodeMatmul(const MatmulArguments& arguments) {
  DecodeKernel<Config>::run(arguments);
}

}  // namespace ladder
