#include "schedules/matmul/pipelined.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/layout/packed_layout.h"
#include "core/schedule/cost_model.h"
#include "schedules/matmul/config.h"

namespace ladder {
namespace {

constexpr size_t kMaxCandidates = 60;
constexpr int64_t kFlagBytes = 128;
constexpr int64_t kMaxCounters = kCounterBytes / 4;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool OneOf(int64_t value, std::initializer_list<int64_t> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// A candidate's parameters and what follows from them; pipelined.cuh derives the same.
struct Plan {
  int64_t bm, bn, bk, stages, row_tiles, token_warps, depth_warps, splits, raster, pair_table, scale_in_weights;
  int64_t threads = 0, tiles_n = 0, steps = 0, steps_per_split = 0, segments = 0, stage_bytes = 0, shared_bytes = 0;
  int registers = 0;  // estimated

  Plan(const NormalizedOperator& op, const Candidate& c)
      : bm(c["bm"]),
        bn(c["bn"]),
        bk(c["bk"]),
        stages(c["stages"]),
        row_tiles(c["row_tiles"]),
        token_warps(c["token_warps"]),
        depth_warps(c["depth_warps"]),
        splits(c["splits"]),
        raster(c["raster"]),
        pair_table(c["pair_table"]),
        scale_in_weights(c["scale_in_weights"]) {
    if (InRange().ok()) Derive(op);
  }

  absl::Status InRange() const {
    const bool listed = OneOf(bm, {16, 32, 64, 128, 256}) && OneOf(bn, {64, 128, 256}) && OneOf(bk, {64, 128, 256}) &&
                        stages >= 2 && stages <= 8 && OneOf(row_tiles, {1, 2, 4}) && OneOf(token_warps, {1, 2, 4}) &&
                        OneOf(depth_warps, {1, 2, 4}) && splits >= 1 && splits <= 64 && raster >= 1 && raster <= 1024 &&
                        OneOf(pair_table, {0, 1}) && OneOf(scale_in_weights, {0, 1});
    if (listed && bm / token_warps >= 16 && bk / depth_warps >= 64 &&
        bn / (16 * row_tiles) * token_warps * depth_warps <= 32) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("pipelined: a parameter is out of its range");
  }

  void Derive(const NormalizedOperator& op) {
    const WeightType& weight = op.weight();
    const bool per_channel = weight.group == op.k();
    threads = 32 * (bn / (16 * row_tiles)) * token_warps * depth_warps;
    tiles_n = CeilDiv(op.n(), bn);
    steps = CeilDiv(CeilDiv(op.k(), 64), bk / 64);
    steps_per_split = CeilDiv(steps, splits);
    segments = per_channel ? 0 : bk / std::gcd(weight.group, bk / depth_warps);
    const int64_t zero_row = weight.zeros == ZeroMode::kNone        ? 0
                             : weight.zeros == ZeroMode::kQuantized ? (weight.element.bits > 4 ? bn : bn / 2)
                                                                    : bn * 2;
    stage_bytes = bn * bk * weight.element.bits / 8 + bm * bk * 2 + segments * (bn * 2 + zero_row);
    const int64_t depth_bytes = (depth_warps - 1) * bm * bn * 4;
    const int64_t output_bytes = bm * (bn * Bytes(op.out()) + 16);
    shared_bytes = kFlagBytes + (pair_table != 0 ? SharedTableBytes(op) : 0) +
                   std::max({stages * stage_bytes, depth_bytes, output_bytes});
    const int64_t sums = row_tiles * (bm / token_warps / 8) * 4;
    const bool on_sums = !per_channel && scale_in_weights == 0 && weight.zeros != ZeroMode::kRescale;
    const int64_t fragments = bm / token_warps / 16 * 4;
    const bool permutes = weight.element.tabular();
    registers = static_cast<int>(56 + (permutes ? 10 : 0) + (bk > 64 * depth_warps ? 8 : 0) + sums * (on_sums ? 2 : 1) +
                                 1.5 * fragments + row_tiles * (4 + std::max<int64_t>(4, weight.element.bits)));
    if (op.widens()) registers += static_cast<int>((bm * bk / 8 + threads - 1) / threads * 3 + 8);
  }

  // Why the plan is not a kernel for this operator and machine, or ok.
  absl::Status Check(const NormalizedOperator& op, const DeviceLimits& limits) const {
    if (absl::Status status = InRange(); !status.ok()) return status;
    if (threads > 1024) return absl::InvalidArgumentError(absl::StrCat("pipelined: ", threads, " threads a block"));
    if (!CanDecode(op, pair_table != 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("pipelined: ", op.weight().element.name, " is not decoded with pair_table=", pair_table));
    }
    if (scale_in_weights != 0 && !ScalesFitWeights(op)) {
      return absl::InvalidArgumentError("pipelined: these scales may overflow in the compute type");
    }
    if (shared_bytes > limits.shared_bytes_per_block) {
      return absl::InvalidArgumentError(absl::StrCat("pipelined: ", shared_bytes, " bytes of shared memory needed, ",
                                                     limits.shared_bytes_per_block, " there"));
    }
    if ((splits - 1) * steps_per_split >= steps) {
      return absl::InvalidArgumentError(absl::StrCat("pipelined: ", splits, " splits of ", steps, " steps of K"));
    }
    if (splits > 1 && tiles_n > kMaxCounters) {
      return absl::InvalidArgumentError(
          absl::StrCat("pipelined: ", tiles_n, " tiles are more than the workspace counts"));
    }
    return absl::OkStatus();
  }

  // Per-channel scales cost nothing on the sums.
  static bool ScalesFitWeights(const NormalizedOperator& op) {
    const WeightType& weight = op.weight();
    return weight.group != op.k() && weight.zeros != ZeroMode::kRescale &&
           PackedScaleType(weight.scale) == op.compute() && ScaledWeightsFit(op);
  }

  int64_t MaxM() const {
    if (splits > 1) return std::min(kMaxDimension, kMaxCounters / tiles_n * bm);
    // The grid is one-dimensional, below 2^31 blocks.
    return std::min(kMaxDimension, std::numeric_limits<int32_t>::max() / tiles_n * bm);
  }
};

class PipelinedSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "pipelined"; }
  int revision() const override { return 1; }

