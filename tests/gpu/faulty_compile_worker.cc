// A compile worker with real NVRTC that replaces the kernel for which a test ordered a fault by one that has it.
#include <string>

#include "core/backend/cuda/nvrtc.h"
#include "schedules/catalog.h"
#include "server/worker/worker_main.h"
#include "tests/gpu/faulty_kernel.h"
#include "tests/server/ordered_fault.h"

namespace ladder {
namespace {

class FaultyCompiler final : public Compiler {
 public:
  explicit FaultyCompiler(const ScheduleCatalog& catalog) : real_(catalog.sources, {}, 1), support_(catalog.support) {}
  std::string Version() const override { return real_.Version(); }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override {
    std::vector<CompileRequest> changed(requests.begin(), requests.end());
    for (CompileRequest& request : changed) {
      if (request.source.text == support_.text) continue;
      if (const std::string fault = TakeOrderedFault(); !fault.empty()) request.source = {FaultyKernel(fault), {}};
    }
    return real_.Compile(changed, done);
  }

 private:
  CudaCompiler real_;
  const KernelSource support_;
};

}  // namespace
}  // namespace ladder

int main() {
  const ladder::ScheduleCatalog catalog = ladder::MakeCatalog();
  ladder::FaultyCompiler compiler(catalog);
  return ladder::RunCompileWorker(compiler, catalog.sources_digest);
}
