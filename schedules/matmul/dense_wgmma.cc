#include "schedules/matmul/dense_wgmma.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/layout/packed_layout.h"
#include "core/schedule/cost_model.h"
#include "schedules/matmul/config.h"
#include "schedules/matmul/warp_group.h"
#include "schedules/matmul/wgmma_instruction.h"

namespace ladder {
namespace {

constexpr int kBlock = 64;  // 16-bit values of a row in a stage: columns, or pairs of columns of 8 bits
constexpr size_t kMostCandidates = 60;

int64_t RowBytes(const NormalizedOperator& op) { return op.k() * Bytes(op.compute()); }
int64_t KBlocks(const NormalizedOperator& op) { return (RowBytes(op) + 2 * kBlock - 1) / (2 * kBlock); }

bool IsFp8(const NormalizedOperator& op) { return Bytes(op.compute()) == 1 && op.compute() != DataType::kI8; }

// Both operands and two barriers; DenseWgmmaPlan in dense_wgmma.cuh adds up the same.
int64_t StageBytes(const WarpGroupShape& shape) { return (shape.tokens + shape.rows()) * kBlock * 2 + 16; }
// The base is aligned to 1,024 bytes by hand.
int64_t OtherBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  return StagingBytes(shape, op.out()) + 1024;
}

bool Fits(const NormalizedOperator& op, const WarpGroupShape& shape, const DeviceLimits& limits) {
  const RegisterBudget budget = BudgetFor(shape, limits);
  const int sets = IsFp8(op) ? 2 : 1;  // of accumulators: also those of a stage
  // The assembler wants one instruction's operands within the registers of the launch.
  return sets * shape.row_tiles * shape.tokens / 2 + kOtherRegisters <= budget.usable() &&
         shape.tokens / 2 + 32 <= budget.launch;
}

absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target,
                  WarpGroupShape& shape) {
  if (absl::Status status = ReadShape(candidate, shape); !status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
  if (shape.depth != 1) return bad("groups share no rows here");
  if (shape.rows() > 256) return bad("one TMA box holds at most 256 rows");
  if (KBlocks(op) < shape.splits) return bad("fewer k blocks than splits");
  if (!WgmmaTakes(op.compute(), shape.tokens)) return bad("the instruction has no such size");
  if (!Fits(op, shape, target.limits)) return bad("needs more registers than the launch allots");
  if (FitStages(shape, target.limits, StageBytes(shape), OtherBytes(op, shape), shape.stages, shape.stages) == 0) {
    return bad("needs more shared memory than a block has");
  }
  if (shape.cluster > 1 && PartialBytes(shape) > shape.stages * StageBytes(shape)) {
    return bad("the ring does not hold the partial sums");
  }
  if (shape.splits > 1 && shape.cluster == 1 && kCounterBytes / 4 < shape.TilesOfN(op) * shape.groups) {
    return bad("N needs more counters than there are");
  }
  return absl::OkStatus();
}

class DenseWgmmaSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "dense_wgmma"; }
  int revision() const override { return 2; }

  absl::Status Supports(const NormalizedOperator& op, int64_t /*m*/, const Target& target) const override {
    if (!target.has_wgmma()) {
      return absl::UnimplementedError(absl::StrCat("the warp group instruction needs sm_90a, not ", target.arch));
    }
    if (absl::Status status = SupportsDenseWeight(op, target); !status.ok()) return status;
    if (RowBytes(op) % 16 != 0) {
      return absl::UnimplementedError(
          absl::StrCat("TMA needs rows that are multiples of 16 bytes: K % ", 16 / Bytes(op.compute()), " == 0"));
    }
    return absl::OkStatus();
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    std::vector<Candidate> candidates;
    std::set<int> tiles_of_tokens;
    for (const int tokens : TokenTiles(m, 256)) {
      tiles_of_tokens.insert(WgmmaTakes(op.compute(), tokens) ? tokens : (tokens + 15) / 16 * 16);
    }
    for (const int tokens : tiles_of_tokens) {
      for (const auto& [groups, row_tiles, blocks] : std::vector<std::array<int, 3>>{
               {2, 1, 1}, {2, 2, 1}, {3, 1, 1}, {4, 1, 1}, {1, 1, 1}, {1, 2, 1}, {1, 1, 2}, {2, 1, 2}}) {
        WarpGroupShape shape{.tokens = tokens, .groups = groups, .row_tiles = row_tiles, .blocks = blocks};
        if (shape.rows() >= op.n() + 64 * row_tiles) continue;  // whole groups without rows
        const int64_t places = int64_t{target.limits.multiprocessors} * blocks;
        const int64_t tiles = shape.TilesOfM(m) * shape.TilesOfN(op);
        const int most = FitStages(shape, target.limits, StageBytes(shape), OtherBytes(op, shape), 3, 8);
        if (most == 0) continue;
        const int64_t tiles_m = shape.TilesOfM(m);
        shape.stages = most;
        shape.raster = RasterFor(tiles_m, places, tokens, static_cast<double>(shape.rows()));
        std::vector<std::pair<int, int>> choices;  // splits, cluster
        for (const int splits : SplitChoices(tiles, places, KBlocks(op))) choices.emplace_back(splits, 1);
        if (PairsFit(tiles, places, KBlocks(op))) choices.emplace_back(2, 2);
        for (const auto& [splits, cluster] : choices) {
          shape.splits = splits;
          shape.cluster = cluster;
          Candidate candidate{.schedule = std::string(name()), .parameters = ShapeParameters(shape)};
          WarpGroupShape again;
          if (Read(op, candidate, target, again).ok()) candidates.push_back(std::move(candidate));
        }
      }
    }
    return KeepFastest(*this, op, m, target, std::move(candidates),
                       {.limit = kMostCandidates, .family = {"tokens", "groups", "row_tiles"}, .per_family = 3});
  }

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    WarpGroupShape shape;
    if (absl::Status status = Read(op, candidate, target, shape); !status.ok()) return status;
    LoweredKernel kernel;
    kernel.launch = WarpGroupLaunch(op, shape, target.limits, OtherBytes(op, shape) + shape.stages * StageBytes(shape));
    kernel.launch.tensor_maps.push_back({.operand = TensorOperand::kW,
                                         .box_columns = kBlock,
                                         .box_rows = static_cast<int>(shape.rows()),
                                         .swizzle_bytes = 128});

    KernelShape text;
    text.header = "schedules/matmul/dense_wgmma.cuh";
    text.function = "DenseWgmmaMatmul";
    text.arguments = "MatmulTmaArguments";
    text.threads = shape.threads();
    text.blocks_per_multiprocessor = shape.blocks;
    text.parameters = ShapeConfig(shape, target.limits);
    kernel.source.text = KernelText(op, text);
    kernel.source.extra_headers[kWgmmaInstructionHeader] =
        WgmmaInstructionHeader(WgmmaSource::kShared, CodeType(op.weight().element), op.compute(), shape.tokens);
    return kernel;
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    WarpGroupShape shape;
    if (!Read(op, candidate, target, shape).ok()) return 1e12;
    const DeviceLimits& limits = target.limits;
    const double clock = limits.clock_ghz * 1e3;  // cycles per microsecond
    const double tiles = shape.groups * shape.row_tiles;

    // One stage on one multiprocessor, in cycles: the slowest of what works at once. With both operands in shared
    // memory a product also reads its 64 rows of W for every step, which short token tiles do not hide.
    const double flops_per_cycle = limits.dense_fp16_tflops * 1e6 / limits.multiprocessors / clock;
    const double tensor = tiles * 64 * std::max(shape.tokens, 64) * kBlock * 2 / flops_per_cycle * shape.blocks;
    // A stage's sums of fp8 are waited for and added before the next: other groups fill the gap, if there are any.
    const double alone = IsFp8(op) ? 150.0 / (shape.groups * shape.blocks) : 0;
    const double promote =
        IsFp8(op) ? tiles * shape.blocks * shape.tokens / 2 : 0;  // 4 warps, one addition a clock each
    const double chain = IsFp8(op) ? 350.0 : 200.0;
    const double cache_rate = 2.5 * limits.read_gb_per_s * 1e3 / limits.multiprocessors / clock;
    const double cache = static_cast<double>(StageBytes(shape)) * shape.blocks / cache_rate;
    const double stage = std::max({tensor + alone + 0.25 * promote, chain, cache}) + 0.1 * std::min(tensor, cache);

    const int64_t places = int64_t{limits.multiprocessors} * shape.blocks;
    const int64_t items = shape.TilesOfM(m) * shape.TilesOfN(op) * shape.splits;
    const int64_t whole_rounds = (items + places - 1) / places;
    const double rounds = static_cast<double>(whole_rounds);
    const double stages = static_cast<double>(KBlocks(op)) / shape.splits;
    double finish = 900.0 + 6.0 * shape.tokens * shape.row_tiles;  // turning and storing a tile
    if (shape.cluster > 1) {
      finish += 1200 + 2.0 * static_cast<double>(PartialBytes(shape)) / 64;
    } else if (shape.splits > 1) {
      const double part = static_cast<double>(shape.rows()) * shape.tokens * 4;
      finish += 1500 + part * (1 + shape.splits) / 48;
    }
    const double compute = rounds * (stages * stage + finish) / clock;
    const double in_flight =
        static_cast<double>(shape.stages - 1) * static_cast<double>(shape.rows()) * kBlock * 2 * shape.blocks;
    const double busy = std::min(1.0, static_cast<double>(items) / limits.multiprocessors);
    const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m))) /
                          std::min(0.92, LatencyEfficiency(limits, in_flight) * busy);
    return limits.launch_us + 1.5 + std::max(compute, memory);
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeDenseWgmmaSchedule() { return std::make_unique<DenseWgmmaSchedule>(); }

}  // namespace ladder
