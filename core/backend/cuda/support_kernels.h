// The support kernels (schedules/support), loaded and callable. What each does: schedules/support/abi.cuh.
#ifndef LADDER_CORE_BACKEND_CUDA_SUPPORT_KERNELS_H_
#define LADDER_CORE_BACKEND_CUDA_SUPPORT_KERNELS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/launcher.h"
#include "core/backend/cuda/support_abi.h"
#include "core/layout/packed_layout.h"
#include "core/tuning/error_bound.h"

namespace ladder::cuda {

// What a comparison found, on the host.
struct Comparison {
  int64_t wrong = 0;
  int64_t first_wrong = -1;
  double worst_ratio = 0;
  double squared_error = 0;
  double squared_reference = 0;
};

// Natural and packed planes of one weight.
struct PlanePointers {
  DevicePointer codes = 0, scales = 0, zeros = 0;
};

class SupportKernels {
 public:
  static absl::StatusOr<SupportKernels> Load(const std::string& binary, int multiprocessors);

  // All enqueue only, except Compare and Hash, which wait for their result.
  absl::Status Pack(const PackedLayout& layout, const PlanePointers& natural, const PlanePointers& packed,
                    const Stream& stream) const;
  absl::Status Unpack(const PackedLayout& layout, const PlanePointers& packed, const PlanePointers& natural,
                      const Stream& stream) const;
  absl::Status Random(const RandomArguments& arguments, const Stream& stream) const;
  // Rows first .. first + rows of the result from the natural weight; x and the residual point at row 0.
  absl::Status Reference(const NormalizedOperator& op, int64_t first, int64_t rows, DevicePointer x,
                         const PlanePointers& natural, DevicePointer bias, const EpilogueArguments& epilogue,
                         DevicePointer reference, DevicePointer magnitude, const Stream& stream) const;
  absl::StatusOr<Comparison> Compare(DevicePointer y, DataType out, DevicePointer reference, DevicePointer magnitude,
                                     int64_t count, int64_t first_index, const ErrorBound& bound,
                                     const Stream& stream) const;
  absl::StatusOr<uint64_t> Hash(DevicePointer data, int64_t bytes, const Stream& stream) const;
  absl::Status Read(DevicePointer data, int64_t bytes, int blocks_per_multiprocessor, const Stream& stream) const;
  absl::Status Empty(bool dependent, const Stream& stream) const;

 private:
  SupportKernels(Module module, Memory scratch, int multiprocessors)
      : module_(std::move(module)), scratch_(std::move(scratch)), multiprocessors_(multiprocessors) {}
  absl::Status Run(CUfunc_st* function, const void* arguments, const Stream& stream) const;

  Module module_;
  Memory scratch_;  // results of Compare, Hash and Read
  int multiprocessors_;
  CUfunc_st *pack_ = nullptr, *unpack_ = nullptr, *random_ = nullptr, *reference_ = nullptr, *compare_ = nullptr,
            *hash_ = nullptr, *read_ = nullptr, *empty_ = nullptr;
};

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_SUPPORT_KERNELS_H_
