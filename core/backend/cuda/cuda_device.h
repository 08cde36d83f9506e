// A GPU in this process, through the CUDA driver.
#ifndef LADDER_CORE_BACKEND_CUDA_CUDA_DEVICE_H_
#define LADDER_CORE_BACKEND_CUDA_CUDA_DEVICE_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/device.h"

namespace ladder {

struct CudaDeviceOptions {
  int device = 0;
  // Bounds the buffers of verification and timing, as does half of the memory that is free when the device is opened.
  // The driver's own context comes on top.
  int64_t memory_budget_bytes = int64_t{1} << 30;
};

// See Device. A kernel that breaks the CUDA context costs the process: the call returns Internal, every later one
// FailedPrecondition ("the GPU context is lost: restart the worker").
class CudaDevice final : public Device {
 public:
  // FailedPrecondition without a driver, NotFound without that GPU.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open(const CudaDeviceOptions& options);
  // GPUs the driver sees; 0 without a driver.
  static int Count();
  ~CudaDevice() override;

  // The measured rates are 0 until LoadSupport; the first call after it measures them.
  absl::StatusOr<Target> GetTarget() override;
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override;
  absl::StatusOr<DeviceConditions> GetConditions() override;
  absl::Status LoadSupport(const CompiledKernel& support) override;
  void PrepareVerify(const Workload& workload) override;
  absl::StatusOr<Verification> Verify(const Workload& workload, const KernelBinary& kernel) override;
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload& workload, std::span<const KernelBinary> kernels,
                                                   const ProfilePolicy& policy) override;
  absl::StatusOr<Measurement> ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                               const ProfilePolicy& policy) override;

 private:
  struct State;
  explicit CudaDevice(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_CUDA_CUDA_DEVICE_H_
