#include "core/schedule/cost_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "core/layout/packed_layout.h"

namespace ladder {
namespace {

constexpr int64_t kReservedSharedBytes = 1024;  // the driver's share of every block, sm_80 and up
constexpr double kIssuePerClock = 4 * 0.8;
constexpr double kIntegerPerClock = 2 * 0.9;
constexpr double kLatencyUs = 0.75;  // of device memory under load
constexpr double kReachable = 0.93;  // of the read rate, by a kernel that does other things too

double PerClockUs(const DeviceLimits& limits, double count, double per_clock) {
  return count / (per_clock * std::max(1, limits.multiprocessors) * limits.clock_ghz * 1e3);
}

}  // namespace

int BlocksPerMultiprocessor(const DeviceLimits& limits, const BlockResources& block) {
  if (block.threads <= 0 || block.shared_bytes > limits.shared_bytes_per_block) return 0;
  const int64_t registers = (block.registers + 7) / 8 * 8;  // allotted in steps of 8
  int64_t blocks = limits.blocks_per_multiprocessor;
  blocks = std::min<int64_t>(blocks, limits.threads_per_multiprocessor / block.threads);
  blocks = std::min<int64_t>(blocks, limits.registers_per_multiprocessor / (registers * block.threads));
  blocks =
      std::min<int64_t>(blocks, limits.shared_bytes_per_multiprocessor / (block.shared_bytes + kReservedSharedBytes));
  return static_cast<int>(blocks);
}

int64_t WeightBytes(const NormalizedOperator& op) {
  if (!op.weight().element.quantized()) return op.n() * op.k() * Bytes(op.weight().element.plain);
  const PackedLayout layout = PackedLayout::For(op);
  return layout.weight_bytes() + layout.scale_bytes() + layout.zero_bytes();
}

int64_t ActivationBytes(const NormalizedOperator& op, int64_t m) {
  const int64_t y = m * op.columns() * Bytes(op.out());
  return m * (op.k() * Bytes(op.activation()) + op.activation_scale_row_bytes()) + (op.residual() ? 2 * y : y);
}

double Flops(const NormalizedOperator& op, int64_t m) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(op.n()) * static_cast<double>(op.k());
}

double MemoryUs(const DeviceLimits& limits, double bytes) { return bytes / (limits.read_gb_per_s * 1e3); }

double TensorUs(const DeviceLimits& limits, double flops) { return flops / (limits.dense_fp16_tflops * 1e6); }

double IssueUs(const DeviceLimits& limits, double instructions) {
  return PerClockUs(limits, instructions, kIssuePerClock);
}

double IntegerUs(const DeviceLimits& limits, double instructions) {
  return PerClockUs(limits, instructions, kIntegerPerClock);
}

double SharedUs(const DeviceLimits& limits, double wavefronts) { return PerClockUs(limits, wavefronts, 1); }

double CacheUs(const DeviceLimits& limits, double bytes) { return MemoryUs(limits, bytes) / 1.5; }

double LatencyEfficiency(const DeviceLimits& limits, double bytes_in_flight) {
  const double needed = limits.read_gb_per_s * 1e3 * kLatencyUs / std::max(1, limits.multiprocessors);
  // Between the two regimes: what is asked for comes after the latency, or at the memory's rate.
  return kReachable * std::pow(std::pow(needed / std::max(1.0, bytes_in_flight), 3) + 1, -1.0 / 3);
}

double Overlap(std::initializer_list<double> parts, double norm) {
  // Of the longest's share, so that no power overflows.
  const double longest = std::max(parts);
  if (longest <= 0) return 0;
  double sum = 0;
  for (const double part : parts) sum += std::pow(part / longest, norm);
  return longest * std::pow(sum, 1 / norm);
}

double WaveQuantisation(double blocks, double places) {
  if (blocks <= places || places <= 0) return 1;
  const double waves = blocks / places;
  return std::ceil(waves) / waves;
}

