#include "client/loaded_kernel.h"

#include <utility>

#include "client/kernel_arguments.h"

namespace ladder::client {

absl::StatusOr<std::shared_ptr<const Module>> Module::Load(const CudaDriver& driver, CuContext context,
                                                           const std::string& binary) {
  ScopedContext scope(driver, context);
  // A load is "potentially unsafe" during another thread's stream capture and would end that capture; relaxed mode, for
  // this thread only, says that it is not part of any.
  int mode = kCaptureModeRelaxed;
  driver.cuThreadExchangeStreamCaptureMode(&mode);
  CuModule module = nullptr;
  const CuResult result = driver.cuModuleLoadData(&module, binary.data());
  driver.cuThreadExchangeStreamCaptureMode(&mode);
  if (absl::Status status = driver.Check(result, "loading a kernel onto the GPU"); !status.ok()) return status;
  return std::shared_ptr<const Module>(new Module(driver, context, module));
}

Module::~Module() {
  ScopedContext scope(driver_, context_);
  driver_.cuModuleUnload(module_);
}

absl::StatusOr<CuFunction> Module::Function(const std::string& name) const {
  ScopedContext scope(driver_, context_);
  CuFunction function = nullptr;
  const CuResult result = driver_.cuModuleGetFunction(&function, module_, name.c_str());
  if (absl::Status status = driver_.Check(result, "finding the kernel " + name); !status.ok()) return status;
  return function;
}

absl::StatusOr<LoadedKernel> LoadedKernel::Create(const CudaDriver& driver, CuContext context,
                                                  std::shared_ptr<const Module> module, const MatmulShape& shape,
                                                  LaunchPlan plan) {
  absl::StatusOr<CuFunction> function = module->Function(plan.entry);
  if (!function.ok()) return function.status();
  {
    // Also brings the code onto the GPU now (the driver loads lazily), not at the first launch.
    ScopedContext scope(driver, context);
    absl::Status status =
        driver.Check(driver.cuFuncSetAttribute(*function, kMaxDynamicSharedBytes, static_cast<int>(plan.shared_bytes)),
                     "reserving a kernel's shared memory");
    if (status.ok() && plan.cluster > 8) {
      status = driver.Check(driver.cuFuncSetAttribute(*function, kNonPortableClusterAllowed, 1),
                            "allowing a kernel's cluster size");
    }
    if (!status.ok()) return status;
  }
  LoadedKernel kernel;
  kernel.driver_ = &driver;
  kernel.module_ = std::move(module);
  kernel.function_ = *function;
  kernel.shape_ = shape;
  kernel.plan_ = std::move(plan);
  kernel.config_.block_x = kernel.plan_.threads;
  kernel.config_.shared_bytes = kernel.plan_.shared_bytes;
  if (kernel.plan_.cluster > 1) {
    CuLaunchAttribute& attribute = kernel.attributes_[kernel.attribute_count_++];
    attribute.id = kClusterDimension;
    attribute.value.cluster = {kernel.plan_.cluster, 1, 1};
  }
  if (kernel.plan_.dependent_launch) {
    CuLaunchAttribute& attribute = kernel.attributes_[kernel.attribute_count_++];
    attribute.id = kProgrammaticStreamSerialization;
    attribute.value.allowed = 1;
  }
  return kernel;
}

absl::Status LoadedKernel::EncodeMap(const TensorMapPlan& plan, const void* address, int64_t rows,
                                     CuTensorMap& map) const {
  const uint64_t dimensions[2] = {static_cast<uint64_t>(shape_.x_row_bytes / 2), static_cast<uint64_t>(rows)};
  const uint64_t strides[1] = {static_cast<uint64_t>(shape_.x_row_bytes)};
  uint32_t box[2] = {plan.box[0], plan.box[1]};
  if (plan.tail) box[1] = static_cast<uint32_t>(rows % plan.box[1]);
  if (box[1] == 0) return absl::OkStatus();  // no such rows
  constexpr uint32_t kElementStrides[2] = {1, 1};
  const CuResult result = driver_->cuTensorMapEncodeTiled(
      &map, shape_.tensor_type, 2, const_cast<void*>(address), dimensions, strides, box, kElementStrides,
      /*interleave=*/0, plan.swizzle, kTensorL2Promotion256B, /*out_of_bounds_fill=*/0);
  if (result == 0) return absl::OkStatus();
  return driver_->Check(result, plan.of_x ? "describing x to the GPU (is it aligned to 16 bytes?)"
                                          : "describing the weight to the GPU (is it aligned to 16 bytes?)");
}

absl::Status LoadedKernel::LaunchSlice(const LaunchArguments& arguments, int64_t first_row, int64_t rows,
                                       CuStream stream) const {
  MatmulTmaArguments kernel_arguments;
  MatmulArguments& base = kernel_arguments.base;
  base.x = static_cast<const char*>(arguments.x) + first_row * shape_.x_row_bytes;
  base.w = arguments.weight;
  base.scale = arguments.scale;
  base.zero = arguments.zero;
  base.bias = arguments.bias;
  base.y = static_cast<char*>(arguments.y) + first_row * shape_.y_row_bytes;
  base.workspace = arguments.workspace;
  base.m = static_cast<int>(rows);
  if (shape_.scales_sums) {
    base.output_scale = arguments.output_scale;
    base.sum_scale = arguments.a_scale * arguments.tensor_scale;
  } else {
    base.output_scale = arguments.output_scale * arguments.tensor_scale;  // nothing comes between the two
  }
  if (arguments.row_scale != nullptr) {
    base.row_scale = static_cast<const char*>(arguments.row_scale) + first_row * shape_.row_scale_bytes;
  }
  if (arguments.residual != nullptr) {
    base.residual = static_cast<const char*>(arguments.residual) + first_row * shape_.y_row_bytes;
  }
  for (const TensorMapPlan& map : plan_.tensor_maps) {
    CuTensorMap& x_map = map.tail ? kernel_arguments.x_tail_map : kernel_arguments.x_map;
    absl::Status status =
        map.of_x ? EncodeMap(map, base.x, rows, x_map) : EncodeMap(map, base.w, shape_.n, kernel_arguments.w_map);
    if (!status.ok()) return status;
  }
  CuLaunchConfig config = config_;
  config.grid_x = static_cast<unsigned>(plan_.Grid(rows));
  config.stream = stream;
  config.attributes = attributes_;
  config.attribute_count = attribute_count_ - (plan_.dependent_launch && !arguments.overlap_predecessor ? 1 : 0);
  // The driver copies as many bytes as the kernel's parameter has, so one buffer serves kernels with and without maps.
  void* parameters[1] = {&kernel_arguments};
  const CuResult result = driver_->cuLaunchKernelEx(&config, function_, parameters, nullptr);
  if (result == 0) return absl::OkStatus();
  return driver_->Check(result, "launching a matmul kernel");
}

absl::Status LoadedKernel::Launch(const LaunchArguments& arguments, CuStream stream) const {
  for (int64_t row = 0; row < arguments.m; row += plan_.max_m) {
    absl::Status status = LaunchSlice(arguments, row, std::min(plan_.max_m, arguments.m - row), stream);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace ladder::client
