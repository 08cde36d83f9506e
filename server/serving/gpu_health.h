// Which GPUs can be tuned on: those that could be opened and whose workers don't die too often.
#ifndef LADDER_SERVER_SERVING_GPU_HEALTH_H_
#define LADDER_SERVER_SERVING_GPU_HEALTH_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace ladder {

// Thread-safe. Looks once a second, since a GPU goes out of service and comes back without anybody asking.
class GpuHealth {
 public:
  using InService = std::function<absl::Status(size_t gpu)>;
  using Report = std::function<void(size_t gpu, bool serving)>;
  // `report` is told of every change, from false at the beginning. Without GPUs there is no thread.
  GpuHealth(size_t gpus, InService in_service, Report report);
  ~GpuHealth();
  GpuHealth(const GpuHealth&) = delete;
  GpuHealth& operator=(const GpuHealth&) = delete;

  // Whether the GPU could be opened.
  void SetUsable(size_t gpu, bool usable);
  bool Serving(size_t gpu) const;

 private:
  struct Gpu {
    bool usable = false;
    bool serving = false;
  };
  void Look();  // REQUIRES mutex_

  const InService in_service_;
  const Report report_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Gpu> gpus_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_GPU_HEALTH_H_
