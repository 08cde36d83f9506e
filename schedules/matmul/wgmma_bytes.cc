#include "schedules/matmul/wgmma_bytes.h"

#include <algorithm>
#include <array>
#include <numeric>
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

constexpr int64_t kBlock = 128;  // columns of K in a stage
constexpr size_t kMostCandidates = 60;

// The model of Predict, in cycles where not said otherwise: that of wgmma.cc, whose loop this is, with the instructions
// of these decodes and sums.
constexpr double kStartUs = 0.2;           // first stage, last stores
constexpr double kStageCycles = 56;        // barriers of a stage
constexpr double kProductCycles = 29;      // wait for the products of a round of steps
constexpr double kSegmentCycles = 60;      // wait for all of them, so that their sums can be added
constexpr double kLoneWarpCycles = 4;      // per instruction of a warp that has its scheduler to itself
constexpr double kIssueShare = 0.39;       // of the schedulers' slots: the products' registers take their part
constexpr double kSumIssueShare = 0.8;     // while sums are added no product of the same warp is under way
constexpr double kIntegerShare = 1.2;      // of the integer lanes: some of what is counted goes elsewhere
constexpr double kTensorShare = 1.1;       // of the rate that a library reaches in long products
constexpr double kStageInstructions = 28;  // around the decode of a stage
constexpr double kTokenCycles = 24;        // turning and storing a token of an output tile
constexpr double kSplitCycles = 4260;      // a part through the cache, the counter, waiting for the others
constexpr double kSplitBytesPerCycle = 46;
constexpr double kClusterCycles = 2790;  // two barriers of the cluster
constexpr double kClusterBytesPerCycle = 142;
constexpr double kCacheRate = 5;  // of the L2 cache, many blocks reading the same, over device memory's
constexpr double kOverlap = 4.2;  // norm of the limits: 1 would add them, infinity take the greatest

int64_t KBlocks(const NormalizedOperator& op) { return (op.k() + kBlock - 1) / kBlock; }
bool PerChannel(const NormalizedOperator& op) { return op.weight().group == op.k(); }
bool Integer(const NormalizedOperator& op) { return op.activation() == DataType::kI8; }

// WgmmaBytesPlan in wgmma_bytes.cuh: columns whose products make a sum of their own; 0: all of them do.
int64_t SegmentColumns(const NormalizedOperator& op) {
  if (PerChannel(op)) return Integer(op) ? 0 : kBlock;
  return Integer(op) ? op.weight().group : std::min(op.weight().group, kBlock);
}
// Instructions that add a number of a segment: the sum's start, its conversion, and a fused operation.
double AddInstructions(const NormalizedOperator& op) {
  if (!Integer(op)) return 1;
  return op.weight().group <= 256 ? 3 : 5;
}
int64_t FactorBytes(const NormalizedOperator& op) {
  if (PerChannel(op)) return 0;
  const int64_t zeros = op.weight().zeros == ZeroMode::kNone ? 0 : op.weight().element.bits > 4 ? 64 : 32;
  return std::max<int64_t>(1, kBlock / op.weight().group) * (128 + zeros);
}

struct Parameters {
  WarpGroupShape shape;
  int steps = 4;  // k32 steps decoded and multiplied together
};

// Stages a turn of the main loop: a divisor of the stages and of the k blocks.
int Unroll(const NormalizedOperator& op, const Parameters& p) {
  const int most = p.shape.tokens <= 64 ? 4 : 2;
  return std::gcd(std::gcd(p.shape.stages, most), static_cast<int>(KBlocks(op) % 4));
}

// Accumulators, sums of the current segment, both sets of operand A, a stage's words; sums of integers on their way to
// fp32 ones take a few more.
int Registers(const NormalizedOperator& op, const Parameters& p) {
  const int sums = p.shape.row_tiles * p.shape.tokens / 2;
  return sums * (SegmentColumns(op) != 0 ? 2 : 1) + 2 * p.steps * p.shape.row_tiles * 4 +
         2 * op.weight().element.bits * p.shape.row_tiles + kOtherRegisters +
         (Integer(op) && SegmentColumns(op) != 0 ? 24 * p.shape.row_tiles : 0);
}

