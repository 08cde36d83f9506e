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
#include "schedules/matmul/warp_tile.h"

namespace ladder {
namespace {

constexpr size_t kMostCandidates = 60;

// Rows in packed blocks of 64.
struct Parameters : WarpTile {
  int64_t StageBytes(const NormalizedOperator& op) const {
    return rows / 64 * 1024 * op.weight().element.bits + tokens * kStageRowBytes;
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
    return {.threads = threads(),
            .registers = std::min(Registers(op), 255),
            .shared_bytes = SharedBytes(op, StageBytes(op))};
  }
};

absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target, Parameters& p) {
  if (absl::Status status = ReadWarpTile(op, candidate, 64, p); !status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
  if (64 % (p.rows / p.row_warps) != 0) return bad("a row warp's rows are of one packed block");
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
    if (Bytes(op.compute()) != 1) return absl::UnimplementedError("products have 16 bits");
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
          Parameters p{{rows, tokens, row_warps, token_warps, stages}};
          const int blocks = BlocksPerMultiprocessor(target.limits, p.Resources(op));
          if (blocks < 1) break;
          const int64_t places = int64_t{target.limits.multiprocessors} * blocks;
          p.raster = RasterFor(p.TilesOfM(m), places, p.tokens, p.rows);
          for (const int splits : SplitChoices(p.TilesOfM(m) * p.TilesOfN(op), places, StagesOfK(op))) {
            p.splits = splits;
            const Candidate candidate = ToCandidate(name(), p);
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
    return LowerWarpTile(op, p, p.Resources(op), target, "schedules/matmul/pipelined_bytes.cuh",
                         "PipelinedBytesMatmul");
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    Parameters p;
    if (!Read(op, candidate, target, p).ok()) return 1e12;
    const DeviceLimits& limits = target.limits;
    const int blocks = BlocksPerMultiprocessor(limits, p.Resources(op));
    // What all tiles multiply, padding included. On sm_90 mma.sync reaches a quarter of what the warp group instruction
    // does, and of fp8, which it multiplies by way of fp16, a tenth (8192 x 8192 at 1,024 rows on an H100: 396 and 923
    // us).
    const bool fp8 = op.activation() != DataType::kI8;
    const double share = !target.has_wgmma() ? 0.95 : fp8 ? 0.11 : 0.25;
    const double tiles_rows = p.PaddedN(op);
    const double tiles_tokens = p.PaddedM(m);
    const double columns = static_cast<double>(op.k());
    const double tensor = TensorUs(limits, tiles_rows * tiles_tokens * columns) / share;
    // Fragments of X and the packed words through shared memory, by every warp that has the rows or the tokens.
    const double steps = static_cast<double>(StagesOfK(op)) * 4 * static_cast<double>(p.TilesOfM(m) * p.TilesOfN(op));
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
    return WarpTileUs(op, m, p, blocks, p.StageBytes(op), compute, limits);
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakePipelinedBytesSchedule() { return std::make_unique<PipelinedBytesSchedule>(); }

}  // namespace ladder
