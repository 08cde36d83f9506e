#include "schedules/matmul/pipelined_bytes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
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

// A candidate's parameters; PipelinedBytesPlan in pipelined_bytes.cuh and DensePlan in dense.cuh derive the rest
// likewise.
struct Parameters {
  int rows = 0;    // of W in a block tile, in packed blocks of 64
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
  int64_t StageBytes(const NormalizedOperator& op) const {
    return rows / 64 * 1024 * op.weight().element.bits + tokens * kBlockBytes;
  }
  // The ring, or the turned output tile in its place.
  int64_t SharedBytes(const NormalizedOperator& op) const {
    return std::max(stages * StageBytes(op), tokens * (rows * Bytes(op.out()) + 16));
  }
  // Accumulators and those of a segment, two sets of fragments, a stage's words and two stages' factors, addresses.
  int Registers(const NormalizedOperator& op) const {
    const int segments =
        op.weight().group == op.k() ? 1 : static_cast<int>(4 / (std::gcd(op.weight().group, 128) / 32));
    const int factors = 2 * segments * (op.weight().zeros == ZeroMode::kNone ? 1 : 2);
    return 8 * row_tiles() * token_tiles() + 2 * (4 * row_tiles() + 2 * token_tiles()) +
           row_tiles() * (2 * op.weight().element.bits + factors) + 64;
  }
  BlockResources Resources(const NormalizedOperator& op) const {
    return {.threads = threads(), .registers = std::min(Registers(op), 255), .shared_bytes = SharedBytes(op)};
  }
};

int64_t KBlocks(const NormalizedOperator& op) { return (op.k() + kBlockBytes - 1) / kBlockBytes; }

Candidate ToCandidate(const Parameters& p) {
  return {.schedule = "pipelined_bytes",
          .parameters = {{"rows", p.rows},
                         {"tokens", p.tokens},
                         {"row_warps", p.row_warps},
                         {"token_warps", p.token_warps},
                         {"stages", p.stages},
                         {"splits", p.splits},
                         {"raster", p.raster}}};
}

absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target, Parameters& p) {
  absl::Status status = ReadParameter(candidate, "rows", 64, 256, p.rows);
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
  if (p.rows % 64 != 0) return bad("rows come in packed blocks of 64");
  if (p.rows % (16 * p.row_warps) != 0 || 64 % (p.rows / p.row_warps) != 0) {
    return bad("each row warp needs whole tiles of 16 rows of one packed block");
  }
  if (p.tokens % (8 * p.token_warps) != 0) return bad("each token warp needs whole tiles of 8 tokens");
  if (p.threads() > 512) return bad("more than 512 threads");
  if (KBlocks(op) < p.splits) return bad("fewer k blocks than splits");
  if (p.splits > 1 && p.TilesOfN(op) > kCounterBytes / 4) return bad("N needs more counters than there are");
  if (p.Registers(op) > 255) return bad("needs more than 255 registers");
  if (BlocksPerMultiprocessor(target.limits, p.Resources(op)) < 1) return bad("does not fit a multiprocessor");
  return absl::OkStatus();
}

class PipelinedBytesSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "pipelined_bytes"; }
  int revision() const override { return 1; }

  absl::Status Supports(const NormalizedOperator& op, int64_t /*m*/, const Target& target) const override {
    if (target.vendor != Vendor::kNvidia || target.capability() < 80) {
      return absl::UnimplementedError(absl::StrCat("asynchronous copies need sm_80 or later, not ", target.arch));
    }
    if (Bytes(op.activation()) != 1) return absl::UnimplementedError("activations have 16 bits");
    if (absl::Status status = SupportsByteWeight(op, target); !status.ok()) return status;
    if (op.act() == ActivationFunction::kSwiglu) {
      return absl::UnimplementedError(
          "act: swiglu with 8-bit activations and more than 16 rows needs sm_90a; nearest: silu");
    }
    return absl::OkStatus();
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    std::vector<Candidate> candidates;
    for (const int tokens : {8, 16, 32, 64, 128}) {
      if (tokens > 8 && tokens / 2 >= m) break;
      // {rows, row warps, token warps}
      std::vector<std::array<int, 3>> shapes;
      if (tokens <= 16) shapes = {{64, 4, 1}, {128, 8, 1}, {64, 2, 1}, {128, 4, 1}};
      if (tokens == 32) shapes = {{64, 4, 1}, {128, 4, 1}, {128, 8, 1}, {64, 2, 2}};
      if (tokens == 64) shapes = {{64, 2, 2}, {64, 4, 1}, {128, 4, 1}, {128, 4, 2}, {128, 8, 1}};
      if (tokens == 128) shapes = {{64, 2, 4}, {128, 4, 2}, {128, 8, 1}, {128, 4, 4}};
      for (const auto& [rows, row_warps, token_warps] : shapes) {
        if (rows >= 2 * op.n() && rows > 64) continue;
        for (const int stages : {3, 4, 6}) {
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
    text.header = "schedules/matmul/pipelined_bytes.cuh";
    text.function = "PipelinedBytesMatmul";
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
    // What all tiles multiply, padding included. On sm_90 mma.sync reaches a quarter of what the warp group instruction
    // does, and of fp8, which it multiplies by way of fp16, a tenth (8192 x 8192 at 1,024 rows on an H100: 396 and 923
    // us).
    const bool fp8 = op.activation() != DataType::kI8;
    const double share = !target.has_wgmma() ? 0.95 : fp8 ? 0.11 : 0.25;
    const double tiles_rows = static_cast<double>(p.TilesOfN(op)) * p.rows;
    const double tiles_tokens = static_cast<double>(p.TilesOfM(m)) * p.tokens;
    const double columns = static_cast<double>(op.k());
    const double tensor = TensorUs(limits, tiles_rows * tiles_tokens * columns) / share;
    // Fragments of X and the packed words through shared memory, by every warp that has the rows or the tokens.
    const double steps = static_cast<double>(KBlocks(op)) * 4 * static_cast<double>(p.TilesOfM(m) * p.TilesOfN(op));
    const double bits = op.weight().element.bits;
    const double warps = p.row_warps * p.token_warps;
    const double wavefronts = steps * warps * (bits / 2 * p.row_tiles() + 2.0 * p.token_tiles()) +
                              steps * (p.rows * bits / 8 + p.tokens) * 32 / 128;
    // Every warp that shares rows decodes them; sums of a segment take three operations each.
    const double segments =
        op.weight().group == op.k() ? 0 : 128.0 / static_cast<double>(std::gcd(op.weight().group, 128));
    const double instructions = steps * warps *
                                (p.row_tiles() * (FragmentDecodeCost(op, false, false, target).instructions +
                                                  p.token_tiles() * (1 + 3 * segments)) +
                                 2.0 * p.token_tiles());
    const double cache = CacheUs(limits, (tiles_rows * static_cast<double>(p.TilesOfM(m)) * bits / 8 +
                                          tiles_tokens * static_cast<double>(p.TilesOfN(op))) *
                                             columns);
    const double compute = std::max({tensor, SharedUs(limits, wavefronts), IssueUs(limits, instructions), cache}) +
                           0.2 * SharedUs(limits, wavefronts);
    const double in_flight = static_cast<double>(p.stages - 1) * static_cast<double>(p.StageBytes(op)) *
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

std::unique_ptr<const Schedule> MakePipelinedBytesSchedule() { return std::make_unique<PipelinedBytesSchedule>(); }

}  // namespace ladder
