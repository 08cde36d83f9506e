// Everything a launcher needs besides the binary and the pointers.
#ifndef LADDER_CORE_SCHEDULE_LAUNCH_SPEC_H_
#define LADDER_CORE_SCHEDULE_LAUNCH_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ladder {

// kXTail is X with a box of the m % box_rows rows beyond the last whole box, encoded where there are any: a box of kX
// that reaches beyond m would take four times as long, a row outside the matrix about 9 cycles against 2 (H100).
enum class TensorOperand : uint8_t { kX = 1, kW = 2, kXTail = 3 };

// A 2-D tensor map over a row-major 16-bit matrix, zeros outside. Its global size is [rows][K]: rows = m for X, N for
// W.
struct TensorMapSpec {
  TensorOperand operand = TensorOperand::kX;
  int box_columns = 64;  // box_columns * 2 bytes == the swizzle, when there is one
  int box_rows = 0;
  int swizzle_bytes = 128;  // 0, 32, 64, 128

  // Rows of the box for m rows of X or N of W; 0: no kernel of these rows uses the map.
  int BoxRows(int64_t rows) const {
    return operand == TensorOperand::kXTail ? static_cast<int>(rows % box_rows) : box_rows;
  }
  friend bool operator==(const TensorMapSpec&, const TensorMapSpec&) = default;
};

// Device workspace = kCounterBytes of counters (zero before the first launch; every kernel leaves them zero), then
// ceil(m / m_tile) * workspace_bytes_per_m_tile of scratch, when that is not 0. One workspace per stream serves all
// kernels.
inline constexpr int64_t kCounterBytes = 64 * 1024;

struct LaunchSpec {
  std::string entry = "ladder_kernel";
  int threads = 0;
  int cluster = 1;
  int64_t shared_bytes = 0;  // dynamic
  // Grid (1-D): min(ceil(m / m_tile) * blocks_per_m_tile, max_blocks); max_blocks 0: no limit (persistent kernels set
  // it).
  int64_t m_tile = 1;
  int64_t blocks_per_m_tile = 1;
  int64_t max_blocks = 0;
  // The kernel takes 1 <= m <= max_m rows; a launcher serves more by several launches over row slices.
  int64_t max_m = 1;
  int64_t workspace_bytes_per_m_tile = 0;
  bool dependent_launch = false;           // may be launched with programmatic stream serialization
  std::vector<TensorMapSpec> tensor_maps;  // empty: the kernel takes MatmulArguments, else MatmulTmaArguments

  int64_t Grid(int64_t m) const {
    const int64_t blocks = (m + m_tile - 1) / m_tile * blocks_per_m_tile;
    return max_blocks > 0 && blocks > max_blocks ? max_blocks : blocks;
  }
  // Workspace for one launch of m <= max_m rows; 0 if the kernel uses none.
  int64_t WorkspaceBytes(int64_t m) const {
    if (workspace_bytes_per_m_tile == 0) return 0;
    return kCounterBytes + (m + m_tile - 1) / m_tile * workspace_bytes_per_m_tile;
  }
  friend bool operator==(const LaunchSpec&, const LaunchSpec&) = default;
};

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_LAUNCH_SPEC_H_
