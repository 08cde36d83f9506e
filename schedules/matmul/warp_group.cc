#include "schedules/matmul/warp_group.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/types/data_type.h"

namespace ladder {
namespace {

// The driver keeps this much of every block's shared memory.
constexpr int64_t kReservedSharedBytes = 1024;
// setmaxnreg takes multiples of 8 up to 256; a thread can name 255, and 240 leaves ptxas room to round.
constexpr int kMostRegisters = 240;
// Work items are counted in 32 bits, and a position may overshoot by one grid.
constexpr int64_t kMostItems = (int64_t{1} << 31) - (int64_t{1} << 20);

}  // namespace

absl::Status ReadParameter(const Candidate& candidate, absl::string_view name, int64_t low, int64_t high, int& value) {
  for (const auto& [have, number] : candidate.parameters) {
    if (have != name) continue;
    if (number < low || number > high) {
      return absl::InvalidArgumentError(
          absl::StrCat(candidate.ToString(), ": ", name, " must lie in ", low, "..", high));
    }
    value = static_cast<int>(number);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": parameter ", name, " is missing"));
}

absl::Status ReadShape(const Candidate& candidate, WarpGroupShape& shape) {
  absl::Status status = ReadParameter(candidate, "tokens", 8, 256, shape.tokens);
  status.Update(ReadParameter(candidate, "groups", 1, 4, shape.groups));
  status.Update(ReadParameter(candidate, "row_tiles", 1, 2, shape.row_tiles));
  status.Update(ReadParameter(candidate, "stages", 2, 16, shape.stages));
  status.Update(ReadParameter(candidate, "splits", 1, 16, shape.splits));
  status.Update(ReadParameter(candidate, "cluster", 1, 2, shape.cluster));
  status.Update(ReadParameter(candidate, "raster", 1, 64, shape.raster));
  status.Update(ReadParameter(candidate, "blocks", 1, 2, shape.blocks));
  if (candidate.Get("depth", 1) != 1) status.Update(ReadParameter(candidate, "depth", 2, 4, shape.depth));
  if (status.ok() && shape.tokens % 8 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": tokens must be a multiple of 8"));
  }
  if (status.ok() && shape.cluster != 1 && shape.cluster != shape.splits) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": a cluster of 2 needs splits=2"));
  }
  if (status.ok() && shape.groups % shape.depth != 0) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": depth must divide groups"));
  }
  if (status.ok() && shape.depth != 1 && shape.cluster != shape.splits) {
    return absl::InvalidArgumentError(
        absl::StrCat(candidate.ToString(), ": parts of K within a block need splits=1 or a cluster of the splits"));
  }
  return status;
}

std::vector<std::pair<std::string, int64_t>> ShapeParameters(const WarpGroupShape& shape) {
  std::vector<std::pair<std::string, int64_t>> parameters = {
      {"tokens", shape.tokens}, {"groups", shape.groups},   {"row_tiles", shape.row_tiles}, {"stages", shape.stages},
      {"splits", shape.splits}, {"cluster", shape.cluster}, {"raster", shape.raster},       {"blocks", shape.blocks}};
  if (shape.depth > 1) parameters.emplace_back("depth", shape.depth);
  return parameters;
}

std::vector<std::pair<absl::string_view, int64_t>> ShapeConfig(const WarpGroupShape& shape,
                                                               const DeviceLimits& limits) {
  const RegisterBudget budget = BudgetFor(shape, limits);
  return {{"kTokens", shape.tokens}, {"kMathGroups", shape.groups},   {"kRowTiles", shape.row_tiles},
          {"kStages", shape.stages}, {"kSplits", shape.splits},       {"kCluster", shape.cluster},
          {"kRaster", shape.raster}, {"kMathRegisters", budget.math}, {"kProducerRegisters", budget.producer},
          {"kDepth", shape.depth}};
}

RegisterBudget BudgetFor(const WarpGroupShape& shape, const DeviceLimits& limits) {
  RegisterBudget budget;
  const int threads = shape.threads();
  const int even = limits.registers_per_multiprocessor / (threads * shape.blocks) / 8 * 8;
  budget.launch = std::min(even, 248);
  budget.producer = std::min(shape.producer_registers, budget.launch);
  const int math = (threads * budget.launch - 128 * budget.producer) / (128 * shape.groups) / 8 * 8;
  // With one math group and one block a thread has all it can name from the start.
  if (budget.launch < kMostRegisters) budget.math = std::min(math, kMostRegisters);
  return budget;
}

int64_t StagingBytes(const WarpGroupShape& shape, DataType out) {
  // Staging in wgmma_tile.cuh: 128 / b tokens of 64 * b + 16 bytes.
  return shape.groups * (128 / Bytes(out)) * (64 * Bytes(out) + 16);
}

