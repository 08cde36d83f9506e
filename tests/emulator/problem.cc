#include "tests/emulator/problem.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "core/layout/packed_layout.h"
#include "core/reference/matmul_reference.h"
#include "core/reference/operand_draw.h"
#include "core/tuning/error_bound.h"
#include "tests/emulator/kernel_image.h"

namespace ladder::emulator {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;  // splitmix64
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  double Uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(Bits() >> 11) * std::ldexp(1.0, -53);
  }

 private:
  uint64_t state_;
};

void FillUniform(DataType type, double low, double high, Random& random, std::span<uint8_t> out) {
  const int64_t count = static_cast<int64_t>(out.size()) / Bytes(type);
  for (int64_t i = 0; i < count; ++i) {
    StoreElement(type, out.data(), i, static_cast<float>(random.Uniform(low, high)));
  }
}

void FillWhole(DataType type, int magnitude, Random& random, std::span<uint8_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int value = static_cast<int>(random.Bits() % (2 * magnitude + 1)) - magnitude;
    StoreElement(type, out.data(), static_cast<int64_t>(i), static_cast<float>(value));
  }
}

}  // namespace

void DeviceBuffer::Free::operator()(uint8_t* p) const { std::free(p); }

DeviceBuffer::DeviceBuffer(int64_t bytes, uint8_t fill) : bytes_(bytes) {
  data_.reset(static_cast<uint8_t*>(std::aligned_alloc(256, (bytes + 256) / 256 * 256)));
  if (data_ == nullptr) throw std::bad_alloc();
  Fill(fill);
}

void DeviceBuffer::Fill(uint8_t value) { std::memset(data_.get(), value, bytes_); }

absl::StatusOr<Problem> DrawProblem(const NormalizedOperator& op, int64_t m, uint64_t seed) {
  Random random(seed);
  Problem problem;
  problem.op = op;
  problem.m = m;
  const PackedLayout layout = PackedLayout::For(op);
  const WeightType& weight = op.weight();
  problem.x = DeviceBuffer(m * op.k() * Bytes(op.activation()));
  const bool eight = Bytes(op.compute()) == 1;  // products of 16 bits keep what any operands have
  const OperandDraw draw = DrawFor(op);
  if (!eight) {
    const double most = op.activation() != DataType::kI8 ? 1 : draw.small_x != 0 ? draw.small_x : 127;
    FillUniform(op.activation(), -most, most, random, problem.x.span());
  } else if (draw.small_x != 0) {
    FillWhole(op.activation(), draw.small_x, random, problem.x.span());
  } else {
    for (uint8_t& byte : problem.x.span()) byte = static_cast<uint8_t>(random.Bits());
  }
  problem.codes.resize(NaturalWeightBytes(layout));
  if (eight && draw.small_w) {
    FillWhole(CodeType(weight.element), kSmallOperand, random, problem.codes);
  } else if (weight.element.quantized()) {
    const uint8_t mask = DrawsBelowTwo(weight.element) ? 0xbf : 0xff;
    for (uint8_t& byte : problem.codes) byte = static_cast<uint8_t>(random.Bits() & mask);
  } else {
    FillUniform(weight.element.plain, -0.1, 0.1, random, problem.codes);
  }
  if (weight.has_scale) {
    problem.scales.resize(NaturalScaleBytes(layout));
    const bool power = weight.scale == DataType::kE8M0;  // of either size, but of no sign
    // e4m3 ones up to their greatest, 448, where the result has room for it.
    const bool wide = weight.scale == DataType::kE4M3 && op.out() != DataType::kF16;
    const double smaller = std::exp2(-ScaleShift(op, power ? 4 : 0.02));
    for (int64_t i = 0; i < static_cast<int64_t>(problem.scales.size()) / Bytes(weight.scale); ++i) {
      const double magnitude = smaller * (power  ? std::exp2(random.Uniform(-40, 5))
                                          : wide ? std::min(448.0, std::exp2(random.Uniform(-6, 9)))
                                                 : random.Uniform(0.01, 0.03));
      StoreElement(weight.scale, problem.scales.data(), i,
                   static_cast<float>(power || random.Bits() % 4 ? magnitude : -magnitude));
    }
    problem.zeros.resize(NaturalZeroBytes(layout));
    switch (weight.zeros) {
      case ZeroMode::kNone:
        break;
      case ZeroMode::kOriginal:
        FillUniform(weight.scale, 0, std::ldexp(1.0, weight.element.bits) - 1, random, problem.zeros);
        break;
      case ZeroMode::kRescale:
        FillUniform(weight.scale, -0.3, 0.3, random, problem.zeros);
        break;
      case ZeroMode::kQuantized:
        for (uint8_t& byte : problem.zeros) byte = static_cast<uint8_t>(random.Bits());
        break;
    }
  }
  if (op.bias()) {
    problem.bias = DeviceBuffer(op.n() * Bytes(op.bias_type()));
    FillUniform(op.bias_type(), -1, 1, random, problem.bias.span());
  }
  std::vector<float> row_scales(op.activation_scale() == ActivationScale::kRow ? m : 0);
  for (float& scale : row_scales) scale = static_cast<float>(random.Uniform(draw.least_scale, draw.greatest_scale));
  if (!row_scales.empty()) {
    problem.row_scale = DeviceBuffer(m * 4);
    std::memcpy(problem.row_scale.data(), row_scales.data(), m * 4);
  }
  const bool groups = op.activation_scale() == ActivationScale::kGroup;
  if (groups) {
    problem.row_scale = DeviceBuffer(m * op.activation_scale_row_bytes());
    const DataType type = op.activation_scale_type();
    for (int64_t i = 0; i < problem.row_scale.size() / Bytes(type); i++) {
      const double scale = type == DataType::kE8M0 ? std::exp2(random.Uniform(-20, 3))
                                                   : random.Uniform(draw.least_scale, draw.greatest_scale);
      StoreElement(type, problem.row_scale.data(), i, static_cast<float>(scale));
    }
  }
  if (op.scales_sums()) problem.sum_scale = static_cast<float>(random.Uniform(draw.least_scale, draw.greatest_scale));
  if (op.scales_output()) problem.output_scale = static_cast<float>(random.Uniform(-2, 2));
  if (op.residual()) {
    problem.residual = DeviceBuffer(m * op.columns() * Bytes(op.out()));
    FillUniform(op.out(), -2, 2, random, problem.residual.span());
  }
  problem.w = DeviceBuffer(layout.weight_bytes());
  problem.scale = DeviceBuffer(layout.scale_bytes());
  problem.zero = DeviceBuffer(layout.zero_bytes());
  const absl::Status packed = PackReference(layout, problem.codes, problem.scales, problem.zeros, problem.w.span(),
                                            problem.scale.span(), problem.zero.span());
  if (!packed.ok()) return packed;
  std::vector<double> sums(m * op.n()), abs_sums(m * op.n());
  ReferenceMatmul(op, m, problem.x.span(), problem.codes, problem.scales, problem.zeros, problem.bias.span(),
                  {problem.sum_scale, row_scales, groups ? problem.row_scale.span() : std::span<uint8_t>()}, sums,
                  abs_sums);
  problem.y.resize(m * op.columns());
  problem.magnitude.resize(m * op.columns());
  ReferenceEpilogue(op, sums, abs_sums, problem.output_scale, problem.residual.span(), ProductError(op), problem.y,
                    problem.magnitude);
  return problem;
}

