// Another process on the GPU, for ladder_gpu_busy_test: "ladder-gpu-hog SECONDS busy" keeps it busy, "... idle" only
// has a context on it. Says "ready" when it does.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/nvrtc.h"
#include "core/backend/cuda/support_abi.h"
#include "schedules/catalog.h"
#include "tests/gpu/faulty_kernel.h"

namespace ladder {
namespace {

constexpr int64_t kKernelNs = 5'000'000;

absl::Status Run(absl::Duration duration, bool busy) {
  const absl::StatusOr<std::unique_ptr<cuda::Context>> context = cuda::Context::Open(0);
  if (!context.ok()) return context.status();
  const absl::StatusOr<Target> target = (*context)->DescribeTarget();
  if (!target.ok()) return target.status();
  CudaCompiler compiler(MakeCatalog().sources, {}, 1);
  const CompileRequest request = {target->arch, {FaultyKernel("loop", kKernelNs), {}}, "ladder_kernel"};
  const absl::StatusOr<CompiledKernel> kernel = compiler.Compile({&request, 1}, nullptr).front();
  if (!kernel.ok()) return kernel.status();
  const absl::StatusOr<cuda::Module> module = cuda::Module::Load(kernel->binary);
  if (!module.ok()) return module.status();
  const absl::StatusOr<CUfunc_st*> function = module->Function("ladder_kernel");
  if (!function.ok()) return function.status();
  const absl::StatusOr<cuda::Stream> stream = cuda::Stream::Create();
  if (!stream.ok()) return stream.status();
  std::puts("ready");
  std::fflush(stdout);
  const absl::Time end = absl::Now() + duration;
  if (!busy) absl::SleepFor(duration);
  cuda::LaunchShape shape;
  shape.grid = target->limits.multiprocessors;
  shape.threads = 128;
  const cuda::MatmulArguments arguments = {};
  while (absl::Now() < end) {
    // A few in a row, so that it never waits for the host.
    for (int i = 0; i < 4; i++) {
      if (absl::Status status = cuda::Launch(*function, shape, &arguments, *stream); !status.ok()) return status;
    }
    if (absl::Status status = stream->Synchronize(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::Status status = ladder::Run(absl::Seconds(std::atof(argv[1])), std::string(argv[2]) == "busy");
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
