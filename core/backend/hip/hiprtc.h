// AMD's run-time compiler, opened with dlopen.
#ifndef LADDER_CORE_BACKEND_HIP_HIPRTC_H_
#define LADDER_CORE_BACKEND_HIP_HIPRTC_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"

namespace ladder {

// The library files that are tried, in order: $LADDER_HIPRTC (a file, or a folder); ../lib beside the running program;
// $ROCM_PATH/lib; /opt/rocm/lib; the loader's own search. hipRTC is libhiprtc.so in ROCm 5.3 and newer and a part of
// libamdhip64.so.5 before (Debian 12).
std::vector<std::string> HiprtcCandidates();

// Compiles in this process, one request at a time, to code objects (ELF). See Compiler.
class HiprtcCompiler final : public Compiler {
 public:
  // `headers`: what sources may include, by include name (ScheduleCatalog::sources). The library is the first of
  // `candidates` that opens and has hipRTC; it is opened by the first call that needs it, since it brings a compiler of
  // 60 MB into the process.
  explicit HiprtcCompiler(std::map<std::string, std::string> headers,
                          std::vector<std::string> candidates = HiprtcCandidates());
  ~HiprtcCompiler() override;

  // "hiprtc 5.2.21153".
  std::string Version() const override;
  // Resource figures come from the code object: vector registers, spilled vector registers (4 bytes each), private
  // segment, group segment. InvalidArgument for an architecture that the library does not know: hipRTC itself would
  // abort the process.
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;
  // "gfx90a", ...; empty without a compiler.
  std::vector<std::string> Architectures() const;

 private:
  class Library;
  const absl::StatusOr<std::unique_ptr<Library>>& Loaded() const;
  absl::StatusOr<CompiledKernel> CompileOne(const CompileRequest& request) const;

  const std::map<std::string, std::string> headers_;
  const std::vector<std::string> candidates_;
  mutable std::once_flag once_;
  mutable absl::StatusOr<std::unique_ptr<Library>> library_;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_HIP_HIPRTC_H_
