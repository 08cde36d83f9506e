// ladder-profile-worker: a GPU in a process that may die. Started by the service, which sends it kernels.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/backend/cuda/cuda_device.h"
#include "schedules/catalog.h"
#include "server/worker/absent_device.h"
#include "server/worker/worker_main.h"

int main(int argc, char** argv) {
  ladder::CudaDeviceOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--gpu") == 0) options.device = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--memory-bytes") == 0) options.memory_budget_bytes = std::atoll(argv[i + 1]);
  }
  const std::string sources = ladder::MakeCatalog().sources_digest;
  absl::StatusOr<std::unique_ptr<ladder::CudaDevice>> device = ladder::CudaDevice::Open(options);
  if (device.ok()) return ladder::RunProfileWorker(**device, sources);
  ladder::AbsentDevice absent(device.status());
  return ladder::RunProfileWorker(absent, sources);
}
