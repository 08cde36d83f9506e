// Runs one kernel on one workload and judges every element of its output.
#ifndef LADDER_CORE_BACKEND_CUDA_VERIFY_H_
#define LADDER_CORE_BACKEND_CUDA_VERIFY_H_

#include "absl/status/statusor.h"
#include "core/backend/cuda/support_kernels.h"
#include "core/backend/cuda/workload_data.h"
#include "core/backend/device.h"

namespace ladder::cuda {

// Two runs on different poison, the second as two launches in a row: the output must be within the bound, the same bits
// both times, the bytes around it untouched and the workspace's counters zero afterwards.
absl::StatusOr<Verification> VerifyKernel(const Workload& workload, const KernelBinary& kernel, WorkloadData& data,
                                          const SupportKernels& support, const Stream& stream);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_VERIFY_H_
