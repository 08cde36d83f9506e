#include "schedules/matmul/decode.h"

#include <algorithm>
#include <bit>
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

constexpr int64_t kMaxRows = 16;
constexpr size_t kMaxCandidates = 60;
constexpr int64_t kFlagBytes = 16;
// Above this the warps' partial sums lie over x, at the price of a barrier: the block would cost occupancy.
constexpr int64_t kSeparateSumsBytes = 40 * 1024;
constexpr int64_t kMaxCounters = kCounterBytes / 4;

// The model of Predict, fitted on traces of 1,385 candidates on an H200 (int4 and nf4 in groups of 128, 1024 x 8192 to
// 8192 x 28672, 1 to 16 rows): a block's dependent chain against what the blocks of a multiprocessor, and of the
// machine, share.
constexpr double kRoundUs = 0.635;        // a warp waits for memory once per refill of its loads ...
constexpr double kTurnUs = 0.19;          // ... and a little for each of the others
constexpr double kStepCycles = 137;       // ldmatrix and mma of a k16 step, end to end
constexpr double kLoneWarpCycles = 1.28;  // per instruction of a warp that has its scheduler to itself
constexpr double kPairTableUs = 54;       // to build it, by one thread
constexpr double kWarpSumUs = 0.03;       // reducing the sums of the warps along K: each warp ...
constexpr double kRowSumUs = 0.061;       // ... and each activation row of a row tile
constexpr double kSplitUs = 1.2;          // parts through the cache, counter ...
constexpr double kSplitSumUs = 0.031;     // ... and each number that a thread reads again
constexpr double kCacheRate = 2.3;        // of the caches that all blocks read x from, over device memory's
constexpr double kOverlap = 3.14;         // norm of the limits: 1 would add them, infinity take the greatest

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Columns of a block: 128 bytes of x; and the words that a lane has of it and a row tile.
int64_t BlockColumns(const NormalizedOperator& op) { return 128 / Bytes(op.compute()); }
int64_t BlockWords(const NormalizedOperator& op) { return op.weight().element.bits * 2 / Bytes(op.compute()); }

