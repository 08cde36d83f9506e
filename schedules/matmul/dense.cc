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
#include "schedules/matmul/warp_tile.h"

namespace ladder {
namespace {

constexpr size_t kMostCandidates = 60;

struct Parameters : WarpTile {
  int64_t StageBytes() const { return (rows + tokens) * kStageRowBytes; }
  // Accumulators (of fp8 also those of a stage), two sets of fragments, addresses; pairs of fp16, through which fp8
  // goes where mma.sync has no products of it (sm_90).
  int Registers(const NormalizedOperator& op) const {
    const bool fp8 = Bytes(op.compute()) == 1 && op.compute() != DataType::kI8;
    return (fp8 ? 2 : 1) * 4 * row_tiles() * token_tiles() + 2 * (4 * row_tiles() + 2 * token_tiles()) + 56 +
           (fp8 ? 28 : 0);
  }
  BlockResources Resources(const NormalizedOperator& op) const {
    return {
        .threads = threads(), .registers = std::min(Registers(op), 255), .shared_bytes = SharedBytes(op, StageBytes())};
  }
};

absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target, Parameters& p) {
  if (absl::Status status = ReadWarpTile(op, candidate, 16, p); !status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
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
    return LowerWarpTile(op, p, p.Resources(op), target, "schedules/matmul/dense.cuh", "DenseMatmul");
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    Parameters p;
    if (!Read(op, candidate, target, p).ok()) return 1e12;
    const DeviceLimits& limits = target.limits;
    const int blocks = BlocksPerMultiprocessor(limits, p.Resources(op));
    // What all tiles multiply, padding included. mma.sync reaches about 0.62 of what the warp group instruction does.
    const double share = target.has_wgmma() ? 0.62 : 0.95;
    const double tiles_rows = p.PaddedN(op);
    const double tiles_tokens = p.PaddedM(m);
    const double bytes = static_cast<double>(Bytes(op.compute()));
    const double tensor = TensorUs(limits, bytes * tiles_rows * tiles_tokens * static_cast<double>(op.k())) / share;
    // Fragments through shared memory: a warp reads its rows and its tokens for every step.
    const double steps = static_cast<double>(StagesOfK(op)) * 4 * static_cast<double>(p.TilesOfM(m) * p.TilesOfN(op));
    const double wavefronts = steps * p.row_warps * p.token_warps * (4.0 * p.row_tiles() + 2.0 * p.token_tiles()) +
                              steps * (p.rows + p.tokens) * 32 / 128;
    const double cache = CacheUs(
        limits, (tiles_rows * static_cast<double>(p.TilesOfM(m)) + tiles_tokens * static_cast<double>(p.TilesOfN(op))) *
                    static_cast<double>(op.k()) * bytes);
    const double compute = std::max({tensor, SharedUs(limits, wavefronts), cache}) + 0.2 * SharedUs(limits, wavefronts);
    return WarpTileUs(op, m, p, blocks, p.StageBytes(), compute, limits);
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeDenseSchedule() { return std::make_unique<DenseSchedule>(); }

}  // namespace ladder
