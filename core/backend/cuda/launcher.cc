#include "core/backend/cuda/launcher.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backend/cuda/status_macros.h"

namespace ladder::cuda {
namespace {

absl::Status CheckSpec(const LaunchSpec& spec) {
  if (spec.threads < 1 || spec.threads > 1024 || spec.cluster < 1 || spec.cluster > 16 || spec.m_tile < 1 ||
      spec.blocks_per_m_tile < 1 || spec.max_m < 1 || spec.shared_bytes < 0 || spec.max_blocks < 0) {
    return absl::InvalidArgumentError(absl::StrCat("launch spec of '", spec.entry, "' makes no sense: ", spec.threads,
                                                   " threads, cluster ", spec.cluster, ", m_tile ", spec.m_tile, ", ",
                                                   spec.blocks_per_m_tile, " blocks per m tile, max_m ", spec.max_m,
                                                   ", ", spec.shared_bytes, " bytes of shared memory"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoadedKernel> LoadedKernel::Load(const KernelBinary& binary) {
  LADDER_RETURN_IF_ERROR(CheckSpec(binary.launch));
  LADDER_ASSIGN_OR_RETURN(Module module, Module::Load(binary.binary));
  LADDER_ASSIGN_OR_RETURN(CUfunc_st* const function, module.Function(binary.launch.entry));
  LADDER_RETURN_IF_ERROR(AllowSharedMemory(function, binary.launch.shared_bytes));
  return LoadedKernel(std::move(module), function, binary.launch);
}

absl::Status LoadedKernel::Enqueue(const NormalizedOperator& op, int64_t m, DevicePointer x,
                                   const WeightPointers& weight, const EpilogueArguments& epilogue, DevicePointer y,
                                   DevicePointer workspace, bool follows_kernel, const Stream& stream) const {
  const int64_t y_row_bytes = op.columns() * Bytes(op.out());
  for (int64_t first = 0; first < m; first += spec_.max_m) {
    const int64_t rows = std::min(spec_.max_m, m - first);
    MatmulTmaArguments arguments;
    std::memset(static_cast<void*>(&arguments), 0, sizeof(arguments));
    MatmulArguments& base = arguments.base;
    base.x = x + static_cast<DevicePointer>(first * op.k() * Bytes(op.activation()));
    base.w = weight.w;
    base.scale = weight.scale;
    base.zero = weight.zero;
    base.bias = weight.bias;
    base.y = y + static_cast<DevicePointer>(first * y_row_bytes);
    base.workspace = workspace;
    base.m = static_cast<int32_t>(rows);
    base.output_scale = epilogue.output_scale;
    if (epilogue.row_scale != 0) {
      base.row_scale = epilogue.row_scale + static_cast<DevicePointer>(first * op.activation_scale_row_bytes());
    }
    base.sum_scale = epilogue.sum_scale;
    if (epilogue.residual != 0) base.residual = epilogue.residual + static_cast<DevicePointer>(first * y_row_bytes);
    for (const TensorMapSpec& map : spec_.tensor_maps) {
      const bool is_x = map.operand != TensorOperand::kW;
      const int64_t matrix_rows = is_x ? rows : op.n();
      if (map.BoxRows(matrix_rows) == 0) continue;
      TensorMap& encoded = !is_x                                  ? arguments.w_map
                           : map.operand == TensorOperand::kXTail ? arguments.x_tail_map
                                                                  : arguments.x_map;
      // Elements of 8 bits travel in pairs.
      LADDER_ASSIGN_OR_RETURN(
          encoded, EncodeTensorMap(is_x ? base.x : base.w, matrix_rows, op.k() * Bytes(op.activation()) / 2,
                                   op.activation() == DataType::kBF16, map.box_columns, map.BoxRows(matrix_rows),
                                   map.swizzle_bytes));
    }
    LaunchShape shape;
    shape.grid = spec_.Grid(rows);
    shape.threads = spec_.threads;
    shape.cluster = spec_.cluster;
    shape.shared_bytes = spec_.shared_bytes;
    shape.dependent = spec_.dependent_launch && (follows_kernel || first > 0);
    const void* const passed = spec_.tensor_maps.empty() ? static_cast<const void*>(&base) : &arguments;
    LADDER_RETURN_IF_ERROR(Launch(function_, shape, passed, stream));
  }
  return absl::OkStatus();
}

}  // namespace ladder::cuda
