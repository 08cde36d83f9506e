// What dense and pipelined_bytes share on the host: a block tile that warps divide among themselves by mma.sync, fed by
// a ring of stages of 128 bytes of each row. DensePlan in dense.cuh and PipelinedBytesPlan derive the rest likewise.
#ifndef LADDER_SCHEDULES_MATMUL_WARP_TILE_H_
#define LADDER_SCHEDULES_MATMUL_WARP_TILE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/cost_model.h"
#include "core/schedule/launch_spec.h"
#include "core/schedule/schedule.h"
#include "core/target/target.h"
#include "schedules/matmul/config.h"

namespace ladder {

inline constexpr int64_t kStageRowBytes = 128;  // of a row in a stage

struct WarpTile {
  int rows = 0;    // of W in a block tile
  int tokens = 0;  // of X
  int row_warps = 0;
  int token_warps = 0;
  int stages = 0;
  int splits = 1;
  int raster = 8;

  int threads() const { return 32 * row_warps * token_warps; }
  int row_tiles() const { return rows / row_warps / 16; }
  int token_tiles() const { return tokens / token_warps / 8; }
  int64_t TilesOfN(const NormalizedOperator& op) const { return (op.n() + rows - 1) / rows; }
  int64_t TilesOfM(int64_t m) const { return (m + tokens - 1) / tokens; }
  // Shared memory of a block: the ring, or the turned output tile in its place.
  int64_t SharedBytes(const NormalizedOperator& op, int64_t stage_bytes) const;
  // What all tiles of W or of X multiply, padding included.
  double PaddedN(const NormalizedOperator& op) const { return static_cast<double>(TilesOfN(op) * rows); }
  double PaddedM(int64_t m) const { return static_cast<double>(TilesOfM(m) * tokens); }
};

// Stages that a product without splits takes.
int64_t StagesOfK(const NormalizedOperator& op);

Candidate ToCandidate(absl::string_view schedule, const WarpTile& tile);
// InvalidArgument that names the candidate and why: a parameter missing or out of range (rows: a multiple of
// `row_step`), warps without whole tiles, more threads, splits or counters than there are.
absl::Status ReadWarpTile(const NormalizedOperator& op, const Candidate& candidate, int row_step, WarpTile& tile);
// The launch, and the source: `header` and `function` as in KernelShape.
LoweredKernel LowerWarpTile(const NormalizedOperator& op, const WarpTile& tile, const BlockResources& resources,
                            const Target& target, absl::string_view header, absl::string_view function);
// The whole launch in microseconds, where all the blocks' arithmetic takes `compute`: beside it the memory that the
// ring keeps in flight, waves of blocks that leave multiprocessors idle, and the sum over splits.
double WarpTileUs(const NormalizedOperator& op, int64_t m, const WarpTile& tile, int blocks_per_multiprocessor,
                  int64_t stage_bytes, double compute, const DeviceLimits& limits);

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WARP_TILE_H_
