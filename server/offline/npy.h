// The header of NumPy's .npy files, format versions 1 to 3.
#ifndef LADDER_SERVER_OFFLINE_NPY_H_
#define LADDER_SERVER_OFFLINE_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

inline constexpr absl::string_view kNpyMagic = "\x93NUMPY";

struct NpyHeader {
  std::string descr;  // "<f4"
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// Reads the text after magic, version and length: a Python dictionary of exactly these three, of plain types.
// InvalidArgument saying what is wrong.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text);

// What a version 1 file of that type and shape, row-major, starts with. REQUIRES: at most 2 dimensions.
std::string NpyPreamble(absl::string_view descr, const std::vector<int64_t>& shape);

}  // namespace ladder

#endif  // LADDER_SERVER_OFFLINE_NPY_H_
