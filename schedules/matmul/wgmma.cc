#include "schedules/matmul/wgmma.h"

#include <algorithm>
#include <array>
#include <numeric>
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

constexpr int64_t kBlock = 64;  // columns of K in a stage
constexpr size_t kMostCandidates = 60;
// Above it tiles of rows alone fill a multiprocessor's warps, and sums are many.
constexpr int kMostDepthTokens = 128;

// The model of Predict, in cycles where not said otherwise; fitted on the traces in tests/performance/traces (1,691
// candidates of 58 operators on an H100), least squares of the logarithm, near the best of each operator foremost.
constexpr double kStartUs = 0.2;       // first stage, last stores
constexpr double kStageCycles = 56;    // barriers of a stage
constexpr double kProductCycles = 29;  // wait for the products of a round of steps
constexpr double kLoneWarpCycles = 4;  // per instruction of a warp that has its scheduler to itself
constexpr double kWidenCycles = 2.5;   // per instruction of a warp that widens x: its conversions are independent
constexpr double kIssueShare = 0.39;   // of the schedulers' slots: the products' registers take their part
constexpr double kIntegerShare = 1.2;  // of the integer lanes: some of what is counted goes elsewhere
constexpr double kTensorShare = 1.1;   // of the rate that a library reaches in long products
constexpr double kStepUnrolled =
    7;  // instructions around the decode of four k16 steps, in a loop unrolled by 4 or 8 ...
constexpr double kStepInstructions = 28;  // ... and else
constexpr double kTokenCycles = 24;       // turning and storing a token of an output tile
constexpr double kSplitCycles = 4260;     // a part through the cache, the counter, waiting for the others
constexpr double kSplitBytesPerCycle = 46;
constexpr double kClusterCycles = 2790;  // two barriers of the cluster
constexpr double kClusterBytesPerCycle = 142;
constexpr double kCacheRate = 5;  // of the L2 cache, many blocks reading the same, over device memory's
constexpr double kOverlap = 4.2;  // norm of the limits: 1 would add them, infinity take the greatest

int64_t KBlocks(const NormalizedOperator& op) { return (op.k() + kBlock - 1) / kBlock; }

// WgmmaPlan in wgmma.cuh: rows of scales that 64 columns bring, and whether they all share one.
bool OneFactor(const NormalizedOperator& op) { return op.weight().group == op.k() || op.weight().group % kBlock == 0; }
int64_t FactorRows(const NormalizedOperator& op) {
  const int64_t group = op.weight().group;
  if (OneFactor(op)) return 1;
  return kBlock % group == 0 ? kBlock / group : (kBlock - 2) / group + 2;
}
int64_t FactorBytes(const NormalizedOperator& op) {
  switch (op.weight().zeros) {
    case ZeroMode::kNone:
      return 128;
    case ZeroMode::kQuantized:
      return 128 + (op.weight().element.bits > 4 ? 64 : 32);
    case ZeroMode::kOriginal:
    case ZeroMode::kRescale:
      return 128 + 128;
  }
  return 0;
}

// The sums can be scaled where zeros are not added after it and a stage has one scale, or two (MX weights with fp16):
// waiting for products twice a stage costs more than scaling weights.
bool ScalesHalves(const NormalizedOperator& op) { return op.weight().group == 32 && op.k() != 32; }
bool CanScaleSums(const NormalizedOperator& op) {
  return (OneFactor(op) || (ScalesHalves(op) && !ScaledWeightsFit(op))) && op.weight().zeros != ZeroMode::kRescale;
}

struct Parameters {
  WarpGroupShape shape;
  int steps = 1;  // k16 steps decoded and multiplied together
  bool scale_in_weights = true;
  bool pair_table = false;  // tables: lookup in shared memory, else byte permutes
};

// Stages of one depth a turn of the main loop: unrolled where its own instructions matter, which costs compile time. A
// divisor of the depth's stages and of the k blocks.
int Unroll(const NormalizedOperator& op, const Parameters& p) {
  const int most = p.shape.tokens <= 64 ? 8 : 2;
  return std::gcd(std::gcd(p.shape.stages / p.shape.depth, most), static_cast<int>(KBlocks(op) % 8));
}

