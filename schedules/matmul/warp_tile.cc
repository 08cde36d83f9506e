#include "schedules/matmul/warp_tile.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "schedules/matmul/warp_group.h"

namespace ladder {
namespace {

constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;  // of a grid

}  // namespace

int64_t WarpTile::SharedBytes(const NormalizedOperator& op, int64_t stage_bytes) const {
  return std::max(stages * stage_bytes, tokens * (rows * Bytes(op.out()) + 16));
}

int64_t StagesOfK(const NormalizedOperator& op) {
  return (op.k() * Bytes(op.compute()) + kStageRowBytes - 1) / kStageRowBytes;
}

Candidate ToCandidate(absl::string_view schedule, const WarpTile& tile) {
  return {.schedule = std::string(schedule),
          .parameters = {{"rows", tile.rows},
                         {"tokens", tile.tokens},
                         {"row_warps", tile.row_warps},
                         {"token_warps", tile.token_warps},
                         {"stages", tile.stages},
                         {"splits", tile.splits},
                         {"raster", tile.raster}}};
}

absl::Status ReadWarpTile(const NormalizedOperator& op, const Candidate& candidate, int row_step, WarpTile& tile) {
  absl::Status status = ReadParameter(candidate, "rows", row_step, 256, tile.rows);
  status.Update(ReadParameter(candidate, "tokens", 8, 256, tile.tokens));
  status.Update(ReadParameter(candidate, "row_warps", 1, 8, tile.row_warps));
  status.Update(ReadParameter(candidate, "token_warps", 1, 8, tile.token_warps));
  status.Update(ReadParameter(candidate, "stages", 2, 8, tile.stages));
  status.Update(ReadParameter(candidate, "splits", 1, 16, tile.splits));
  status.Update(ReadParameter(candidate, "raster", 1, 64, tile.raster));
  if (!status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
  if (tile.rows % row_step != 0) return bad(absl::StrCat("rows come in steps of ", row_step));
  if (tile.rows % (16 * tile.row_warps) != 0) return bad("each row warp needs whole tiles of 16 rows");
  if (tile.tokens % (8 * tile.token_warps) != 0) return bad("each token warp needs whole tiles of 8 tokens");
  if (tile.threads() > 512) return bad("more than 512 threads");
  if (StagesOfK(op) < tile.splits) return bad("fewer k blocks than splits");
  if (tile.splits > 1 && tile.TilesOfN(op) > kCounterBytes / 4) return bad("N needs more counters than there are");
  return absl::OkStatus();
}

LoweredKernel LowerWarpTile(const NormalizedOperator& op, const WarpTile& tile, const BlockResources& resources,
                            const Target& target, absl::string_view header, absl::string_view function) {
  LoweredKernel kernel;
  LaunchSpec& launch = kernel.launch;
  launch.threads = tile.threads();
  launch.shared_bytes = resources.shared_bytes;
  launch.m_tile = tile.tokens;
  launch.blocks_per_m_tile = tile.TilesOfN(op) * tile.splits;
  int64_t tiles_m = std::min((kMaxDimension + tile.tokens - 1) / tile.tokens, kMostBlocks / launch.blocks_per_m_tile);
  if (tile.splits > 1) {
    tiles_m = std::min(tiles_m, kCounterBytes / 4 / tile.TilesOfN(op));
    launch.workspace_bytes_per_m_tile = launch.blocks_per_m_tile * tile.rows * tile.tokens * 4;
  }
  launch.max_m = tiles_m * tile.tokens;
  launch.dependent_launch = target.capability() >= 90;

  KernelShape text;
  text.header = header;
  text.function = function;
  text.threads = tile.threads();
  text.blocks_per_multiprocessor = BlocksPerMultiprocessor(target.limits, resources);
  text.parameters = {{"kRows", tile.rows},          {"kTokens", tile.tokens},
                     {"kRowWarps", tile.row_warps}, {"kTokenWarps", tile.token_warps},
                     {"kStages", tile.stages},      {"kSplits", tile.splits},
                     {"kRaster", tile.raster}};
  kernel.source.text = KernelText(op, text);
  return kernel;
}

double WarpTileUs(const NormalizedOperator& op, int64_t m, const WarpTile& tile, int blocks_per_multiprocessor,
                  int64_t stage_bytes, double compute, const DeviceLimits& limits) {
  const double items = static_cast<double>(tile.TilesOfM(m) * tile.TilesOfN(op) * tile.splits);
  const double places = static_cast<double>(int64_t{limits.multiprocessors} * blocks_per_multiprocessor);
  const double in_flight = static_cast<double>(tile.stages - 1) * static_cast<double>(stage_bytes) *
                           std::min<double>(blocks_per_multiprocessor, items / limits.multiprocessors);
  const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m))) /
                        LatencyEfficiency(limits, in_flight);
  const double fill = std::max(1.0, static_cast<double>(limits.multiprocessors) / items);
  double us = std::max(compute * fill, memory * std::sqrt(fill)) * WaveQuantisation(items, places);
  if (tile.splits > 1) {
    const double parts = tile.PaddedN(op) * tile.PaddedM(m) * 4 * tile.splits;
    us += 1.5 + CacheUs(limits, 2 * parts) * fill;
  }
  return limits.launch_us + 1.5 + us;
}

}  // namespace ladder
