// Choosing a kernel by M and computing its launches: pure functions of the record, no GPU needed.
#ifndef LADDER_CLIENT_LAUNCH_PLAN_H_
#define LADDER_CLIENT_LAUNCH_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cuda_driver.h"

namespace ladder::tune::v1 {
class LaunchSpec;
class OperatorDescriptor;
}  // namespace ladder::tune::v1

namespace ladder::client {

// The operator's fixed shape, as far as launching needs it.
struct MatmulShape {
  int64_t n = 0;  // rows of W
  int64_t k = 0;
  int tensor_type = kTensorFloat16;  // of x, and of a plain weight; elements of 8 bits count in pairs
  int64_t x_row_bytes = 0;
  int64_t y_row_bytes = 0;
  bool quantized = true;
  bool scales = true;
  bool zeros = false;
  bool bias = false;
  bool output_scale = false;
  bool tensor_scale = false;
  bool a_scale = false, row_scale = false;  // of activations of 8 bits
  int64_t row_scale_bytes = 0;              // of a row of X: one fp32, or those of its groups
  bool scales_sums = false;                 // factors of X and W multiply the sums, before the bias
  bool residual = false;
};

// From the normalized operator of a record. Internal if it names a type or a function this client doesn't know (a newer
// service).
absl::StatusOr<MatmulShape> ShapeOf(const tune::v1::OperatorDescriptor& op);

// Everything cuTensorMapEncodeTiled takes but the address and the rows.
struct TensorMapPlan {
  bool of_x = true;
  bool tail = false;         // its box has the rows beyond the last whole one
  uint32_t box[2] = {0, 0};  // columns, rows
  int swizzle = kTensorSwizzleNone;
};

// A LaunchSpec, checked.
struct LaunchPlan {
  std::string entry;
  unsigned threads = 0;
  unsigned cluster = 1;
  unsigned shared_bytes = 0;
  int64_t m_tile = 1;
  int64_t blocks_per_m_tile = 1;
  int64_t max_blocks = 0;
  int64_t max_m = 1;
  int64_t workspace_bytes_per_m_tile = 0;
  bool dependent_launch = false;
  std::vector<TensorMapPlan> tensor_maps;

  // Internal if the service sent numbers that can't be launched, so that nothing later divides by zero or hangs a GPU.
  static absl::StatusOr<LaunchPlan> From(const tune::v1::LaunchSpec& spec);

  int64_t Grid(int64_t rows) const {
    const int64_t blocks = (rows + m_tile - 1) / m_tile * blocks_per_m_tile;
    return max_blocks > 0 && blocks > max_blocks ? max_blocks : blocks;
  }
  // For any m: slices of more than max_m rows run one after the other and share it.
  int64_t WorkspaceBytes(int64_t m) const;
};

// Counters at the start of a workspace; the scratch follows. Part of the contract of LaunchSpec.
inline constexpr int64_t kCounterBytes = 64 * 1024;

// Index of the kernel for m rows among kernels made for `bucket_tops` rows (ascending, not empty): the first that was
// made for at least m, or the last.
inline size_t SelectBucket(std::span<const int64_t> bucket_tops, int64_t m) {
  const auto it = std::lower_bound(bucket_tops.begin(), bucket_tops.end(), m);
  return it == bucket_tops.end() ? bucket_tops.size() - 1 : static_cast<size_t>(it - bucket_tops.begin());
}

}  // namespace ladder::client

#endif  // LADDER_CLIENT_LAUNCH_PLAN_H_
