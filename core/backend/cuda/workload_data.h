// Device buffers of the workload at hand: random inputs, the packed weight and its copies, the output between guards,
// and the reference result. One workload at a time; what the next one shares is kept: the weight, and at fewer rows
// their inputs and reference too, which are the first rows of those held.
#ifndef LADDER_CORE_BACKEND_CUDA_WORKLOAD_DATA_H_
#define LADDER_CORE_BACKEND_CUDA_WORKLOAD_DATA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/launcher.h"
#include "core/backend/cuda/support_kernels.h"
#include "core/backend/device.h"

namespace ladder::cuda {

// Bytes before and after the output that no kernel may touch.
inline constexpr int64_t kGuardBytes = 4096;
inline constexpr uint8_t kGuardByte = 0xa5;

class WorkloadData {
 public:
  // `budget_bytes` bounds everything held here, workspaces included.
  WorkloadData(const Stream& stream, int64_t budget_bytes) : stream_(stream), budget_(budget_bytes) {}

  // Makes inputs, weight and output for `workload` exist. ResourceExhausted, saying what it needs, beyond the budget.
  // `for_reference` also keeps the natural weight, which only the reference reads.
  absl::Status Prepare(const Workload& workload, bool for_reference, const SupportKernels& support);
  // Workspace of at least that size, its counters zero, the rest poisoned.
  absl::Status PrepareWorkspace(int64_t bytes);
  // `wanted` copies of the packed weight, or as many as the budget has room for; at least one.
  // Drops the natural weight and the reference when it needs the room.
  absl::Status PrepareCopies(int wanted);
  // Output filled with `poison`, guards with kGuardByte.
  absl::Status PoisonOutput(uint8_t poison);
  // Ok if the guards are whole; else `detail` says which isn't.
  absl::StatusOr<std::string> CheckGuards() const;
  // Computes as many rows of the reference as there is room for, from the first.
  absl::Status MakeReference(const SupportKernels& support);
  // Compares all of y with the reference, computing what of it doesn't fit in slices of rows.
  absl::StatusOr<Comparison> CompareOutput(const ErrorBound& bound, const SupportKernels& support);
  // "y[3, 17] = 1.5, expected 0.25 +- 0.001". The element's reference is recomputed if it isn't kept.
  absl::StatusOr<std::string> DescribeElement(int64_t index, const ErrorBound& bound, const SupportKernels& support);
  void Clear();

  DevicePointer x() const { return x_.pointer(); }
  DevicePointer y() const { return y_.pointer() + kGuardBytes; }
  int64_t y_bytes() const { return workload_.m * workload_.op.columns() * Bytes(workload_.op.out()); }
  int64_t weight_bytes() const { return packed_.bytes(); }
  DevicePointer workspace() const { return workspace_.pointer(); }
  int copies() const { return 1 + static_cast<int>(copies_.size()); }
  // Copy 0 is the weight itself; all hold the same bits.
  WeightPointers weight(int copy) const;
  EpilogueArguments epilogue() const;

 private:
  struct Planes {
    Memory codes, scales, zeros;
    int64_t bytes() const { return codes.bytes() + scales.bytes() + zeros.bytes(); }
    PlanePointers pointers() const { return {codes.pointer(), scales.pointer(), zeros.pointer()}; }
  };
  void FreeRows();
  absl::Status MakeWeight(const SupportKernels& support, bool natural_only);
  absl::Status PrepareReference(int64_t bytes_available);
  absl::Status ReferenceSlice(int64_t first, int64_t rows, const SupportKernels& support);
  // The codes as the reference reads them: plain weights exist once only.
  PlanePointers natural() const;
  int64_t HeldBytes() const;

  const Stream& stream_;
  int64_t budget_;
  Workload workload_;
  PackedLayout layout_;
  std::string weight_key_;  // of what the buffers below hold; empty: nothing
  int64_t rows_ = 0;        // that x, the residual and y have room for
  Planes natural_, packed_;
  Memory bias_, x_, row_scale_, residual_, y_, workspace_, reference_, magnitude_;
  std::vector<Planes> copies_;
  int64_t reference_rows_ = 0;   // capacity
  int64_t reference_first_ = 0;  // rows held: first .. first + count
  int64_t reference_count_ = 0;
};

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_WORKLOAD_DATA_H_
