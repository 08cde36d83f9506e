// The GPUs of this machine and the targets that requests name: which request path serves which target.
#ifndef LADDER_SERVER_SERVING_MACHINES_H_
#define LADDER_SERVER_SERVING_MACHINES_H_

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/kernel_service.h"

namespace ladder {

// A target and who serves it. `device` is null where the target's GPU is not in this machine.
struct Place {
  Target target;
  KernelService* service = nullptr;
  Device* device = nullptr;
};

// Thread-safe.
class Machines {
 public:
  // `no_gpu`: told when `devices` is empty.
  Machines(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler, const std::vector<Device*>& devices,
           std::string no_gpu);
  ~Machines();

  // Asks the devices what they are, once: starts worker processes and may take a second. Those that failed for a
  // passing reason are asked again.
  void Discover();
  // A target by text or name; empty means the first GPU. InvalidArgument or FailedPrecondition, starting with
  // "target:". Discovers first.
  absl::StatusOr<Place> Resolve(const std::string& target);
  // For look-ups: starts nothing. Nothing where only discovery could tell.
  absl::StatusOr<std::optional<Place>> ResolveKnown(const std::string& target);
  // Rises with all that may change what ResolveKnown gives or what its service takes for current: the GPUs, whether
  // they were asked, the compiler. Starts nothing.
  uint64_t Changes();
  // Called at the end of each discovery with the GPU's index and whether it can be used.
  void OnDiscovered(std::function<void(size_t, bool)> callback);

  // What tells whether a GPU is in service; set before anything is resolved. Without it, every GPU is.
  void SetInService(std::function<absl::Status(size_t)> in_service) { in_service_ = std::move(in_service); }
  // Whether the place's GPU may be used now: Unavailable, saying why, while it is out of service.
  absl::Status InService(const Place& place) const;

  struct Summary {
    std::optional<Target> target;  // of the first GPU
    std::string driver;
    std::string no_gpu_reason;  // when there is no target
  };
  Summary Describe();
  // What is known by now of each GPU and of the compiler; these start nothing.
  struct Known {
    std::string model, driver;
    absl::Status status;
  };
  std::vector<Known> KnownGpus() const;
  std::string KnownCompiler() const;

 private:
  struct Gpu {
    Device* device;
    std::unique_ptr<KernelService> service;
    absl::StatusOr<Target> target;
    std::string driver;
  };
  absl::StatusOr<Place> Find(const std::string& target);  // among what is known
  const Gpu* FirstGpu() const;
  bool IsKnown() const;  // under mutex_: whether a target can be told without asking a GPU

  class PassiveCompiler;
  const std::string no_gpu_;
  std::unique_ptr<PassiveCompiler> passive_compiler_;
  KernelService lookup_;  // before discovery: neither device nor a compiler that would have to be started
  KernelService seeds_;   // for targets that aren't here
  Compiler& compiler_;

  std::mutex discovery_;  // one at a time
  mutable std::mutex mutex_;
  std::vector<Gpu> gpus_;
  std::string compiler_version_;
  bool discovered_ = false;
  uint64_t changes_ = 0;
  bool seen_known_ = false;    // what changes_ has counted
  std::string seen_compiler_;  // likewise
  absl::Time retry_at_ = absl::InfinitePast();
  std::function<void(size_t, bool)> callback_;
  std::function<absl::Status(size_t)> in_service_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_MACHINES_H_
