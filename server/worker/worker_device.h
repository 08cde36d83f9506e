// A GPU seen through a process of its own: an illegal access poisons that process's context, not the service.
#ifndef LADDER_SERVER_WORKER_WORKER_DEVICE_H_
#define LADDER_SERVER_WORKER_WORKER_DEVICE_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/backend/device.h"
#include "server/worker/death_log.h"
#include "server/worker/worker_process.h"

namespace ladder {

namespace worker {
class DeviceJob;
class DeviceReply;
}  // namespace worker

struct WorkerDeviceOptions {
  WorkerCommand command;
  absl::Duration deadline = absl::Seconds(60);        // of one operation
  absl::Duration start_deadline = absl::Seconds(20);  // until the worker's first word
  int64_t resident_limit_bytes = int64_t{8} << 30;
  std::string sources_digest;
  // So many deaths within so long put the GPU out of service for as long.
  int deaths_limit = 5;
  absl::Duration deaths_window = absl::Minutes(10);
};

// Thread-safe. Starts no process before the first call, and a new one with the first call after a death (with the
// support kernels loaded again). An operation that kills the process is Internal, "the kernel killed the profile worker
// (how)"; one that killed two is refused from then on (PermissionDenied). Target and environment are asked once and
// remembered, so they can be told while the worker is busy or down. After too many deaths every operation is
// Unavailable for a while (InService).
class WorkerDevice final : public Device {
 public:
  explicit WorkerDevice(WorkerDeviceOptions options);
  ~WorkerDevice() override;

  absl::StatusOr<Target> GetTarget() override;
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override;
  absl::StatusOr<DeviceConditions> GetConditions() override;
  absl::Status LoadSupport(const CompiledKernel& support) override;
  void PrepareVerify(const Workload& workload) override;
  absl::StatusOr<Verification> Verify(const Workload& workload, const KernelBinary& kernel) override;
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload& workload, std::span<const KernelBinary> kernels,
                                                   const ProfilePolicy& policy) override;
  absl::StatusOr<Measurement> ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                               const ProfilePolicy& policy) override;

  // Unavailable, saying since when and how long, while the GPU is out of service. Waits for no operation.
  absl::Status InService() const;
  // Of workers of this device, since the beginning.
  int64_t deaths() const;

  // Ends what runs with Cancelled and refuses the rest, so that a shutdown doesn't wait for a kernel.
  void Stop() { stopping_ = true; }

 private:
  void CountDeath(const std::string& how);
  // All REQUIRE mutex_.
  absl::Status Start();
  absl::Status Prepare();  // a process, with the support kernels loaded
  absl::StatusOr<worker::DeviceReply> Exchange(const worker::DeviceJob& job, bool& lost);
  absl::StatusOr<worker::DeviceReply> Ask(const worker::DeviceJob& job);
  // Ask for an operation that runs kernels: deaths are counted under the digest, unless that is empty.
  absl::StatusOr<worker::DeviceReply> AskKernel(const worker::DeviceJob& job, const std::string& digest);

  const WorkerDeviceOptions options_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;  // one operation at a time
  std::unique_ptr<WorkerProcess> process_;
  std::unique_ptr<worker::DeviceJob> support_;  // loaded again in every new process
  bool support_loaded_ = false;
  std::map<std::string, int> kills_;

  mutable std::mutex deaths_mutex_;
  DeathLog deaths_;
  std::string last_death_;

  std::mutex facts_mutex_;
  std::optional<Target> target_;
  std::optional<DeviceEnvironment> environment_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_WORKER_DEVICE_H_
