#include "client/launch_plan.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::client {
namespace {

constexpr int64_t kMaxWorkspaceBytes = int64_t{1} << 62;

absl::Status Unlaunchable(absl::string_view what, int64_t value) {
  return absl::InternalError(absl::StrCat("the service sent a kernel that can't be launched: ", what, " is ", value));
}

absl::StatusOr<TensorMapPlan> PlanTensorMap(const tune::v1::TensorMapSpec& spec) {
  TensorMapPlan plan;
  plan.tail = spec.operand() == tune::v1::TENSOR_OPERAND_X_TAIL;
  plan.of_x = spec.operand() == tune::v1::TENSOR_OPERAND_X || plan.tail;
  if (!plan.of_x && spec.operand() != tune::v1::TENSOR_OPERAND_W)
    return Unlaunchable("a tensor map's operand", spec.operand());
  // The hardware's limits: at most 256 elements a side, a row of the box a multiple of 16 bytes.
  if (spec.box_columns() < 8 || spec.box_columns() > 256 || spec.box_columns() % 8 != 0) {
    return Unlaunchable("a tensor map's box_columns", spec.box_columns());
  }
  if (spec.box_rows() < 1 || spec.box_rows() > 256) return Unlaunchable("a tensor map's box_rows", spec.box_rows());
  plan.box[0] = static_cast<uint32_t>(spec.box_columns());
  plan.box[1] = static_cast<uint32_t>(spec.box_rows());
  switch (spec.swizzle_bytes()) {
    case 0:
      plan.swizzle = kTensorSwizzleNone;
      break;
    case 32:
      plan.swizzle = kTensorSwizzle32B;
      break;
    case 64:
      plan.swizzle = kTensorSwizzle64B;
      break;
    case 128:
      plan.swizzle = kTensorSwizzle128B;
      break;
    default:
      return Unlaunchable("a tensor map's swizzle_bytes", spec.swizzle_bytes());
  }
  return plan;
}

}  // namespace

absl::StatusOr<MatmulShape> ShapeOf(const tune::v1::OperatorDescriptor& op) {
  MatmulShape shape;
  if (op.n() < 1 || op.k() < 1) return absl::InternalError("the service sent a record without a shape");
  shape.n = op.n();
  shape.k = op.k();
  if (op.a() == "fp16") {
    shape.tensor_type = kTensorFloat16;
  } else if (op.a() == "bf16") {
    shape.tensor_type = kTensorBFloat16;
  } else if (op.a() == "int8" || op.a() == "fp8_e4m3" || op.a() == "fp8_e5m2") {
    shape.scales_sums = true;
  } else if (op.a() == "mxfp8_e4m3" || op.a() == "mxfp8_e5m2") {
    shape.scales_sums = shape.row_scale = true;
    shape.row_scale_bytes = shape.k / 32;
  } else {
    return absl::InternalError(absl::StrCat("this client doesn't know the activation type \"", op.a(),
                                            "\"; use the client of the service's version"));
  }
  shape.x_row_bytes = shape.scales_sums ? shape.k : shape.k * 2;
  int64_t group = 0;
  if (op.a_scale() == "row") {
    shape.row_scale = true;
    shape.row_scale_bytes = 4;
  } else if (absl::string_view name = op.a_scale();
             absl::ConsumePrefix(&name, "group") && absl::SimpleAtoi(name, &group) && group > 0) {
    shape.row_scale = true;
    shape.row_scale_bytes = shape.k / group * 4;
  } else if (op.a_scale() == "tensor") {
    shape.a_scale = true;
  } else if (!op.a_scale().empty() && op.a_scale() != "none") {
    return absl::InternalError(absl::StrCat("this client doesn't know the activation scales \"", op.a_scale(),
                                            "\"; use the client of the service's version"));
  }
  const int64_t columns = op.act() == "swiglu" ? shape.n / 2 : shape.n;
  if (op.out() == "fp32") {
    shape.y_row_bytes = columns * 4;
  } else if (op.out() == "fp16" || op.out() == "bf16") {
    shape.y_row_bytes = columns * 2;
  } else {
    return absl::InternalError(absl::StrCat("this client doesn't know the output type \"", op.out(),
                                            "\"; use the client of the service's version"));
  }
  shape.quantized = op.w() != "fp16" && op.w() != "bf16";
  shape.scales = shape.quantized && op.scale() != "none";
  shape.zeros = shape.quantized && !op.zeros().empty() && op.zeros() != "none";
  shape.bias = op.bias();
  shape.output_scale = op.output_scale();
  shape.tensor_scale = op.tensor_scale();
  shape.residual = op.residual();
  constexpr absl::string_view kActs[] = {"", "none", "silu", "gelu", "gelu_tanh", "swiglu"};
  if (std::find(std::begin(kActs), std::end(kActs), op.act()) == std::end(kActs)) {
    return absl::InternalError(absl::StrCat("this client doesn't know the activation function \"", op.act(),
                                            "\"; use the client of the service's version"));
  }
  return shape;
}