int FitStages(const WarpGroupShape& shape, const DeviceLimits& limits, int64_t stage_bytes, int64_t other_bytes,
              int least, int most) {
  const int64_t share = std::min(limits.shared_bytes_per_block,
                                 limits.shared_bytes_per_multiprocessor / shape.blocks - kReservedSharedBytes);
  const int64_t stages = (share - other_bytes) / stage_bytes;
  if (stages < least) return 0;
  return static_cast<int>(std::min<int64_t>(stages, most));
}

std::vector<int> TokenTiles(int64_t m, int most) {
  std::vector<int> tiles;
  const auto add = [&](int64_t tokens) {
    const int tile = static_cast<int>((tokens + 7) / 8 * 8);
    if (tile >= 8 && tile <= most && std::find(tiles.begin(), tiles.end(), tile) == tiles.end()) tiles.push_back(tile);
  };
  // One, two or three tiles without a remainder, then sizes below m.
  for (int parts = 1; parts <= 3; ++parts) {
    if (m / parts >= 32 || parts == 1) add((m + parts - 1) / parts);
  }
  if (m > 64) add(64);
  // In steps of 16: which of them ends the last round of blocks well depends on M and N.
  for (int64_t tokens = 96; tokens <= most && tokens < m; tokens += 16) add(tokens);
  return tiles;
}

double WaveEfficiency(int64_t items, int64_t places) {
  const int64_t rounds = (items + places - 1) / places;
  return static_cast<double>(items) / static_cast<double>(rounds * places);
}

std::vector<int> SplitChoices(int64_t tiles, int64_t places, int64_t k_blocks) {
  std::vector<int> choices = {1};
  if (tiles >= 2 * places) return choices;
  std::vector<std::pair<double, int>> ranked;
  for (int splits = 2; splits <= 16 && k_blocks / splits >= 4; ++splits) {
    if (tiles * splits > 4 * places) break;
    // A split costs a round trip through the cache; a percent each keeps the small ones ahead where they fill alike.
    ranked.emplace_back(0.01 * splits - WaveEfficiency(tiles * splits, places), splits);
  }
  std::sort(ranked.begin(), ranked.end());
  for (size_t i = 0; i < ranked.size() && i < 2; ++i) choices.push_back(ranked[i].second);
  return choices;
}

int64_t PartialBytes(const WarpGroupShape& shape) { return shape.rows() * shape.tokens * 4; }

int64_t SharedPartialBytes(const WarpGroupShape& shape) {
  return shape.cluster > 1 || shape.depth > 1 ? shape.depth * PartialBytes(shape) : 0;
}

bool PairsFit(int64_t tiles, int64_t places, int64_t k_blocks) { return k_blocks >= 8 && 2 * tiles <= places / 2 * 2; }

int RasterFor(int64_t tiles_m, int64_t places, double x_bytes, double w_bytes) {
  int best = 1;
  double least = 0;
  for (int raster = 1; raster <= 64; raster *= 2) {
    const double width = std::min<double>(raster, static_cast<double>(tiles_m));
    const double bytes = width * x_bytes + static_cast<double>(places) / width * w_bytes;
    if (raster == 1 || bytes < least) {
      best = raster;
      least = bytes;
    }
    if (raster >= tiles_m) break;
  }
  return best;
}

LaunchSpec WarpGroupLaunch(const NormalizedOperator& op, const WarpGroupShape& shape, const DeviceLimits& limits,
                           int64_t shared_bytes) {
  LaunchSpec launch;
  launch.threads = shape.threads();
  launch.shared_bytes = shared_bytes;
  launch.m_tile = shape.tokens;
  launch.blocks_per_m_tile = shape.TilesOfN(op) * shape.splits;
  launch.cluster = shape.cluster;
  launch.max_blocks = int64_t{limits.multiprocessors} * shape.blocks / shape.cluster * shape.cluster;
  int64_t tiles_m = std::min((kMaxDimension + shape.tokens - 1) / shape.tokens, kMostItems / launch.blocks_per_m_tile);
  if (shape.splits > 1 && shape.cluster == 1) {
    // A counter of 4 bytes per output tile and math group.
    tiles_m = std::min(tiles_m, kCounterBytes / 4 / (shape.TilesOfN(op) * shape.groups));
    launch.workspace_bytes_per_m_tile = launch.blocks_per_m_tile * PartialBytes(shape);
  }
  launch.max_m = tiles_m * shape.tokens;
  launch.dependent_launch = true;
  // In 16-bit columns; elements of 8 bits travel in pairs.
  for (const TensorOperand operand : {TensorOperand::kX, TensorOperand::kXTail}) {
    launch.tensor_maps.push_back(
        {.operand = operand, .box_columns = 64, .box_rows = shape.tokens, .swizzle_bytes = 128});
  }
  return launch;
}

}  // namespace ladder