bool Fits(const NormalizedOperator& op, const Parameters& p, const DeviceLimits& limits) {
  const RegisterBudget budget = BudgetFor(p.shape, limits);
  // The assembler wants one instruction's operands within the registers of the launch.
  return Registers(op, p) <= budget.usable() && p.shape.tokens / 2 + 32 <= budget.launch;
}

int64_t TileBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  return shape.tokens * kBlock + shape.groups * shape.row_tiles * 1024 * op.weight().element.bits;
}
int64_t StageBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  // And two barriers.
  return TileBytes(op, shape) + shape.groups * shape.row_tiles * FactorBytes(op) + 16;
}
// The base is aligned to 1,024 bytes by hand.
int64_t OtherBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  return StagingBytes(shape, op.out()) + 1024;
}

// A candidate's parameters, checked against the operator and the target.
absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target, Parameters& p) {
  absl::Status status = ReadShape(candidate, p.shape);
  status.Update(ReadParameter(candidate, "steps", 1, 4, p.steps));
  if (!status.ok()) return status;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
  };
  if (p.steps == 3) return bad("steps must be 1, 2 or 4");
  if (p.shape.depth != 1) return bad("groups share no rows here");
  if (SegmentColumns(op) != 0 && SegmentColumns(op) % (32 * p.steps) != 0) return bad("steps of more than a segment");
  if (p.steps == 4 && Unroll(op, p) % 2 != 0) {
    return bad("steps=4 takes k blocks in pairs, and their number or that of the stages is odd");
  }
  if (KBlocks(op) / Unroll(op, p) < p.shape.splits) return bad("fewer turns along K than splits");
  if (!WgmmaTakes(op.compute(), p.shape.tokens)) return bad("the instruction has no such size");
  if (!Fits(op, p, target.limits)) return bad("needs more registers than the launch allots");
  if (FitStages(p.shape, target.limits, StageBytes(op, p.shape), OtherBytes(op, p.shape), p.shape.stages,
                p.shape.stages) == 0) {
    return bad("needs more shared memory than a block has");
  }
  if (p.shape.cluster > 1 && PartialBytes(p.shape) > p.shape.stages * TileBytes(op, p.shape)) {
    return bad("the ring does not hold the partial sums");
  }
  if (p.shape.splits > 1 && p.shape.cluster == 1 && kCounterBytes / 4 < p.shape.TilesOfN(op) * p.shape.groups) {
    return bad("N needs more counters than there are");
  }
  return absl::OkStatus();
}

class WgmmaBytesSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "wgmma_bytes"; }
  int revision() const override { return 1; }

  absl::Status Supports(const NormalizedOperator& op, int64_t /*m*/, const Target& target) const override {
    if (!target.has_wgmma()) {
      return absl::UnimplementedError(absl::StrCat("the warp group instruction needs sm_90a, not ", target.arch));
    }
    if (Bytes(op.compute()) != 1) return absl::UnimplementedError("products have 16 bits");
    if (absl::Status status = SupportsByteWeight(op, target); !status.ok()) return status;
    if (op.k() % 16 != 0) {
      return absl::UnimplementedError("TMA needs rows of x that are multiples of 16 bytes: K % 16 == 0");
    }
    const int64_t group = op.weight().group;
    if (!PerChannel(op) && group % kBlock != 0 && kBlock % group != 0) {
      return absl::UnimplementedError(
          absl::StrCat("group: more than 16 rows with 8-bit activations need groups of 32, "
                       "64, a multiple of 128 or K, not ",
                       group, "; nearest: ", group < kBlock ? 64 : group / kBlock * kBlock));
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
               {2, 1, 1}, {2, 2, 1}, {3, 1, 1}, {3, 2, 1}, {4, 1, 1}, {4, 2, 1}, {1, 1, 2}, {2, 1, 2}}) {
        Parameters p;
        p.shape.tokens = tokens;
        p.shape.groups = groups;
        p.shape.row_tiles = row_tiles;
        p.shape.blocks = blocks;
        if (p.shape.rows() >= op.n() + 64 * row_tiles) continue;  // whole groups without rows
        p.shape.stages = FitStages(p.shape, target.limits, StageBytes(op, p.shape), OtherBytes(op, p.shape), 3, 8);
        // What the main loop is unrolled by.
        if (p.shape.stages > 3) p.shape.stages &= tokens <= 64 ? ~3 : ~1;
        if (p.shape.stages != 0) AddVariants(op, m, target, p, candidates);
      }
    }
    return KeepFastest(*this, op, m, target, std::move(candidates),
                       {.limit = kMostCandidates, .family = {"tokens", "groups", "row_tiles"}, .per_family = 3});
  }

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    Parameters p;
    if (absl::Status status = Read(op, candidate, target, p); !status.ok()) return status;
    LoweredKernel kernel;
    kernel.launch =
        WarpGroupLaunch(op, p.shape, target.limits, OtherBytes(op, p.shape) + p.shape.stages * StageBytes(op, p.shape));
    if (kernel.launch.max_m < 1) {
      return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": N needs more counters than there are"));
    }

    KernelShape text;
    text.header = "schedules/matmul/wgmma_bytes.cuh";
    text.function = "WgmmaBytesMatmul";
    text.arguments = "MatmulTmaArguments";
    text.threads = p.shape.threads();
    text.blocks_per_multiprocessor = p.shape.blocks;
    text.parameters = ShapeConfig(p.shape, target.limits);
    text.parameters.emplace_back("kSteps", p.steps);
    text.parameters.emplace_back("kUnroll", Unroll(op, p));
    kernel.source.text = KernelText(op, text);
    const bool unsigned_weight =
        Integer(op) && op.weight().element.kind == ElementKind::kUnsigned && op.weight().element.bits == 8;
    kernel.source.extra_headers[kWgmmaInstructionHeader] =
        WgmmaInstructionHeader(WgmmaSource::kRegisters, ByteType(op), op.compute(), p.shape.tokens, unsigned_weight);
    return kernel;
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    Parameters p;
    if (!Read(op, candidate, target, p).ok()) return 1e12;
    const WarpGroupShape& shape = p.shape;
    const DeviceLimits& limits = target.limits;
    const double clock = limits.clock_ghz * 1e3;  // cycles per microsecond
    const double tiles = shape.groups * shape.row_tiles;

    // One stage on one multiprocessor, in cycles, by everything that may be its limit. 8-bit products have twice the
    // rate of 16-bit ones.
    const double flops_per_cycle = 2 * limits.dense_fp16_tflops * 1e6 / limits.multiprocessors / clock;
    const double tensor = tiles * 64 * shape.tokens * kBlock * 2 / flops_per_cycle / kTensorShare * shape.blocks;
    const DecodeCost decode = FragmentDecodeCost(op, false, false, target);
    const int64_t segment = SegmentColumns(op);
    const double segments = segment == 0 ? 0 : static_cast<double>(kBlock) / static_cast<double>(segment);
    const double adding = segments * AddInstructions(op) * shape.tokens / 2.0;  // of a warp and a row tile
    const double decoding = 4 * decode.instructions + kStageInstructions / shape.row_tiles;
    const double issue = tiles * 4 * (decoding / (4 * kIssueShare) + adding / (4 * kSumIssueShare)) * shape.blocks;
    const double integer = tiles * 4 * 4 * decode.integer / (2 * kIntegerShare) * shape.blocks;
    // What a warp group cannot hide: each of its warps decodes, multiplies, waits and adds in turn.
    const double products = tensor / (shape.groups * shape.blocks);  // of one group, which it waits for
    const double chain = kStageCycles + 4.0 / p.steps * kProductCycles + kLoneWarpCycles * shape.row_tiles * decoding +
                         segments * kSegmentCycles + shape.row_tiles * adding + (segments > 0 ? products : 0);
    // Operand B once per 64 rows, and what a stage brings, in and out.
    const double stage_bytes = static_cast<double>(StageBytes(op, shape));
    const double shared = (tiles * shape.tokens * kBlock / 128.0 + 1.5 * stage_bytes / 128) * shape.blocks;
    const double cache_bytes = stage_bytes * shape.blocks;
    const double cache = cache_bytes / (kCacheRate * limits.read_gb_per_s * 1e3 / limits.multiprocessors / clock);

    const int64_t places = int64_t{limits.multiprocessors} * shape.blocks;
    const int64_t items = shape.TilesOfM(m) * shape.TilesOfN(op) * shape.splits;
    const int64_t whole_rounds = (items + places - 1) / places;
    const double rounds = static_cast<double>(whole_rounds);
    const double stages = static_cast<double>(KBlocks(op)) / shape.splits;
    const double us = rounds * stages / clock;  // per cycle of a stage
    const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m))) /
                          std::min(1.0, static_cast<double>(items) / limits.multiprocessors);
    const double stream =
        Overlap({tensor * us, issue * us, integer * us, shared * us, chain * us, cache * us, memory}, kOverlap);
    double finish = kTokenCycles * shape.tokens * shape.row_tiles;
    if (shape.cluster > 1) {
      // Every block writes a part and reads as much.
      finish = finish / shape.cluster + kClusterCycles +
               2.0 * static_cast<double>(PartialBytes(shape)) / kClusterBytesPerCycle;
    } else if (shape.splits > 1) {
      // Writing a part, and the last block reading all of them.
      const double part = static_cast<double>(shape.rows()) * shape.tokens * 4;
      finish += kSplitCycles + part * (1 + shape.splits) / kSplitBytesPerCycle;
    }
    return limits.launch_us + kStartUs + stream + rounds * finish / clock;
  }

 private:
  // Adds the steps and splits that make sense for a block tile.
  static void AddVariants(const NormalizedOperator& op, int64_t m, const Target& target, Parameters p,
                          std::vector<Candidate>& candidates) {
    WarpGroupShape& shape = p.shape;
    const int64_t places = int64_t{target.limits.multiprocessors} * shape.blocks;
    const int64_t tiles = shape.TilesOfM(m) * shape.TilesOfN(op);
    const double w_bytes = static_cast<double>(shape.rows()) * op.weight().element.bits / 8;
    shape.raster = RasterFor(shape.TilesOfM(m), places, shape.tokens, w_bytes);
    int kept = 0;
    for (const int steps : {4, 2, 1}) {
      p.steps = steps;
      std::vector<std::pair<int, int>> choices;  // splits, cluster
      for (const int splits : SplitChoices(tiles, places, KBlocks(op))) choices.emplace_back(splits, 1);
      if (PairsFit(tiles, places, KBlocks(op))) choices.emplace_back(2, 2);
      bool any = false;
      for (const auto& [splits, cluster] : choices) {
        shape.splits = splits;
        shape.cluster = cluster;
        Candidate candidate{.schedule = "wgmma_bytes", .parameters = ShapeParameters(shape)};
        candidate.parameters.emplace_back("steps", steps);
        Parameters again;
        if (!Read(op, candidate, target, again).ok()) continue;
        candidates.push_back(std::move(candidate));
        any = true;
      }
      if (any && ++kept == 2) break;
    }
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeWgmmaBytesSchedule() { return std::make_unique<WgmmaBytesSchedule>(); }

}  // namespace ladder
