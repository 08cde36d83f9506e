// NVIDIA's run-time compiler, opened with dlopen.
#ifndef LADDER_CORE_BACKEND_CUDA_NVRTC_H_
#define LADDER_CORE_BACKEND_CUDA_NVRTC_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"

namespace ladder {

// The library files that would be tried, in order: every entry of `search_paths` (a file, or a folder that has
// libnvrtc.so.13 or .12); $LADDER_NVRTC (either); beside the running program, where a build puts NVRTC only if the
// machine's toolkit won't do: ../lib, ../nvrtc, ../nvrtc/lib, ../nvrtc/nvidia/cu13/lib, ../nvrtc/nvidia/cuda_nvrtc/lib;
// $CUDA_HOME/lib64; /usr/local/cuda/lib64; the loader's own search.
std::vector<std::string> NvrtcCandidates(const std::vector<std::string>& search_paths);

// The first that opens. FailedPrecondition saying where was looked and what to install.
absl::StatusOr<std::string> FindNvrtc(const std::vector<std::string>& search_paths);

// Compiles in this process, several requests at once. See Compiler.
class CudaCompiler final : public Compiler {
 public:
  // `headers`: what sources may include, by include name (ScheduleCatalog::sources). threads 0: cores - 1, at least 1.
  explicit CudaCompiler(std::map<std::string, std::string> headers, const std::vector<std::string>& search_paths = {},
                        int threads = 0);
  ~CudaCompiler() override;

  // "nvrtc 13.0.88".
  std::string Version() const override;
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;
  // Architectures the compiler knows, as numbers (75, 80, ..., 121). Empty without a compiler.
  std::vector<int> Architectures() const;

 private:
  class Library;
  absl::StatusOr<CompiledKernel> CompileOne(const CompileRequest& request) const;

  std::map<std::string, std::string> headers_;
  int threads_;
  absl::StatusOr<std::unique_ptr<Library>> library_;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_CUDA_NVRTC_H_
