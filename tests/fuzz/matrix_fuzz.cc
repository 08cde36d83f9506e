// Weight matrices that ladder-tune --quantize reads: .npy and .safetensors files.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/offline/matrix_file.h"
#include "server/offline/npy.h"
#include "tests/fuzz/fuzz.h"

namespace ladder {

std::vector<std::string> FuzzSeeds() {
  const std::string one_two("\0\0\x80\x3f\0\0\0\x40", 8);  // 1 and 2 in fp32
  std::string tensors = R"({"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                        R"("b":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]},"__metadata__":{"format":"pt"}})";
  std::string length(8, '\0');
  length[0] = static_cast<char>(tensors.size());
  return {absl::StrCat("\n", NpyPreamble("<f4", {1, 2}), one_two),
          absl::StrCat("\n", NpyPreamble("<f2", {2, 2}), one_two),
          absl::StrCat("a\n", length, tensors, one_two, std::string(4, '\0')),
          absl::StrCat("b\n", length, tensors, one_two, std::string(4, '\0'))};
}

}  // namespace ladder

// A tensor's name, a line's end, the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  const std::string input = FuzzInput(data, size);
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string tensor = input.substr(0, end), content = input.substr(std::min(end + 1, input.size()));
  // The reader wants a file; this one has no name but that of its descriptor.
  const int fd = ::memfd_create("matrix", MFD_CLOEXEC);
  FUZZ_CHECK(fd >= 0 && ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  const absl::StatusOr<Matrix> matrix = ReadMatrix(absl::StrCat("/proc/self/fd/", fd), tensor);
  ::close(fd);
  if (!matrix.ok()) {
    FUZZ_CHECK(matrix.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  FUZZ_CHECK(matrix->n > 0 && matrix->k > 0);
  FUZZ_CHECK(static_cast<int64_t>(matrix->values.size()) == matrix->n * matrix->k);
  FUZZ_CHECK(matrix->values.size() * 2 <= content.size());  // two bytes each at least: nothing is made up
  for (const float value : matrix->values) FUZZ_CHECK(std::isfinite(value));
  return 0;
}