Verification Compare(const Problem& problem, const NumericsSpec& numerics, std::span<const uint8_t> y) {
  const ErrorBound bound = BoundFor(problem.op, numerics);
  Verification result;
  double error_norm = 0, reference_norm = 0;
  for (size_t i = 0; i < problem.y.size(); ++i) {
    const double expected = problem.y[i];
    const double allowed = bound.relative * std::fabs(expected) + bound.absolute * problem.magnitude[i] + bound.tiny;
    const double actual = LoadElement(problem.op.out(), y.data(), static_cast<int64_t>(i));
    const double error = std::fabs(actual - expected);
    reference_norm += expected * expected;
    if (error <= allowed) {  // false for a NaN
      error_norm += error * error;
      result.worst_ratio = std::max(result.worst_ratio, error / allowed);
      continue;
    }
    const double ratio = std::isfinite(error) ? error / allowed : HUGE_VAL;
    result.worst_ratio = std::max(result.worst_ratio, ratio);
    if (result.wrong_elements++ == 0) {
      result.detail = absl::StrCat("y[", i / problem.op.columns(), ", ", i % problem.op.columns(), "] = ", actual,
                                   ", expected ", expected, " +- ", allowed);
    }
  }
  result.relative_norm = reference_norm > 0 ? std::sqrt(error_norm / reference_norm) : 0;
  result.passed = result.wrong_elements == 0;
  return result;
}

