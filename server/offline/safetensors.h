// The header of .safetensors files.
#ifndef LADDER_SERVER_OFFLINE_SAFETENSORS_H_
#define LADDER_SERVER_OFFLINE_SAFETENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

inline constexpr int64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the format's own limit

struct TensorEntry {
  std::string dtype;  // "F32", "BF16", ...
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // bytes, counted from the end of the header
};

// The tensor of that name, or the only one if `name` is empty. Its data lies within the `data_bytes` that follow the
// header; that they fit its shape is the caller's to check. InvalidArgument saying what is wrong, with names that there
// are.
absl::StatusOr<TensorEntry> FindTensor(absl::string_view header, int64_t data_bytes, const std::string& name);

}  // namespace ladder

#endif  // LADDER_SERVER_OFFLINE_SAFETENSORS_H_