// Accumulators, sums of the current group, both sets of operand A, and the codes that kOtherRegisters has no room for.
int Registers(const NormalizedOperator& op, const Parameters& p) {
  const int sums = p.shape.row_tiles * p.shape.tokens / 2;
  const bool both = !p.scale_in_weights && op.weight().group != op.k();
  const int codes = std::max(0, op.weight().element.bits - 4) * p.shape.row_tiles;
  return sums * (both ? 2 : 1) + 2 * p.steps * p.shape.row_tiles * 4 + codes + kOtherRegisters;
}

bool Fits(const NormalizedOperator& op, const Parameters& p, const DeviceLimits& limits) {
  const RegisterBudget budget = BudgetFor(p.shape, limits);
  // The assembler wants one instruction's operands within the registers of the launch.
  return Registers(op, p) <= budget.usable() && p.shape.tokens / 2 + 32 <= budget.launch;
}

// Registers of the producer's group: its other warps may widen x.
int ProducerRegisters(const NormalizedOperator& op) { return op.widens() ? 88 : WarpGroupShape().producer_registers; }
// WidenRing in wgmma_widen.cuh: 64 bytes of a token's codes, and a word for each of its two scales.
int64_t RawBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  return op.widens() ? shape.tokens * (kBlock + (op.activation_group() != 0 ? 8 : 0)) : 0;
}
// A packed block of 64 rows.
int64_t BlockBytes(const NormalizedOperator& op) { return kBlock * kBlock * op.weight().element.bits / 8; }
int64_t StageBytes(const NormalizedOperator& op, const WarpGroupShape& shape) {
  const int64_t tiles = shape.groups / shape.depth * shape.row_tiles;
  // And two barriers.
  return shape.tokens * kBlock * 2 + RawBytes(op, shape) + tiles * (BlockBytes(op) + FactorRows(op) * FactorBytes(op)) +
         16;
}
// The base is aligned to 1,024 bytes by hand.
int64_t OtherBytes(const NormalizedOperator& op, const Parameters& p) {
  return StagingBytes(p.shape, op.out()) + (p.pair_table ? SharedTableBytes(op) : 0) + 1024;
}

class WgmmaSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "wgmma"; }
  int revision() const override { return 3; }

  absl::Status Supports(const NormalizedOperator& op, int64_t /*m*/, const Target& target) const override {
    if (!target.has_wgmma()) {
      return absl::UnimplementedError(absl::StrCat("the warp group instruction needs sm_90a, not ", target.arch));
    }
    if (absl::Status status = SupportsQuantizedWeight(op); !status.ok()) return status;
    if (op.k() * Bytes(op.activation()) % 16 != 0) {
      return absl::UnimplementedError("TMA needs rows of x that are multiples of 16 bytes");
    }
    if (!ScaledWeightsFit(op) && !CanScaleSums(op)) {
      return absl::UnimplementedError(
          "these scales may overflow fp16 weights, and sums are scaled in groups of 32 or multiples of 64 only");
    }
    return absl::OkStatus();
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    std::vector<Candidate> candidates;
    for (const int tokens : TokenTiles(m, 256)) {
      for (const auto& [groups, row_tiles, blocks, depth] : std::vector<std::array<int, 4>>{{2, 1, 1, 1},
                                                                                            {2, 2, 1, 1},
                                                                                            {3, 1, 1, 1},
                                                                                            {3, 2, 1, 1},
                                                                                            {4, 1, 1, 1},
                                                                                            {4, 2, 1, 1},
                                                                                            {1, 1, 2, 1},
                                                                                            {2, 1, 2, 1},
                                                                                            {4, 1, 1, 2},
                                                                                            {4, 1, 1, 4},
                                                                                            {2, 1, 2, 2},
                                                                                            {4, 2, 1, 2}}) {
        if (depth > 1 && (tokens > kMostDepthTokens || op.widens())) continue;
        Parameters p;
        p.shape.tokens = tokens;
        p.shape.groups = groups;
        p.shape.row_tiles = row_tiles;
        p.shape.blocks = blocks;
        p.shape.depth = depth;
        p.shape.producer_registers = ProducerRegisters(op);
        if (p.shape.rows() >= op.n() + 64 * row_tiles) continue;  // whole groups without rows
        for (const bool pair_table : {false, true}) {
          if (!CanDecode(op, pair_table)) continue;
          p.pair_table = pair_table;
          // As many of every depth; rings are cut to what the main loop is unrolled by.
          p.shape.stages =
              FitStages(p.shape, target.limits, StageBytes(op, p.shape), OtherBytes(op, p), 3 * depth, 8 * depth) /
              depth;
          if (p.shape.stages > 3) p.shape.stages &= tokens <= 64 ? ~3 : ~1;
          p.shape.stages *= depth;
          if (p.shape.stages != 0) AddVariants(op, m, target, p, candidates);
        }
      }
    }
    return KeepFastest(
        *this, op, m, target, std::move(candidates),
        {.limit = kMostCandidates, .family = {"tokens", "groups", "row_tiles", "depth"}, .per_family = 3});
  }

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    Parameters p;
    if (absl::Status status = Read(op, candidate, target, p); !status.ok()) return status;
    LoweredKernel kernel;
    const int64_t shared = OtherBytes(op, p) + p.shape.stages * StageBytes(op, p.shape);
    kernel.launch = WarpGroupLaunch(op, p.shape, target.limits, shared);
    if (kernel.launch.max_m < 1) {
      return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": N needs more counters than there are"));
    }
    kernel.numerics.scale_in_weights = p.scale_in_weights;

    KernelShape text;
    text.header = "schedules/matmul/wgmma.cuh";
    text.function = "WgmmaMatmul";
    text.arguments = "MatmulTmaArguments";
    text.threads = p.shape.threads();
    text.blocks_per_multiprocessor = p.shape.blocks;
    text.parameters = ShapeConfig(p.shape, target.limits);
    text.parameters.emplace_back("kSteps", p.steps);
    text.parameters.emplace_back("kUnroll", Unroll(op, p));
    text.parameters.emplace_back("kScaleInWeights", p.scale_in_weights ? 1 : 0);
    text.parameters.emplace_back("kPairTable", p.pair_table ? 1 : 0);
    kernel.source.text = KernelText(op, text);
    kernel.source.extra_headers[kWgmmaInstructionHeader] =
        WgmmaInstructionHeader(WgmmaSource::kRegisters, op.compute(), op.compute(), p.shape.tokens);
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

    // One stage of every depth on one multiprocessor, in cycles, by everything that may be its limit.
    const double flops_per_cycle = limits.dense_fp16_tflops * 1e6 / limits.multiprocessors / clock;
    const double tensor = tiles * 64 * shape.tokens * kBlock * 2 / flops_per_cycle / kTensorShare * shape.blocks;
    const DecodeCost decode = FragmentDecodeCost(op, p.pair_table, p.scale_in_weights, target);
    const bool both = !p.scale_in_weights && op.weight().group != op.k();
    const double scaling = both ? shape.tokens / 2.0 * kBlock / static_cast<double>(op.weight().group) : 0;
    const double around = Unroll(op, p) >= 4 ? kStepUnrolled : kStepInstructions;
    // Widening a token's 64 columns: two units of 16 pairs, five instructions each, copies and addresses.
    const double widening = op.widens() ? shape.tokens * 2 * 100 / 32.0 : 0;
    const double instructions = tiles * 4 * (4 * decode.instructions + scaling + around / shape.row_tiles) + widening;
    const double issue = instructions / (4 * kIssueShare) * shape.blocks;
    const double integer = tiles * 4 * 4 * decode.integer / (2 * kIntegerShare) * shape.blocks;
    // What a warp group cannot hide: each of its warps decodes, multiplies and waits in turn.
    const int drains = both && ScalesHalves(op) ? 2 : 0;  // waits for all products
    const double chain =
        kStageCycles + drains * 2 * kProductCycles + 4.0 / p.steps * kProductCycles +
        std::max(kLoneWarpCycles * (instructions - widening) / 4 / shape.groups, kWidenCycles * widening / 3);
    // Lookups, operand B once per 64 rows, and what a stage brings, in and out.
    const double stage_bytes = static_cast<double>(StageBytes(op, shape) * shape.depth);
    const double widened = op.widens() ? shape.tokens * (kBlock + kBlock * 2) / 128.0 : 0;  // codes read, x written
    const double shared =
        (tiles * (16 * decode.wavefronts + shape.tokens * kBlock * 2.0 / 128) + 1.5 * stage_bytes / 128 + widened) *
        shape.blocks;
    const double cache_bytes = stage_bytes * shape.blocks;
    const double cache = cache_bytes / (kCacheRate * limits.read_gb_per_s * 1e3 / limits.multiprocessors / clock);

    const int64_t places = int64_t{limits.multiprocessors} * shape.blocks;
    const int64_t items = shape.TilesOfM(m) * shape.TilesOfN(op) * shape.splits;
    const int64_t whole_rounds = (items + places - 1) / places;
    const double rounds = static_cast<double>(whole_rounds);
    const double stages = static_cast<double>(KBlocks(op)) / (shape.splits * shape.depth);
    const double us = rounds * stages / clock;  // per cycle of a stage
    // Too few blocks leave memory idle; within a block the stages in flight are enough.
    const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m))) /
                          std::min(1.0, static_cast<double>(items) / limits.multiprocessors);
    const double stream =
        Overlap({tensor * us, issue * us, integer * us, shared * us, chain * us, cache * us, memory}, kOverlap);
    double finish = kTokenCycles * shape.tokens * shape.row_tiles;
    if (SharedPartialBytes(shape) > 0) {
      // Every block writes its parts and reads as much.
      finish = finish / shape.cluster + kClusterCycles +
               2.0 * static_cast<double>(SharedPartialBytes(shape)) / kClusterBytesPerCycle;
    } else if (shape.splits > 1) {
      // Writing a part, and the last block reading all of them.
      const double part = static_cast<double>(shape.rows()) * shape.tokens * 4;
      finish += kSplitCycles + part * (1 + shape.splits) / kSplitBytesPerCycle;
    }
    return limits.launch_us + kStartUs + stream + rounds * finish / clock;
  }

 private:
  // Adds the steps, scalings and splits that make sense for a block tile.
  void AddVariants(const NormalizedOperator& op, int64_t m, const Target& target, Parameters p,
                   std::vector<Candidate>& candidates) const {
    WarpGroupShape& shape = p.shape;
    const int64_t places = int64_t{target.limits.multiprocessors} * shape.blocks;
    const int64_t tiles = shape.TilesOfM(m) * shape.TilesOfN(op);
    shape.raster = RasterFor(shape.TilesOfM(m), places, shape.tokens * 2.0,
                             static_cast<double>(shape.rows()) * op.weight().element.bits / 8);
    for (const bool in_weights : {true, false}) {
      p.scale_in_weights = in_weights;
      if (in_weights ? !ScaledWeightsFit(op) : !CanScaleSums(op)) continue;
      // Scaling sums costs least where there is one group (nothing to keep apart) or few tokens.
      const bool per_channel = op.weight().group == op.k();
      if (in_weights && per_channel && CanScaleSums(op)) continue;
      if (!in_weights && !per_channel && shape.tokens > 64 && ScaledWeightsFit(op)) continue;
      int kept = 0;
      for (const int steps : {4, 2, 1}) {
        p.steps = steps;
        if (!Fits(op, p, target.limits) || (!in_weights && ScalesHalves(op) && steps > 2)) continue;
        if (steps == 1 && kept > 0 && shape.tokens < 128) continue;  // short products hide too little
        if (++kept > 2) break;
        std::vector<std::pair<int, int>> choices;  // splits, cluster
        for (const int splits : SplitChoices(tiles, places, KBlocks(op))) choices.emplace_back(splits, 1);
        // Half of the places, so that the next launch's blocks find room and ask for their weights early.
        if (shape.blocks == 2) {
          for (const int splits : SplitChoices(tiles, places / 2, KBlocks(op))) {
            if (std::find(choices.begin(), choices.end(), std::pair(splits, 1)) == choices.end()) {
              choices.emplace_back(splits, 1);
            }
          }
        }
        if (PairsFit(tiles, places, KBlocks(op) / shape.depth)) choices.emplace_back(2, 2);
        for (const auto& [splits, cluster] : choices) {
          shape.splits = splits;
          shape.cluster = cluster;
          Candidate candidate{.schedule = std::string(name()), .parameters = ShapeParameters(shape)};
          candidate.parameters.emplace_back("steps", steps);
          candidate.parameters.emplace_back("scale_in_weights", in_weights ? 1 : 0);
          candidate.parameters.emplace_back("pair_table", p.pair_table ? 1 : 0);
          Parameters again;
          if (Read(op, candidate, target, again).ok()) candidates.push_back(std::move(candidate));
        }
      }
    }
  }

  // A candidate's parameters, checked against the operator and the target.
  absl::Status Read(const NormalizedOperator& op, const Candidate& candidate, const Target& target,
                    Parameters& p) const {
    if (absl::Status status = ReadShape(candidate, p.shape); !status.ok()) return status;
    p.shape.producer_registers = ProducerRegisters(op);
    int scale_in_weights = 0, pair_table = 0;
    absl::Status status = ReadParameter(candidate, "steps", 1, 4, p.steps);
    status.Update(ReadParameter(candidate, "scale_in_weights", 0, 1, scale_in_weights));
    status.Update(ReadParameter(candidate, "pair_table", 0, 1, pair_table));
    if (!status.ok()) return status;
    p.scale_in_weights = scale_in_weights != 0;
    p.pair_table = pair_table != 0;
    const auto bad = [&](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat(candidate.ToString(), ": ", why));
    };
    if (p.steps == 3) return bad("steps must be 1, 2 or 4");
    if (p.shape.stages % p.shape.depth != 0) return bad("every depth needs as many stages");
    if (op.widens() && p.shape.depth != 1) return bad("the warps that widen x fill one ring");
    if (!p.scale_in_weights && ScalesHalves(op) && p.steps > 2) return bad("steps of more than a group");
    if (p.steps == 4 && Unroll(op, p) % 2 != 0) {
      return bad("steps=4 takes k blocks in pairs, and their number or that of the stages is odd");
    }
    if (KBlocks(op) / Unroll(op, p) < p.shape.splits * p.shape.depth) return bad("fewer turns along K than its parts");
    if (p.scale_in_weights ? !ScaledWeightsFit(op) : !CanScaleSums(op))
      return bad("the scales cannot be applied there");
    if (!CanDecode(op, p.pair_table)) return bad("the weight is not decoded so");
    if (!Fits(op, p, target.limits)) return bad("needs more registers than the launch allots");
    if (FitStages(p.shape, target.limits, StageBytes(op, p.shape), OtherBytes(op, p), p.shape.stages, p.shape.stages) ==
        0) {
      return bad("needs more shared memory than a block has");
    }
    if (SharedPartialBytes(p.shape) >
        p.shape.stages *
            (p.shape.tokens * kBlock * 2 + p.shape.groups / p.shape.depth * p.shape.row_tiles * BlockBytes(op))) {
      return bad("the ring does not hold the partial sums");
    }
    if (p.shape.splits > 1 && p.shape.cluster == 1 && kCounterBytes / 4 < p.shape.TilesOfN(op) * p.shape.groups) {
      return bad("N needs more counters than there are");
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeWgmmaSchedule() { return std::make_unique<WgmmaSchedule>(); }

}  // namespace ladder