  absl::Status Supports(const NormalizedOperator& op, int64_t, const Target& target) const override {
    if (target.vendor != Vendor::kNvidia || target.capability() < 80) {
      return absl::UnimplementedError("pipelined: needs an NVIDIA GPU of sm_80 or later");
    }
    return SupportsQuantizedWeight(op);
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override;

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    absl::Status status = CheckParameters(candidate, name(),
                                          {"bm", "bn", "bk", "stages", "row_tiles", "token_warps", "depth_warps",
                                           "splits", "raster", "pair_table", "scale_in_weights"});
    if (!status.ok()) return status;
    const Plan plan(op, candidate);
    status = plan.Check(op, target.limits);
    if (!status.ok()) return status;

    LoweredKernel kernel;
    KernelShape shape;
    shape.header = "schedules/matmul/pipelined.cuh";
    shape.function = "PipelinedMatmul";
    shape.threads = static_cast<int>(plan.threads);
    shape.blocks_per_multiprocessor = Resident(plan, target.limits);
    shape.parameters = {{"kBM", plan.bm},
                        {"kBN", plan.bn},
                        {"kBK", plan.bk},
                        {"kStages", plan.stages},
                        {"kRowTiles", plan.row_tiles},
                        {"kTokenWarps", plan.token_warps},
                        {"kDepthWarps", plan.depth_warps},
                        {"kSplits", plan.splits},
                        {"kRaster", plan.raster},
                        {"kPairTable", plan.pair_table},
                        {"kScaleInWeights", plan.scale_in_weights}};
    kernel.source.text = KernelText(op, shape);
    kernel.launch.threads = shape.threads;
    kernel.launch.shared_bytes = plan.shared_bytes;
    kernel.launch.m_tile = plan.bm;
    kernel.launch.blocks_per_m_tile = plan.tiles_n * plan.splits;
    kernel.launch.max_m = plan.MaxM();
    kernel.launch.workspace_bytes_per_m_tile = plan.splits > 1 ? plan.tiles_n * plan.splits * plan.bm * plan.bn * 4 : 0;
    kernel.launch.dependent_launch = target.capability() >= 90;
    kernel.numerics.scale_in_weights = plan.scale_in_weights != 0 || op.weight().zeros == ZeroMode::kRescale;
    return kernel;
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override;

 private:
  static int Resident(const Plan& plan, const DeviceLimits& limits) {
    return std::max(
        1, BlocksPerMultiprocessor(limits, {static_cast<int>(plan.threads), plan.registers, plan.shared_bytes}));
  }
  static bool Worthwhile(const NormalizedOperator& op, int64_t m, const Plan& plan, const DeviceLimits& limits);
};

// mma.sync's share of what the tensor cores do at best: newer ones are fed through wgmma and tcgen05.
double WarpMatrixShare(const Target& target) {
  if (target.capability() >= 100 && target.capability() < 120) return 0.35;
  return target.capability() >= 90 && target.capability() < 100 ? 0.62 : 0.9;
}

double PipelinedSchedule::Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                                  const Target& target) const {
  const Plan plan(op, candidate);
  if (plan.threads == 0) return std::numeric_limits<double>::infinity();
  const DeviceLimits& limits = target.limits;
  const double rows = static_cast<double>(std::min(m, plan.MaxM()));
  const double launches = std::ceil(static_cast<double>(m) / rows);
  const double tiles_m = std::ceil(rows / static_cast<double>(plan.bm));
  const double tiles_n = static_cast<double>(plan.tiles_n);
  const double splits = static_cast<double>(plan.splits);
  const double blocks = tiles_m * tiles_n * splits;
  const double processors = std::max(1, limits.multiprocessors);
  const double fitting = Resident(plan, limits);
  const double resident = std::min(fitting, std::ceil(blocks / processors));
  const double warps = static_cast<double>(plan.threads) / 32;

  const double padded_k = static_cast<double>(plan.steps_per_split * plan.splits * plan.bk);
  const double padded_rows = tiles_m * static_cast<double>(plan.bm);
  const double fragments = tiles_m * tiles_n * static_cast<double>(plan.bn) / 16 * padded_k / 16;  // decoded once each
  const double tensor =
      TensorUs(limits, 2 * padded_rows * tiles_n * static_cast<double>(plan.bn) * padded_k) / WarpMatrixShare(target);

  const DecodeCost decode = FragmentDecodeCost(op, plan.pair_table != 0, plan.scale_in_weights != 0, target);
  const double copies = static_cast<double>(plan.token_warps);
  const double token_tiles = static_cast<double>(plan.bm) / 8;  // of a block
  const double row_tiles = static_cast<double>(plan.row_tiles);
  const double segments = static_cast<double>(plan.segments) / (static_cast<double>(plan.bk) / 16);
  const bool on_sums = plan.scale_in_weights == 0 && op.weight().zeros != ZeroMode::kRescale;
  const double scaling = segments * (6 * copies + (on_sums ? 4 * token_tiles : 0));
  const double pieces = static_cast<double>(plan.stage_bytes) / 512 * 6 /
                        (static_cast<double>(plan.bn) / 16 * static_cast<double>(plan.bk) / 16);  // cp.async
  const double per_fragment =
      copies * (decode.instructions + 0.5) + token_tiles * (1 + 0.75 / row_tiles) + scaling + pieces;
  const double issue = IssueUs(limits, fragments * per_fragment);
  const double integer = IntegerUs(limits, fragments * (copies * decode.integer + pieces));
  const double shared =
      SharedUs(limits, fragments * (copies * (decode.wavefronts + 1) + 2 * token_tiles / row_tiles +
                                    2 * static_cast<double>(plan.stage_bytes) / 128 /
                                        (static_cast<double>(plan.bn) / 16 * static_cast<double>(plan.bk) / 16)));

  const double weight_bytes = static_cast<double>(WeightBytes(op));
  const double x_bytes = rows * static_cast<double>(op.k()) * 2;
  const double in_flight = resident * static_cast<double>((plan.stages - 1) * plan.stage_bytes);
  const double memory = MemoryUs(limits, weight_bytes + static_cast<double>(ActivationBytes(op, m))) /
                        LatencyEfficiency(limits, in_flight);
  const double sums = plan.splits > 1 ? 8 * splits * padded_rows * tiles_n * static_cast<double>(plan.bn) : 0;
  const double cache = CacheUs(limits, tiles_m * weight_bytes + tiles_n * x_bytes + sums);

  // A few warps cannot keep the schedulers busy: a warp waits for its own loads, decodes and products in turn.
  const double occupancy = std::min(1.0, blocks / processors / resident) * resident * warps;
  const double busy = std::max({tensor, issue, integer, shared});
  const double compute = (busy + 0.25 * (tensor + issue + shared - busy)) * (1 + 3 / std::max(1.0, occupancy));
  const double quantisation =
      WaveQuantisation(blocks, processors * fitting) * (blocks < processors ? processors / blocks : 1);
  const double stream = std::max({compute * quantisation, memory, cache}) + 0.15 * std::min(compute, memory);
  const double start = 1.2 + 0.25 * static_cast<double>(plan.depth_warps - 1) + (plan.pair_table != 0 ? 0.3 : 0) +
                       (plan.splits > 1 ? 0.4 * splits : 0);
  return launches * (limits.launch_us + start + stream);
}

bool PipelinedSchedule::Worthwhile(const NormalizedOperator& op, int64_t m, const Plan& plan,
                                   const DeviceLimits& limits) {
  if (!plan.Check(op, limits).ok()) return false;
  if (plan.threads < 128 || plan.threads > 512 || plan.registers > 240) return false;
  if (BlocksPerMultiprocessor(limits, {static_cast<int>(plan.threads), plan.registers, plan.shared_bytes}) == 0) {
    return false;
  }
  if (plan.bm > 16 && plan.bm >= 2 * m) return false;  // tokens that are not there
  if (plan.bk / 64 != plan.depth_warps && plan.bk > 128) return false;
  if (plan.token_warps > 1 && plan.bm < 64) return false;  // decoding twice pays for many tokens only
  if (plan.depth_warps > 1 && plan.bm > 64) return false;
  if (plan.stages > 3 && plan.stages > plan.steps_per_split + 1) return false;
  if (plan.stages == 2 && 3 * plan.stage_bytes <= limits.shared_bytes_per_block / 2) return false;
  if (plan.stages == 6 && plan.bm > 32) return false;
  // Scales cost a multiplication per decoded pair, or four per 16 x 8 sums: the fewer tokens, the better on the sums.
  const bool choice = Plan::ScalesFitWeights(op);
  if (choice && (plan.bm >= 128 ? plan.scale_in_weights == 0 : plan.bm <= 16 && plan.scale_in_weights != 0))
    return false;
  // Splits serve to fill the machine.
  const int64_t blocks = CeilDiv(m, plan.bm) * plan.tiles_n * plan.splits;
  return plan.splits == 1 || (blocks <= 4 * limits.multiprocessors && plan.steps_per_split >= 4);
}

std::vector<Candidate> PipelinedSchedule::Enumerate(const NormalizedOperator& op, int64_t m,
                                                    const Target& target) const {
  std::vector<Candidate> all;
  const auto consider = [&](std::vector<std::pair<std::string, int64_t>> parameters) {
    Candidate c;
    c.schedule = "pipelined";
    c.parameters = std::move(parameters);
    if (Worthwhile(op, m, Plan(op, c), target.limits)) all.push_back(std::move(c));
  };
  for (const int64_t bm : {16, 32, 64, 128}) {
    for (const int64_t bn : {64, 128, 256}) {
      for (const auto& [bk, depth_warps] : {std::pair{64, 1}, {128, 1}, {128, 2}, {256, 4}}) {
        for (const int64_t stages : {2, 3, 4, 6}) {
          for (const auto& [row_tiles, token_warps] : {std::pair{1, 1}, {2, 1}, {4, 1}, {2, 2}, {4, 2}}) {
            for (const int64_t splits : {1, 2, 3, 4, 6, 8, 16}) {
              for (const int64_t pair_table : {0, 1}) {
                if (!CanDecode(op, pair_table != 0)) continue;
                for (const int64_t scale_in_weights : {0, 1}) {
                  consider({{"bm", bm},
                            {"bn", bn},
                            {"bk", bk},
                            {"stages", stages},
                            {"row_tiles", row_tiles},
                            {"token_warps", token_warps},
                            {"depth_warps", depth_warps},
                            {"splits", splits},
                            {"raster", 8},
                            {"pair_table", pair_table},
                            {"scale_in_weights", scale_in_weights}});
                }
              }
            }
          }
        }
      }
    }
  }
  return KeepFastest(*this, op, m, target, std::move(all),
                     {.limit = kMaxCandidates,
                      .family = {"bm", "bn", "bk", "row_tiles", "token_warps", "depth_warps"},
                      .per_family = 6});
}

}  // namespace

std::unique_ptr<const Schedule> MakePipelinedSchedule() { return std::make_unique<PipelinedSchedule>(); }

}  // namespace ladder