bool OneOf(int64_t value, std::initializer_list<int64_t> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// A candidate's parameters and what follows from them; decode.cuh derives the same.
struct Plan {
  int64_t rows, row_tiles, row_warps, warps, unit, loads, splits, pair_table;
  int64_t threads = 0, block_rows = 0, tiles = 0, units = 0, units_per_split = 0, token_tiles = 0, segments = 0;
  int64_t shared_bytes = 0;
  bool sums_over_x = false;
  int registers = 0;  // estimated

  Plan(const NormalizedOperator& op, const Candidate& c)
      : rows(c["rows"]),
        row_tiles(c["row_tiles"]),
        row_warps(c["row_warps"]),
        warps(c["warps"]),
        unit(c["unit"]),
        loads(c["loads"]),
        splits(c["splits"]),
        pair_table(c["pair_table"]) {
    if (InRange().ok()) Derive(op);
  }

  absl::Status InRange() const {
    if (OneOf(rows, {1, 2, 4, 8, 16}) && OneOf(row_tiles, {1, 2, 4}) && OneOf(row_warps, {1, 2, 4}) &&
        OneOf(warps, {1, 2, 4, 8, 16}) && OneOf(unit, {1, 2, 4}) && loads >= 1 && loads <= 8 && splits >= 1 &&
        splits <= 64 && OneOf(pair_table, {0, 1})) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("decode: a parameter is out of its range");
  }

  void Derive(const NormalizedOperator& op) {
    const WeightType& weight = op.weight();
    threads = 32 * warps * row_warps;
    block_rows = 16 * row_tiles * row_warps;
    tiles = CeilDiv(op.n(), block_rows);
    units = CeilDiv(CeilDiv(op.k(), BlockColumns(op)), unit);
    units_per_split = CeilDiv(units, splits);
    token_tiles = CeilDiv(rows, 8);
    const bool per_channel = weight.group == op.k();
    const int64_t columns = BlockColumns(op) * unit;
    segments = per_channel ? 0 : columns / std::gcd(weight.group, columns);
    const int64_t table_bytes = pair_table != 0 ? SharedTableBytes(op) : 0;
    const int64_t x_bytes = rows * (units_per_split * unit * 128 + 16);
    const int64_t sums_bytes = warps * rows * (block_rows + 4) * 4;
    sums_over_x = table_bytes + x_bytes + sums_bytes > kSeparateSumsBytes;
    shared_bytes =
        kFlagBytes + (sums_over_x ? std::max(table_bytes + x_bytes, sums_bytes) : table_bytes + x_bytes + sums_bytes);
    const int64_t planes = weight.zeros == ZeroMode::kNone ? 1 : 2;
    registers = static_cast<int>(24 + loads * row_tiles * (BlockWords(op) * unit + planes * segments) +
                                 row_tiles * token_tiles * (segments > 0 ? 8 : 4) + 4 * token_tiles);
    registers += static_cast<int>(Bytes(op.compute()) == 1 ? OtherRegistersOfBytes(op) : OtherRegisters(weight));
  }

  // With activations of 8 bits the compiler reads more of x ahead; fp8 goes through fp16 pairs where mma.sync is not
  // fp8's (sm_90).
  int64_t OtherRegistersOfBytes(const NormalizedOperator& op) const {
    const int64_t ahead = 10 * unit + (unit > 2 ? 16 * (token_tiles - 1) : 0);
    return op.compute() == DataType::kI8 ? ahead : ahead + 20 * row_tiles;
  }

  // What the assembler's figures show on top for weights of other widths than 4 bits: B fragments that long units of
  // narrow codes load ahead, addresses of many loads, and what the places of a code subtract for its zero point.
  int64_t OtherRegisters(const WeightType& weight) const {
    const int64_t bits = weight.element.bits;
    int64_t more = 0;
    if (unit == 4) more += 4 + 2 * row_tiles * token_tiles;
    if (loads == 4 && bits < 4 && token_tiles > 1) more += 6 * row_tiles;
    if (weight.zeros == ZeroMode::kQuantized && bits != 4) {
      more += row_tiles * 2 * std::max<int64_t>(1, segments) * std::max<int64_t>(1, 10 / bits);
    }
    return more;
  }

  // Why the plan is not a kernel for this operator and machine, or ok.
  absl::Status Check(const NormalizedOperator& op, const DeviceLimits& limits) const {
    if (absl::Status status = InRange(); !status.ok()) return status;
    if (threads > 1024) return absl::InvalidArgumentError(absl::StrCat("decode: ", threads, " threads a block"));
    if (!CanDecode(op, pair_table != 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("decode: ", op.weight().element.name, " is not decoded with pair_table=", pair_table));
    }
    if (shared_bytes > limits.shared_bytes_per_block) {
      return absl::InvalidArgumentError(absl::StrCat("decode: ", shared_bytes, " bytes of shared memory needed, ",
                                                     limits.shared_bytes_per_block, " there"));
    }
    if ((splits - 1) * units_per_split >= units) {
      return absl::InvalidArgumentError(absl::StrCat("decode: ", splits, " splits of ", units, " units of K"));
    }
    if (splits > 1 && tiles > kMaxCounters) {
      return absl::InvalidArgumentError(absl::StrCat("decode: ", tiles, " tiles are more than the workspace counts"));
    }
    return absl::OkStatus();
  }
};

class DecodeSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "decode"; }
  int revision() const override { return 1; }

  absl::Status Supports(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    if (target.vendor != Vendor::kNvidia || target.capability() < 80) {
      return absl::UnimplementedError("decode: needs an NVIDIA GPU of sm_80 or later");
    }
    const bool bytes = op.weight().element.quantized() && Bytes(op.compute()) == 1;
    absl::Status supported = bytes ? SupportsByteWeight(op, target) : SupportsQuantizedWeight(op);
    if (!supported.ok()) return supported;
    if (m > kMaxRows) return absl::UnimplementedError(absl::StrCat("decode: m = ", m, " is more than ", kMaxRows));
    if (Some(op, m, target, 1).empty()) {
      return absl::UnimplementedError(absl::StrCat("decode: ", m, " rows of K = ", op.k(), " fit no shared memory"));
    }
    return absl::OkStatus();
  }

  std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const override {
    return KeepFastest(
        *this, op, m, target, Some(op, m, target, std::numeric_limits<size_t>::max()),
        {.limit = kMaxCandidates, .family = {"row_tiles", "row_warps", "warps", "splits"}, .per_family = 4});
  }

  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                      const Target& target) const override {
    absl::Status status = CheckParameters(
        candidate, name(), {"rows", "row_tiles", "row_warps", "warps", "unit", "loads", "splits", "pair_table"});
    if (!status.ok()) return status;
    const Plan plan(op, candidate);
    status = plan.Check(op, target.limits);
    if (!status.ok()) return status;

    LoweredKernel kernel;
    KernelShape shape;
    shape.header = "schedules/matmul/decode.cuh";
    shape.function = "DecodeMatmul";
    shape.threads = static_cast<int>(plan.threads);
    // Registers are allotted for the blocks that fit, or that there are.
    shape.blocks_per_multiprocessor = static_cast<int>(std::min<int64_t>(
        Resident(plan, target.limits), CeilDiv(plan.tiles * plan.splits, std::max(1, target.limits.multiprocessors))));
    shape.parameters = {{"kRows", plan.rows},
                        {"kRowTiles", plan.row_tiles},
                        {"kRowWarps", plan.row_warps},
                        {"kWarps", plan.warps},
                        {"kUnit", plan.unit},
                        {"kLoads", plan.loads},
                        {"kSplits", plan.splits},
                        {"kPairTable", plan.pair_table},
                        {"kSumsOverX", plan.sums_over_x}};
    kernel.source.text = KernelText(op, shape);
    kernel.launch.threads = shape.threads;
    kernel.launch.shared_bytes = plan.shared_bytes;
    kernel.launch.m_tile = plan.rows;
    kernel.launch.blocks_per_m_tile = plan.tiles * plan.splits;
    kernel.launch.max_m = plan.rows;
    kernel.launch.workspace_bytes_per_m_tile =
        plan.splits > 1 ? plan.tiles * plan.splits * plan.rows * plan.block_rows * 4 : 0;
    kernel.launch.dependent_launch = target.capability() >= 90;
    kernel.numerics.scale_in_weights = op.weight().zeros == ZeroMode::kRescale;
    return kernel;
  }

  double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                 const Target& target) const override {
    const Plan plan(op, candidate);
    if (plan.threads == 0) return std::numeric_limits<double>::infinity();
    const DeviceLimits& limits = target.limits;
    const double processors = std::max(1, limits.multiprocessors);
    const double blocks = static_cast<double>(plan.tiles * plan.splits);
    const double row_tiles = static_cast<double>(plan.row_tiles);
    const double tokens = static_cast<double>(plan.token_tiles);
    const double steps = static_cast<double>(4 * plan.unit);  // of a turn
    // The busiest multiprocessor's work over the average.
    const double share = std::ceil(blocks / processors) * processors / blocks;

    // What the weight fragment of a step costs: decode, product, loads, and its part of the scales.
    const DecodeCost decode = FragmentDecodeCost(op, plan.pair_table != 0, false, target);
    const double scaling = static_cast<double>(plan.segments) / steps;
    const double instructions =
        decode.instructions + tokens + tokens / (2 * row_tiles) + scaling * (8 + 4 * tokens) + 1.5;

    // One warp's way through its share of a block, nothing hidden but what it has in flight itself.
    const double turns = static_cast<double>(CeilDiv(plan.units_per_split, plan.warps));
    const double rounds = std::ceil(turns / static_cast<double>(plan.loads));
    const double turn_cycles = steps * (kStepCycles + row_tiles * instructions * kLoneWarpCycles);
    const double x_bytes = static_cast<double>(m * plan.units_per_split * plan.unit * 128);
    const double staging = MemoryUs(limits, x_bytes * processors) / kCacheRate;
    const double table = plan.pair_table != 0 ? kPairTableUs / static_cast<double>(plan.threads) : 0;
    const double sums = kWarpSumUs * static_cast<double>(plan.warps) + kRowSumUs * static_cast<double>(m) * row_tiles;
    const double block = staging + table + rounds * kRoundUs + (turns - rounds) * kTurnUs +
                         turns * turn_cycles / (limits.clock_ghz * 1e3) + sums;
    const double places = processors * static_cast<double>(Resident(plan, limits));
    const double chains = block * std::ceil(blocks / places);

    // What all warps of a multiprocessor share.
    const int64_t row_tiles_in_all = plan.tiles * (plan.block_rows / 16);
    const double fragments = static_cast<double>(row_tiles_in_all * plan.units) * steps;
    const double issue = share * IssueUs(limits, fragments * instructions);
    const double integer = share * IntegerUs(limits, fragments * (decode.integer + scaling * 4 + 1));
    const double shared = share * SharedUs(limits, fragments * (decode.wavefronts + 2 * tokens / row_tiles));

    // What the machine shares.
    const double memory = MemoryUs(limits, static_cast<double>(WeightBytes(op) + ActivationBytes(op, m)));

    const double stream = Overlap({chains, issue, integer, shared, memory}, kOverlap);
    double splits = 0;
    if (plan.splits > 1) {
      const double numbers =
          std::max(1.0, static_cast<double>(m * plan.block_rows) / static_cast<double>(plan.threads));
      splits = kSplitUs + kSplitSumUs * static_cast<double>(plan.splits) * numbers;
    }
    return static_cast<double>(CeilDiv(m, plan.rows)) * (limits.launch_us + stream + splits);
  }

 private:
  static int Resident(const Plan& plan, const DeviceLimits& limits) {
    return std::max(
        1, BlocksPerMultiprocessor(limits, {static_cast<int>(plan.threads), plan.registers, plan.shared_bytes}));
  }

  // The first `limit` candidates that fit, in a fixed order.
  static std::vector<Candidate> Some(const NormalizedOperator& op, int64_t m, const Target& target, size_t limit) {
    std::vector<Candidate> some;
    if (m < 1 || m > kMaxRows) return some;
    const int64_t rows = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(m)));
    // As many bytes in flight take more columns of narrow codes.
    const int64_t widest = BlockWords(op) < 4 ? 4 : BlockWords(op) <= 8 ? 2 : 1;
    for (const int64_t row_tiles : {1, 2, 4}) {
      for (const int64_t row_warps : {1, 2, 4}) {
        if (row_warps > 1 && rows < 4) continue;  // sharing x pays when there is much of it
        for (const int64_t warps : {4, 8, 16}) {
          for (const int64_t unit : {1, 2, 4}) {
            if (unit > widest) continue;
            for (const int64_t loads : {1, 2, 4}) {
              for (const int64_t splits : {1, 2, 3, 4, 6, 8, 16}) {
                for (const int64_t pair_table : {0, 1}) {
                  if (!CanDecode(op, pair_table != 0)) continue;
                  Candidate c;
                  c.schedule = "decode";
                  c.parameters = {
                      {"rows", rows}, {"row_tiles", row_tiles}, {"row_warps", row_warps}, {"warps", warps},
                      {"unit", unit}, {"loads", loads},         {"splits", splits},       {"pair_table", pair_table}};
                  if (!Worthwhile(op, Plan(op, c), target.limits)) continue;
                  some.push_back(std::move(c));
                  if (some.size() == limit) return some;
                }
              }
            }
          }
        }
      }
    }
    return some;
  }

  static bool Worthwhile(const NormalizedOperator& op, const Plan& plan, const DeviceLimits& limits) {
    if (!plan.Check(op, limits).ok()) return false;
    if (BlocksPerMultiprocessor(limits, {static_cast<int>(plan.threads), plan.registers, plan.shared_bytes}) == 0) {
      return false;
    }
    if (plan.registers > 168) return false;  // the estimate is rough, spills are not worth measuring
    // The smallest shape of each kind stays, whatever K is, so that small operators have candidates.
    const bool smallest = plan.warps == 4 && plan.unit == 1 && plan.loads == 1 && plan.splits == 1;
    if (!smallest && plan.units_per_split < plan.warps * plan.loads) return false;  // loads that would never be used
    // Splits serve to fill the machine, or to make x fit.
    const int64_t enough = 8 * std::max(1, limits.multiprocessors);
    if (plan.splits > 1 && plan.tiles * (plan.splits - 1) > enough &&
        plan.shared_bytes < limits.shared_bytes_per_block / 4) {
      return false;
    }
    // Rescaled zeros and small groups hold many scales: more than one unit in a turn only adds registers.
    return plan.segments <= 4 || plan.unit == 1;
  }
};

}  // namespace

std::unique_ptr<const Schedule> MakeDecodeSchedule() { return std::make_unique<DecodeSchedule>(); }

}  // namespace ladder
