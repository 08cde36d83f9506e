// A kernel on the GPU, ready to launch.
#ifndef LADDER_CLIENT_LOADED_KERNEL_H_
#define LADDER_CLIENT_LOADED_KERNEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cuda_driver.h"
#include "client/ladder.h"
#include "client/launch_plan.h"

namespace ladder::client {

// A binary loaded into a context; unloaded with the last owner.
class Module {
 public:
  static absl::StatusOr<std::shared_ptr<const Module>> Load(const CudaDriver& driver, CuContext context,
                                                            const std::string& binary);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  absl::StatusOr<CuFunction> Function(const std::string& name) const;

 private:
  Module(const CudaDriver& driver, CuContext context, CuModule module)
      : driver_(driver), context_(context), module_(module) {}
  const CudaDriver& driver_;
  CuContext context_;
  CuModule module_;
};

// Immutable after Create, so that any number of threads launch without a lock.
class LoadedKernel {
 public:
  static absl::StatusOr<LoadedKernel> Create(const CudaDriver& driver, CuContext context,
                                             std::shared_ptr<const Module> module, const MatmulShape& shape,
                                             LaunchPlan plan);

  // One launch per slice of max_m rows. The arguments were checked by the caller.
  absl::Status Launch(const LaunchArguments& arguments, CuStream stream) const;
  const LaunchPlan& plan() const { return plan_; }

 private:
  LoadedKernel() = default;
  absl::Status LaunchSlice(const LaunchArguments& arguments, int64_t first_row, int64_t rows, CuStream stream) const;
  absl::Status EncodeMap(const TensorMapPlan& plan, const void* address, int64_t rows, CuTensorMap& map) const;

  const CudaDriver* driver_ = nullptr;
  std::shared_ptr<const Module> module_;
  CuFunction function_ = nullptr;
  MatmulShape shape_;
  LaunchPlan plan_;
  // The launch as far as it is the same every time. Programmatic launch is the last attribute, so that a launch that
  // must not overlap its predecessor just counts one less.
  CuLaunchConfig config_;
  CuLaunchAttribute attributes_[2];
  unsigned attribute_count_ = 0;
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_LOADED_KERNEL_H_
