#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/ladder.h"
#include "client/matmul_state.h"

namespace ladder::client {
namespace {

absl::Status CheckArguments(const MatmulShape& shape, const LaunchArguments& arguments) {
  if (arguments.m < 1 || arguments.m > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("m: ", arguments.m, " is not a number of rows"));
  }
  if (arguments.x == nullptr) return absl::InvalidArgumentError("x: the activations are missing");
  if (arguments.y == nullptr) return absl::InvalidArgumentError("y: the output is missing");
  if (arguments.weight == nullptr) return absl::InvalidArgumentError("weight: the packed weight is missing");
  if (shape.scales && arguments.scale == nullptr)
    return absl::InvalidArgumentError("scale: the packed scales are missing");
  if (shape.zeros && arguments.zero == nullptr) return absl::InvalidArgumentError("zero: the packed zeros are missing");
  if (shape.bias && arguments.bias == nullptr)
    return absl::InvalidArgumentError("bias: the operator has a bias, and it is missing");
  if (!shape.bias && arguments.bias != nullptr) {
    return absl::InvalidArgumentError("bias: the operator has none; ask for it with MatmulDescriptor::bias");
  }
  if (shape.residual && arguments.residual == nullptr) {
    return absl::InvalidArgumentError("residual: the operator has a residual, and it is missing");
  }
  if (!shape.residual && arguments.residual != nullptr) {
    return absl::InvalidArgumentError("residual: the operator has none; ask for it with MatmulDescriptor::residual");
  }
  if (!shape.output_scale && arguments.output_scale != 1) {
    return absl::InvalidArgumentError(
        "output_scale: the operator has none; ask for it with MatmulDescriptor::output_scale");
  }
  if (!shape.tensor_scale && arguments.tensor_scale != 1) {
    return absl::InvalidArgumentError(
        "tensor_scale: the weight has none; ask for it with MatmulDescriptor::tensor_scale");
  }
  if (!shape.a_scale && arguments.a_scale != 1) {
    return absl::InvalidArgumentError(
        "a_scale: the activations have none; ask for it with MatmulDescriptor::a_scale = \"tensor\"");
  }
  if (shape.row_scale && arguments.row_scale == nullptr) {
    return absl::InvalidArgumentError(
        "row_scale: the activations have scales, for each row or group, and they are missing");
  }
  if (!shape.row_scale && arguments.row_scale != nullptr) {
    return absl::InvalidArgumentError(
        "row_scale: the activations have none; ask for it with MatmulDescriptor::a_scale = \"row\" or \"group128\"");
  }
  return absl::OkStatus();
}

}  // namespace

Matmul::Matmul(std::unique_ptr<MatmulState> state) : state_(std::move(state)) {}
Matmul::~Matmul() = default;

const std::string& Matmul::layout_id() const { return state_->packer().plan().layout_id; }
WeightSizes Matmul::natural_sizes() const { return state_->packer().plan().natural; }
WeightSizes Matmul::packed_sizes() const { return state_->packer().plan().packed; }

absl::Status Matmul::Pack(const NaturalWeight& natural, const PackedWeight& packed, void* stream) {
  return state_->packer().Pack(natural, packed, stream);
}

absl::Status Matmul::Unpack(const PackedWeight& packed, const PackedWeight& natural, void* stream) {
  return state_->packer().Unpack(packed, natural, stream);
}

int64_t Matmul::WorkspaceBytes(int64_t max_m) { return state_->table().PromiseWorkspace(max_m); }

absl::Status Matmul::Launch(const LaunchArguments& arguments, void* stream) const {
  absl::Status status = CheckArguments(state_->shape(), arguments);
  if (!status.ok()) return status;
  const LoadedKernel* kernel = state_->table().Find(arguments.m);
  const int64_t workspace_bytes = kernel->plan().WorkspaceBytes(arguments.m);
  if (workspace_bytes > 0 && (arguments.workspace == nullptr || arguments.workspace_bytes < workspace_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("workspace: m = ", arguments.m, " needs ", workspace_bytes,
                                                   " bytes and ", arguments.workspace_bytes,
                                                   " were given; ask WorkspaceBytes"));
  }
  return kernel->Launch(arguments, stream);
}

std::vector<KernelInfo> Matmul::Kernels() const { return state_->table().List(); }
int64_t Matmul::swaps() const { return state_->swaps(); }

}  // namespace ladder::client
