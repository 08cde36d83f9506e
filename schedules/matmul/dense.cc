#include "schedules/matmul/dense.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/schedule/cost_model.h"
#include "schedules/matmul/config.h"
#include "schedules/matmul/warp_group.h"

namespace ladder {
namespace {

constexpr int64_t kBlockBytes = 128;  // of a row in a stage
constexpr size_t kMostCandidates = 60;
constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;  // of a grid

// A candidate's parameters; DensePlan in dense.cuh derives the rest likewise.
struct Parameters {
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
  int64_t StageBytes() const { return (rows + tokens) * kBlockBytes; }
  // The ring, or the turned output tile in its place.
  int64_t SharedBytes(const NormalizedOperator& op) const {
    return std::max(stages * StageBytes(), tokens * (rows * Bytes(op.out()) + 16));
  }
  // Accumulators (of fp8 also those of a stage), two sets of fragments, addresses; pairs of fp16, through which fp8
  // goes where mma.sync has no products of it (sm_90).
  int Registers(const NormalizedOperator& op) const {
    const bool fp8 = Bytes(op.compute()) == 1 && op.compute() != DataType::kI8;
    return (fp8 ? 2 : 1) * 4 * row_tiles() * token_tiles() + 2 * (4 * row_tiles() + 2 * token_tiles()) + 56 +
           (fp8 ? 28 : 0);
  }
  BlockResources Resources(const NormalizedOperator& op) const {
    return {.threads = threads(), .registers = std::min(Registers(op), 255), .shared_bytes = SharedBytes(op)};
  }
};

int64_t KBlocks(const NormalizedOperator& op) { return (op.k() * Bytes(op.compute()) + kBlockBytes - 1) / kBlockBytes; }

Candidate ToCandidate(const Parameters& p) {
  return {.schedule = "dense",
          .parameters = {{"rows", p.rows},
                         {"tokens", p.tokens},
                         {"row_warps", p.row_warps},
                         {"token_warps", p.token_warps},
                         {"stages", p.stages},
                         {"splits", p.splits},
                         {"raster", p.raster}}};
}

absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target, Parameters& p) {
  absl::Status status = ReadParameter(candidate, "rows", 16, 256, p.rows);
  status.Update(ReadParameter(candidate, "tokens", 8, 256, p.tokens));
  status.Update(ReadParameter(candidate, "row_warps", 1, 8, p.row_warps));
  status.Update(ReadParameter(candidate, "token_warps", 1, 8, p.token_warps));
  status.Update(ReadParameter(candidate, "stages", 2, 8, p.stages));
  status.Update(ReadParameter(candidate, "splits", 1, 16, p.splits));
  status.Update(ReadParameter(candidate, "raster", 1, 64, p.raster));
  if (!status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
  if (p.rows % (16 * p.row_warps) != 0) return bad("each row warp needs whole tiles of 16 rows");
  if (p.tokens % (8 * p.token_warps) != 0) return bad("each token warp needs whole tiles of 8 tokens");
  if (p.threads() > 512) return bad("more than 512 threads");
  if (KBlocks(op) < p.splits) return bad("fewer k blocks than splits");
  if (p.splits > 1 && p.TilesOfN(op) > kCounterBytes / 4) return bad("N needs more counters than there are");
  if (p.Registers(op) > 255) return bad("needs more than 255 registers");
  if (BlocksPerMultiprocessor(target.limits, p.Resources(op)) < 1) return bad("does not fit a multiprocessor");
  return absl::OkStatus();
}

class DenseSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "dense"; }
  int revision() const override { return 1; }

