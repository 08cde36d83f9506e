// What the warp group schedules share on the host: the parameters of wgmma_tile.cuh, their register budget, and the
// choices every one of them enumerates alike.
#ifndef LADDER_SCHEDULES_MATMUL_WARP_GROUP_H_
#define LADDER_SCHEDULES_MATMUL_WARP_GROUP_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/launch_spec.h"
#include "core/target/target.h"

namespace ladder {

// A persistent, warp-specialised block: `groups` math warp groups and one that brings data.
struct WarpGroupShape {
  int tokens = 0;     // rows of X in a block tile: N of the instruction
  int groups = 0;     // math warp groups
  int depth = 1;      // of them share their rows of W and have each a part of the block's K
  int row_tiles = 0;  // of 64 rows of W, per math group
  int stages = 0;
  int splits = 1;  // of K
  int cluster =
      1;  // blocks of a cluster: 1, or `splits`, whose sums then meet in shared memory and not in the workspace
  int raster = 8;               // token tiles per band
  int blocks = 1;               // per multiprocessor
  int producer_registers = 40;  // what the group that brings data keeps

  int threads() const { return 128 * (groups + 1); }
  int64_t rows() const { return int64_t{64} * (groups / depth) * row_tiles; }
  int64_t TilesOfN(const NormalizedOperator& op) const { return (op.n() + rows() - 1) / rows(); }
  int64_t TilesOfM(int64_t m) const { return (m + tokens - 1) / tokens; }
};

// The shape's own parameters of a candidate ("tokens", "groups", ...; "depth" where it is not 1, so that candidates
// recorded before there was one keep their name). InvalidArgument if one is missing or out of range.
absl::Status ReadShape(const Candidate& candidate, WarpGroupShape& shape);
// The value of an integer parameter. InvalidArgument if it is missing or outside [low, high].
absl::Status ReadParameter(const Candidate& candidate, absl::string_view name, int64_t low, int64_t high, int& value);
// The parameters as Candidate has them, in a fixed order.
std::vector<std::pair<std::string, int64_t>> ShapeParameters(const WarpGroupShape& shape);
// As members of Config, with the register budget.
std::vector<std::pair<absl::string_view, int64_t>> ShapeConfig(const WarpGroupShape& shape, const DeviceLimits& limits);

// Registers per thread. Launching gives every thread the same; the producer group then gives back what it does not need
// and the math groups take it. Asking for more than the launch allotted would wait for ever, so `math` is what fits; 0
// where there is nothing to exchange.
struct RegisterBudget {
  int launch = 0;
  int producer = 0;
  int math = 0;
  int usable() const { return math > 0 ? math : launch; }
};
RegisterBudget BudgetFor(const WarpGroupShape& shape, const DeviceLimits& limits);

// Registers a math thread needs beside accumulators and operand A: addresses, ring, scales.
inline constexpr int kOtherRegisters = 40;

// Bytes of shared memory in which the output of all math groups is turned.
int64_t StagingBytes(const WarpGroupShape& shape, DataType out);
// Most stages, up to `most`, whose total fits the shape's share of shared memory; 0 if fewer than `least` do.
int FitStages(const WarpGroupShape& shape, const DeviceLimits& limits, int64_t stage_bytes, int64_t other_bytes,
              int least, int most);

// Token tiles worth trying for m rows: multiples of 8, at most `most`.
std::vector<int> TokenTiles(int64_t m, int most);
// Splits of K worth trying: 1 unless tiles fill the places badly, then the two that fill them best, each split keeping
// at least four k blocks.
std::vector<int> SplitChoices(int64_t tiles, int64_t places, int64_t k_blocks);
// Token tiles per band that let `places` blocks read the fewest bytes: a column of X costs x_bytes per token tile, one
// of W w_bytes per row tile.
int RasterFor(int64_t tiles_m, int64_t places, double x_bytes, double w_bytes);

// Whether two splits of K may as well be a pair, a cluster of two: they fill one round of places and each keeps at
// least four k blocks. Larger clusters fit only in groups of multiprocessors (GPC) and leave some idle: of an H100's
// 132, clusters of 4 and of 8 get 120, and were the fastest kernel of none of 60 operators.
bool PairsFit(int64_t tiles, int64_t places, int64_t k_blocks);
// Bytes of the partial sums of one part of K.
int64_t PartialBytes(const WarpGroupShape& shape);
// Bytes of them that a block's ring of stages must hold: 0 where none meet in shared memory.
int64_t SharedPartialBytes(const WarpGroupShape& shape);

// Share of the places' time spent on whole items: items over (rounds * places).
double WaveEfficiency(int64_t items, int64_t places);

// LaunchSpec of the shape, with the tensor maps of X, whose boxes are 128 bytes of a row.
LaunchSpec WarpGroupLaunch(const NormalizedOperator& op, const WarpGroupShape& shape, const DeviceLimits& limits,
                           int64_t shared_bytes);

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WARP_GROUP_H_
