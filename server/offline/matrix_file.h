// Weight matrices from files that others wrote: every size and offset is checked against the file before it is used.
#ifndef LADDER_SERVER_OFFLINE_MATRIX_FILE_H_
#define LADDER_SERVER_OFFLINE_MATRIX_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/types/data_type.h"

namespace ladder {

// Row-major. Finite.
struct Matrix {
  DataType stored = DataType::kF32;  // the type in the file
  int64_t n = 0, k = 0;
  std::vector<float> values;
};

inline constexpr int64_t kMaxMatrixValues = int64_t{1} << 32;  // 16 GiB in memory

// Reads an .npy file (fp32 or fp16, little-endian, row-major), known by its first bytes, or else the tensor of that
// name (F32, F16, BF16) of a .safetensors file; `tensor` may be empty where there is only one. InvalidArgument with the
// file and what is wrong with it, a NaN or an infinity with its row and column, counted from 0.
absl::StatusOr<Matrix> ReadMatrix(const std::string& path, const std::string& tensor);

}  // namespace ladder

#endif  // LADDER_SERVER_OFFLINE_MATRIX_FILE_H_