  absl::Status Supports(const NormalizedOperator& op, int64_t /*m*/, const Target& target) const override {
    if (target.vendor != Vendor::kNvidia || target.capability() < 80) {
      return absl::UnimplementedError(absl::StrCat("asynchronous copies need sm_80 or later, not ", target.arch));
    }
    if (absl::Status status = SupportsDenseWeight(op, target); !status.ok()) return status;
    return absl::OkStatus();
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    std::vector<Candidate> candidates;
    for (const int tokens : {8, 16, 32, 64, 128, 256}) {
      if (tokens > 8 && tokens / 2 >= m) break;
      // {rows, row warps, token warps}
      std::vector<std::array<int, 3>> shapes;
      if (tokens <= 16) shapes = {{16, 1, 1}, {32, 2, 1}, {64, 4, 1}, {128, 8, 1}, {64, 2, 1}, {128, 4, 1}};
      if (tokens == 32) shapes = {{64, 4, 1}, {128, 4, 1}, {128, 8, 1}, {64, 2, 2}, {32, 2, 2}};
      if (tokens == 64) shapes = {{64, 2, 2}, {64, 4, 1}, {128, 4, 1}, {128, 4, 2}, {128, 2, 2}, {256, 4, 2}};
      if (tokens == 128) shapes = {{64, 2, 2}, {128, 2, 2}, {128, 2, 4}, {128, 4, 2}, {256, 4, 2}};
      if (tokens == 256) shapes = {{64, 1, 4}, {128, 2, 4}};
      for (const auto& [rows, row_warps, token_warps] : shapes) {
        if (rows >= 2 * op.n() && rows > 16) continue;
        for (const int stages : {2, 3, 4, 6, 8}) {
          Parameters p{
              .rows = rows, .tokens = tokens, .row_warps = row_warps, .token_warps = token_warps, .stages = stages};
          const int blocks = BlocksPerMultiprocessor(target.limits, p.Resources(op));
          if (blocks < 1) break;
          const int64_t places = int64_t{target.limits.multiprocessors} * blocks;
          p.raster = RasterFor(p.TilesOfM(m), places, p.tokens, p.rows);
          for (const int splits : SplitChoices(p.TilesOfM(m) * p.TilesOfN(op), places, KBlocks(op))) {
            p.splits = splits;
            const Candidate candidate = ToCandidate(p);
            Parameters again;
            if (Read(op, candidate, target, again).ok()) candidates.push_back(candidate);
          }
        }
      }
    }
    return KeepFastest(
        *this, op, m, target, std::move(candidates),
        {.limit = kMostCandidates, .family = {"rows", "tokens", "row_warps", "token_warps"}, .per_family = 4});
  }

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    Parameters p;
    if (absl::Status status = Read(op, candidate, target, p); !status.ok()) return status;
    LoweredKernel kernel;
    LaunchSpec& launch = kernel.launch;
    launch.threads = p.threads();
    launch.shared_bytes = p.SharedBytes(op);
    launch.m_tile = p.tokens;
    launch.blocks_per_m_tile = p.TilesOfN(op) * p.splits;
    int64_t tiles_m = std::min((kMaxDimension + p.tokens - 1) / p.tokens, kMostBlocks / launch.blocks_per_m_tile);
    if (p.splits > 1) {
      tiles_m = std::min(tiles_m, kCounterBytes / 4 / p.TilesOfN(op));
      launch.workspace_bytes_per_m_tile = launch.blocks_per_m_tile * p.rows * p.tokens * 4;
    }
    launch.max_m = tiles_m * p.tokens;
    launch.dependent_launch = target.capability() >= 90;

    KernelShape text;
    text.header = "schedules/matmul/dense.cuh";
    text.function = "DenseMatmul";
    text.threads = p.threads();
    text.blocks_per_multiprocessor = BlocksPerMultiprocessor(target.limits, p.Resources(op));
    text.parameters = {
        {"kRows", p.rows},     {"kTokens", p.tokens}, {"kRowWarps", p.row_warps}, {"kTokenWarps", p.token_warps},
        {"kStages", p.stages}, {"kSplits", p.splits}, {"kRaster", p.raster}};
    kernel.source.text = KernelText(op, text);
    return kernel;
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    Parameters p;
    if (!Read(op, candidate, target, p).ok()) return 1e12;
    const DeviceLimits& limits = target.limits;
    const int blocks = BlocksPerMultiprocessor(limits, p.Resources(op));
    const int64_t items = p.TilesOfM(m) * p.TilesOfN(op) * p.splits;
    const int64_t places = int64_t{limits.multiprocessors} * blocks;
    // What all tiles multiply, padding included. mma.sync reaches about 0.62 of what the warp group instruction does.
    const double share = target.has_wgmma() ? 0.62 : 0.95;
    const double tiles_rows = static_cast<double>(p.TilesOfN(op)) * p.rows;
    const double tiles_tokens = static_cast<double>(p.TilesOfM(m)) * p.tokens;
    const double bytes = static_cast<double>(Bytes(op.compute()));
    const double tensor = TensorUs(limits, bytes * tiles_rows * tiles_tokens * static_cast<double>(op.k())) / share;
    // Fragments through shared memory: a warp reads its rows and its tokens for every step.
    const double steps = static_cast<double>(KBlocks(op)) * 4 * static_cast<double>(p.TilesOfM(m) * p.TilesOfN(op));
    const double wavefronts = steps * p.row_warps * p.token_warps * (4.0 * p.row_tiles() + 2.0 * p.token_tiles()) +
                              steps * (p.rows + p.tokens) * 32 / 128;
    const double cache = CacheUs(
        limits, (tiles_rows * static_cast<double>(p.TilesOfM(m)) + tiles_tokens * static_cast<double>(p.TilesOfN(op))) *
                    static_cast<double>(op.k()) * bytes);
    const double compute = std::max({tensor, SharedUs(limits, wavefronts), cache}) + 0.2 * SharedUs(limits, wavefronts);
    const double in_flight = static_cast<double>(p.stages - 1) * static_cast<double>(p.StageBytes()) *
                             std::min<double>(blocks, static_cast<double>(items) / limits.multiprocessors);
    const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m))) /
                          LatencyEfficiency(limits, in_flight);
    const double fill = std::max(1.0, static_cast<double>(limits.multiprocessors) / static_cast<double>(items));
    double us = std::max(compute * fill, memory * std::sqrt(fill)) *
                WaveQuantisation(static_cast<double>(items), static_cast<double>(places));
    if (p.splits > 1) {
      const double parts = tiles_rows * tiles_tokens * 4 * p.splits;
      us += 1.5 + CacheUs(limits, 2 * parts) * fill;
    }
    return limits.launch_us + 1.5 + us;
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeDenseSchedule() { return std::make_unique<DenseSchedule>(); }

}  // namespace ladder
