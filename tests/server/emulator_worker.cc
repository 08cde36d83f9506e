// A worker program whose GPU is the emulator: candidates are compiled by NVRTC (where there is one) and by the host
// compiler, verified against float64 and timed for what they take on the CPU. Nothing is made up.
#include <cstring>
#include <string>

#include "core/backend/cuda/nvrtc.h"
#include "schedules/catalog.h"
#include "server/worker/worker_main.h"
#include "tests/emulator/emulator_compiler.h"
#include "tests/emulator/emulator_device.h"

namespace ladder {
namespace {

// The support kernels run on GPUs only; the emulator's device has host versions. They are compiled by NVRTC alone.
class WorkerSideCompiler final : public Compiler {
 public:
  WorkerSideCompiler(std::string support, Compiler& real, Compiler& emulator)
      : support_(std::move(support)), real_(real), emulator_(emulator), both_(real, emulator) {}
  std::string Version() const override { return real_.Version().empty() ? emulator_.Version() : both_.Version(); }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override {
    const bool has_real = !real_.Version().empty();
    if (requests.size() == 1 && requests[0].source.text == support_) {
      if (has_real) return real_.Compile(requests, done);
      CompiledKernel none;
      none.binary = "the emulator needs no support kernels";
      return {none};
    }
    return has_real ? both_.Compile(requests, done) : emulator_.Compile(requests, done);
  }

 private:
  const std::string support_;
  Compiler& real_;
  Compiler& emulator_;
  CombinedCompiler both_;
};

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) {
  const ladder::ScheduleCatalog catalog = ladder::MakeCatalog();
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--gpu") != 0) continue;
    ladder::EmulatorDevice device;
    return ladder::RunProfileWorker(device, catalog.sources_digest);
  }
  ladder::CudaCompiler real(catalog.sources, {}, 1);
  ladder::EmulatorCompilerOptions options;
  options.parallel = 1;
  ladder::EmulatorCompiler emulator(options);
  ladder::WorkerSideCompiler compiler(catalog.support.text, real, emulator);
  return ladder::RunCompileWorker(compiler, catalog.sources_digest);
}