absl::StatusOr<DeviceBuffer> RunProblem(const Problem& problem, const LaunchSpec& spec, const KernelImage& image,
                                        uint64_t seed, bool in_place) {
  const NormalizedOperator& op = problem.op;
  const bool maps = !spec.tensor_maps.empty();
  const int64_t wanted = maps ? sizeof(MatmulTmaArguments) : sizeof(MatmulArguments);
  if (image.argument_bytes() != wanted) {
    return absl::FailedPreconditionError(absl::StrCat("the kernel takes ", image.argument_bytes(),
                                                      " bytes of arguments, its launch spec says ", wanted));
  }
  const int64_t out_row = op.columns() * Bytes(op.out()), x_row = op.k() * Bytes(op.activation());
  DeviceBuffer y(problem.m * out_row, 0xff);
  for (int64_t first = 0; first < problem.m; first += spec.max_m) {
    const int64_t rows = std::min(spec.max_m, problem.m - first);
    // A launch sees its own rows only, so that reading past them fails.
    DeviceBuffer x(rows * x_row);
    std::memcpy(x.data(), problem.x.data() + first * x_row, rows * x_row);
    DeviceBuffer residual(op.residual() && !in_place ? rows * out_row : 0);
    if (op.residual()) {
      uint8_t* const to = in_place ? y.data() + first * out_row : residual.data();
      std::memcpy(to, problem.residual.data() + first * out_row, rows * out_row);
    }
    DeviceBuffer workspace(spec.WorkspaceBytes(rows), 0xff);
    std::memset(workspace.data(), 0, std::min(workspace.size(), kCounterBytes));

    MatmulTmaArguments arguments = {};
    auto pointer = [](const DeviceBuffer& buffer) { return buffer.size() > 0 ? buffer.data() : nullptr; };
    arguments.base.x = x.data();
    arguments.base.w = problem.w.data();
    arguments.base.scale = pointer(problem.scale);
    arguments.base.zero = pointer(problem.zero);
    arguments.base.bias = pointer(problem.bias);
    arguments.base.y = y.data() + first * out_row;
    arguments.base.workspace = workspace.size() > 0 ? workspace.data() : nullptr;
    arguments.base.m = static_cast<int>(rows);
    arguments.base.output_scale = problem.output_scale;
    arguments.base.sum_scale = problem.sum_scale;
    const int64_t scale_row = op.activation_scale_row_bytes();
    arguments.base.row_scale = scale_row > 0 ? problem.row_scale.data() + first * scale_row : nullptr;
    if (op.residual()) arguments.base.residual = in_place ? arguments.base.y : residual.data();
    for (const TensorMapSpec& map : spec.tensor_maps) {
      const bool is_x = map.operand != TensorOperand::kW;
      const int box_rows = map.BoxRows(is_x ? rows : op.n());
      if (box_rows == 0) continue;
      TensorMapContents contents;
      contents.base = is_x ? arguments.base.x : arguments.base.w;
      contents.rows = is_x ? rows : op.n();
      contents.columns = x_row / 2;  // 8-bit elements travel in pairs
      contents.box_rows = box_rows;
      contents.box_columns = map.box_columns;
      contents.swizzle_bytes = map.swizzle_bytes;
      const absl::Status encoded =
          EncodeTensorMap(contents, !is_x                                  ? arguments.w_map
                                    : map.operand == TensorOperand::kXTail ? arguments.x_tail_map
                                                                           : arguments.x_map);
      if (!encoded.ok()) return encoded;
    }

    Launch launch;
    launch.threads = spec.threads;
    launch.blocks = spec.Grid(rows);
    launch.cluster = spec.cluster;
    launch.shared_bytes = spec.shared_bytes;
    launch.dependent_launch = spec.dependent_launch;
    launch.seed = seed;
    auto input = [&](const char* name, const DeviceBuffer& buffer) {
      if (buffer.size() > 0) {
        launch.buffers.push_back({name, const_cast<uint8_t*>(buffer.data()), buffer.size(), false, false});
      }
    };
    input("w", problem.w);
    input("scale", problem.scale);
    input("zero", problem.zero);
    input("bias", problem.bias);
    if (problem.row_scale.size() > 0) {
      launch.buffers.push_back({"row_scale", const_cast<uint8_t*>(problem.row_scale.data()) + first * scale_row,
                                rows * scale_row, false, true});
    }
    launch.buffers.push_back({"x", x.data(), x.size(), false, true});
    if (residual.size() > 0) launch.buffers.push_back({"residual", residual.data(), residual.size(), false, true});
    launch.buffers.push_back({"y", y.data() + first * out_row, rows * out_row, true, true});
    if (workspace.size() > 0) launch.buffers.push_back({"workspace", workspace.data(), workspace.size(), true, true});
    absl::Status status = image.Run(launch, &arguments);
    if (!status.ok()) return status;
    for (int64_t i = 0; i < std::min(workspace.size(), kCounterBytes); ++i) {
      if (workspace.data()[i] != 0) {
        return absl::FailedPreconditionError(absl::StrCat("the kernel left a counter in the workspace at byte ", i));
      }
    }
  }
  return y;
}

}  // namespace ladder::emulator