absl::StatusOr<LaunchPlan> LaunchPlan::From(const tune::v1::LaunchSpec& spec) {
  constexpr int64_t kMaxInt = std::numeric_limits<int>::max();
  if (spec.entry().empty()) return absl::InternalError("the service sent a kernel without an entry name");
  if (spec.threads() < 1 || spec.threads() > 1024) return Unlaunchable("threads", spec.threads());
  if (spec.cluster() < 0 || spec.cluster() > 16) return Unlaunchable("cluster", spec.cluster());
  if (spec.shared_bytes() < 0 || spec.shared_bytes() > kMaxInt)
    return Unlaunchable("shared_bytes", spec.shared_bytes());
  // Bounded, so that no product below overflows.
  if (spec.m_tile() < 1 || spec.m_tile() > kMaxInt) return Unlaunchable("m_tile", spec.m_tile());
  if (spec.blocks_per_m_tile() < 1 || spec.blocks_per_m_tile() > kMaxInt)
    return Unlaunchable("blocks_per_m_tile", spec.blocks_per_m_tile());
  if (spec.max_blocks() < 0) return Unlaunchable("max_blocks", spec.max_blocks());
  if (spec.max_m() < 1 || spec.max_m() > kMaxInt) return Unlaunchable("max_m", spec.max_m());
  const int64_t tiles = (spec.max_m() + spec.m_tile() - 1) / spec.m_tile();
  if (spec.workspace_bytes_per_m_tile() < 0 || spec.workspace_bytes_per_m_tile() > kMaxWorkspaceBytes / tiles) {
    return Unlaunchable("workspace_bytes_per_m_tile", spec.workspace_bytes_per_m_tile());
  }
  LaunchPlan plan;
  plan.entry = spec.entry();
  plan.threads = static_cast<unsigned>(spec.threads());
  plan.cluster = static_cast<unsigned>(std::max(spec.cluster(), 1));
  plan.shared_bytes = static_cast<unsigned>(spec.shared_bytes());
  plan.m_tile = spec.m_tile();
  plan.blocks_per_m_tile = spec.blocks_per_m_tile();
  plan.max_blocks = spec.max_blocks();
  plan.max_m = spec.max_m();
  plan.workspace_bytes_per_m_tile = spec.workspace_bytes_per_m_tile();
  plan.dependent_launch = spec.dependent_launch();
  if (plan.Grid(plan.max_m) > kMaxInt) return Unlaunchable("the grid at max_m", plan.Grid(plan.max_m));
  if (spec.tensor_maps_size() > 3) return Unlaunchable("the number of tensor maps", spec.tensor_maps_size());
  for (const tune::v1::TensorMapSpec& map : spec.tensor_maps()) {
    absl::StatusOr<TensorMapPlan> tensor_map = PlanTensorMap(map);
    if (!tensor_map.ok()) return tensor_map.status();
    plan.tensor_maps.push_back(*tensor_map);
  }
  return plan;
}

int64_t LaunchPlan::WorkspaceBytes(int64_t m) const {
  if (workspace_bytes_per_m_tile == 0) return 0;
  const int64_t rows = std::min(m, max_m);
  return kCounterBytes + (rows + m_tile - 1) / m_tile * workspace_bytes_per_m_tile;
}

}  // namespace ladder::client
