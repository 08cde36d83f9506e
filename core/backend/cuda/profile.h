// Times kernels, the vendor library and the machine itself, all by the same method (graph_timer.h).
#ifndef LADDER_CORE_BACKEND_CUDA_PROFILE_H_
#define LADDER_CORE_BACKEND_CUDA_PROFILE_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/cublaslt.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/support_kernels.h"
#include "core/backend/cuda/workload_data.h"
#include "core/backend/device.h"
#include "core/target/target.h"

namespace ladder::cuda {

inline constexpr int kMostCopies = 40;

// How many copies of the weight to rotate, at most kMostCopies, so that none is met in the L2 cache again: between two
// launches on one copy pass `rotate_bytes`, to which `other_bytes`, what a launch reads and writes besides its weight,
// add. At many rows they alone are several times the cache, and a round of launches stays short.
int RotatingCopies(int64_t rotate_bytes, int64_t weight_bytes, int64_t other_bytes);

// What every measurement needs.
struct Bench {
  const SupportKernels& support;
  const Stream& stream;
  const Target& target;
  std::string uuid;
};

absl::StatusOr<std::vector<Measurement>> ProfileKernels(const Workload& workload, std::span<const KernelBinary> kernels,
                                                        const ProfilePolicy& policy, WorkloadData& data,
                                                        const Bench& bench);

// The best of the library's algorithms on random data, weights rotated through at least rotate_bytes.
absl::StatusOr<Measurement> ProfileCublas(const CublasLt& library, CublasType type, int64_t m, int64_t n, int64_t k,
                                          const ProfilePolicy& policy, const Bench& bench);

// An empty kernel, as often as fills a replay.
absl::StatusOr<Measurement> ProfileEmpty(const ProfilePolicy& policy, const Bench& bench);

// Fills in read_gb_per_s, dense_fp16_tflops and launch_us. `library` may be null: then the tensor rate is the published
// one of the architecture's flagship, scaled by multiprocessors and clock.
absl::Status MeasureRates(const CublasLt* library, int64_t budget_bytes, const Bench& bench, DeviceLimits& limits);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_PROFILE_H_
