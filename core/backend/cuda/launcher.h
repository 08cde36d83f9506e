// Launches a matmul kernel as its LaunchSpec says.
#ifndef LADDER_CORE_BACKEND_CUDA_LAUNCHER_H_
#define LADDER_CORE_BACKEND_CUDA_LAUNCHER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/device.h"

namespace ladder::cuda {

// A packed weight (or a plain one) on the device. Absent planes are 0.
struct WeightPointers {
  DevicePointer w = 0, scale = 0, zero = 0, bias = 0;
};

// What is done with the sums besides a bias.
struct EpilogueArguments {
  DevicePointer residual = 0;  // as y; 0: none
  float output_scale = 1;
  DevicePointer row_scale = 0;  // [m] in fp32, or of each row's groups; 0: none
  float sum_scale = 1;
};

class LoadedKernel {
 public:
  // Loads the binary and asks for its shared memory.
  static absl::StatusOr<LoadedKernel> Load(const KernelBinary& binary);

  // Enqueues Y of any m rows, by slices of max_m rows one after the other. `workspace` holds
  // WorkspaceBytes(m). The first launch waits for all earlier work unless `follows_kernel`: then it may overlap the
  // kernel before it on the stream, if the spec allows that. Can be captured into a graph.
  absl::Status Enqueue(const NormalizedOperator& op, int64_t m, DevicePointer x, const WeightPointers& weight,
                       const EpilogueArguments& epilogue, DevicePointer y, DevicePointer workspace, bool follows_kernel,
                       const Stream& stream) const;

  // For a launch of m rows, sliced or not; 0 if the kernel uses none.
  int64_t WorkspaceBytes(int64_t m) const { return spec_.WorkspaceBytes(m < spec_.max_m ? m : spec_.max_m); }
  const LaunchSpec& spec() const { return spec_; }

 private:
  LoadedKernel(Module module, CUfunc_st* function, LaunchSpec spec)
      : module_(std::move(module)), function_(function), spec_(std::move(spec)) {}
  Module module_;
  CUfunc_st* function_;
  LaunchSpec spec_;
};

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_LAUNCHER_H_
