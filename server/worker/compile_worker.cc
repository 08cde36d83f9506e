// ladder-compile-worker: NVRTC and hipRTC in a process that may die. Started by the service, which sends it sources.
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/backend/cuda/nvrtc.h"
#include "core/backend/hip/hiprtc.h"
#include "schedules/catalog.h"
#include "server/worker/vendor_compiler.h"
#include "server/worker/worker_main.h"

int main(int argc, char** argv) {
  std::vector<std::string> nvrtc_paths;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--memory-bytes") == 0) ladder::LimitAddressSpace(std::atoll(argv[i + 1]));
    if (std::strcmp(argv[i], "--nvrtc") == 0) nvrtc_paths.emplace_back(argv[i + 1]);
  }
  // Look-ups, and what the machine is for, come before kernels that nobody has yet. On a busy machine that is a quarter
  // of a share, which the deadline of a compilation has room for.
  (void)::setpriority(PRIO_PROCESS, 0, 5);
  ladder::ScheduleCatalog catalog = ladder::MakeCatalog();
  ladder::CudaCompiler nvidia(catalog.sources, nvrtc_paths, 1);
  ladder::HiprtcCompiler amd(std::move(catalog.sources));
  ladder::VendorCompiler compiler(nvidia, amd);
  return ladder::RunCompileWorker(compiler, catalog.sources_digest);
}