namespace {

// Of the pairs that no cell holds whole, the runs of bits that they consist of: per pair of all.
double SplitRuns(int bits) {
  const int whole = 16 / bits, rest = 16 % bits, left = 16 - whole * bits;
  if (rest == 0) return 0;
  const int runs = (bits + rest - 1) / rest + (bits % rest == 0 ? 0 : 1);  // of a code
  return left * runs / 16.0;
}
// What putting them together costs: a shift and a mask a run.
double GatherCost(int bits) { return 2 * SplitRuns(bits); }

// Of the four pairs of a step, by counting decode_integer_step: a mask and a fused operation for a code that a cell
// holds whole, a mask and mostly a shift more for each run of bits of one that it doesn't, and a shift for each window
// of a word but the first.
DecodeCost IntegerDecodeCost(int bits, DataType compute, bool is_signed) {
  const int mantissa = compute == DataType::kF16 ? 10 : 7;
  // Two masks and two subtractions (three with zero points), and a shift for every other pair.
  if (bits > mantissa) return {is_signed ? 14.0 : 18.0, 10, 0};
  const int whole = 16 / bits, left = 16 - whole * bits;
  const int shifts = bits * ((whole - 1) / (mantissa / bits));
  const double integer = (whole * bits + shifts + left) / 4.0 + 4 * GatherCost(bits);
  return {integer + 4, integer, 0};
}

// Of the four registers of a k32 step, by counting decode_byte_step: a shift and a mask for codes that a cell holds
// whole, less the shifts of those that lie in place, and a pair of them for each run of bits of the others; permutes
// where codes are looked up; two operations for a zero point.
DecodeCost ByteDecodeCost(const NormalizedOperator& op) {
  const PackedLayout layout = PackedLayout::For(op);
  if (layout.placement == CodePlacement::kNatural) return {};
  const int bits = layout.bits;
  double integer = 0;
  if (layout.placement == CodePlacement::kByteTable) {
    integer = bits == 4 ? 2 * 11 : 2 * 4;
  } else if (bits < 8) {
    const int whole = 8 / bits, rest = 8 % bits, left = 16 - whole * 2 * bits;
    const int runs = rest == 0 ? 0 : left * ((bits + rest - 1) / rest);
    integer = (whole * 2 * bits * (2 - 1.0 / whole) + 2 * runs) / 4;
    if (op.weight().element.tabular()) integer += 8;
  }
  if (op.weight().zeros != ZeroMode::kNone) integer += 8;
  return {integer, integer, 0};
}

// The same by counting decode_fp8_step (a permute, and mostly a conversion, which takes an integer operation's place;
// to bf16 three operations more, one of them an integer's), decode_float_step (masks, shifts - none where a code tops
// its cell -, an addition, a mask and an addition for a NaN) and the lookups in decode_shared_table: indices, loads, a
// permute.
DecodeCost FloatDecodeCost(const ElementType& element, DataType compute, const Target& target) {
  if (element.format == kE5M2 || (element.format == kE4M3 && target.capability() >= 89)) {
    const double integer = (element.format == kE5M2 ? 4 : 8) + (compute == DataType::kF16 ? 0 : 4);
    return {integer + (compute == DataType::kF16 ? 0 : 8), integer, 0};
  }
  const double nan = element.format.specials == FloatSpecials::kNone ? 0 : 3;
  const double integer = 4 * ((element.bits == 8 ? 3.5 : 4) + nan + GatherCost(element.bits));
  return {integer + 4, integer, 0};
}
DecodeCost LookupDecodeCost(int bits) {
  const double integer = 4 * ((bits == 8 ? 4 : 6) + 1 + GatherCost(bits));
  return {integer + 8, integer, 8};
}

}  // namespace

DecodeCost FragmentDecodeCost(const NormalizedOperator& op, bool pair_table, bool scale_in_weights,
                              const Target& target) {
  const WeightType& weight = op.weight();
  DecodeCost cost;
  if (!weight.element.quantized()) return cost;
  if (Bytes(op.compute()) == 1) return ByteDecodeCost(op);
  if (weight.element.tabular()) {
    if (weight.element.bits > 4) {
      cost = pair_table ? LookupDecodeCost(weight.element.bits) : FloatDecodeCost(weight.element, op.compute(), target);
    } else {
      cost = pair_table                 ? DecodeCost{12, 8, 4}
             : weight.element.bits == 4 ? DecodeCost{30, 30, 0}
                                        : DecodeCost{11, 11, 0};  // eight permutes, selectors, a shift
    }
  } else if (weight.element.bits != 4) {
    cost = IntegerDecodeCost(weight.element.bits, op.compute(), weight.element.kind == ElementKind::kSigned);
  } else {
    cost = op.compute() == DataType::kF16 ? DecodeCost{9, 5, 0} : DecodeCost{11, 7, 0};
  }
  if (weight.zeros == ZeroMode::kOriginal || weight.zeros == ZeroMode::kRescale) {
    // Rounding the zero to another type first would cancel, so mixed types go through fp32.
    cost.instructions += weight.scale == op.compute() ? 4 : 20;
  }
  if (scale_in_weights && weight.zeros != ZeroMode::kRescale) cost.instructions += 4;
  return cost;
}

std::vector<Candidate> KeepFastest(const Schedule& schedule, const NormalizedOperator& op, int64_t m,
                                   const Target& target, std::vector<Candidate> candidates, const KeepRule& rule) {
  std::vector<std::pair<double, size_t>> order;
  order.reserve(candidates.size());
  for (size_t i = 0; i < candidates.size(); i++) order.emplace_back(schedule.Predict(op, m, candidates[i], target), i);
  std::sort(order.begin(), order.end());
  std::map<std::vector<int64_t>, size_t> taken;
  std::vector<Candidate> kept;
  for (const auto& [predicted, i] : order) {
    if (kept.size() == rule.limit) break;
    std::vector<int64_t> family;
    for (const absl::string_view name : rule.family) family.push_back(candidates[i].Get(name, 1));
    if (taken[family]++ < rule.per_family) kept.push_back(std::move(candidates[i]));
  }
  return kept;
}

}  // namespace ladder
