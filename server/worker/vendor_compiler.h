// The compiler of the vendor whose architecture is asked for.
#ifndef LADDER_SERVER_WORKER_VENDOR_COMPILER_H_
#define LADDER_SERVER_WORKER_VENDOR_COMPILER_H_

#include "core/backend/compiler.h"

namespace ladder {

// Requests for "gfx..." go to `amd`, all others to `nvidia`; both must outlive this.
class VendorCompiler final : public Compiler {
 public:
  VendorCompiler(Compiler& nvidia, Compiler& amd) : nvidia_(nvidia), amd_(amd) {}

  // NVIDIA's: the artifact keys that contain it are those of NVIDIA's kernels, since no schedule generates others, and
  // they must not change with what else is installed.
  std::string Version() const override { return nvidia_.Version(); }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;

 private:
  Compiler& nvidia_;
  Compiler& amd_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_VENDOR_COMPILER_H_
