#include "server/serving/gpu_health.h"

#include <chrono>
#include <utility>

namespace ladder {

GpuHealth::GpuHealth(size_t gpus, InService in_service, Report report)
    : in_service_(std::move(in_service)), report_(std::move(report)), gpus_(gpus) {
  if (gpus == 0) return;
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      Look();
      wake_.wait_for(lock, std::chrono::seconds(1));
    }
  });
}

GpuHealth::~GpuHealth() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GpuHealth::SetUsable(size_t gpu, bool usable) {
  const std::lock_guard lock(mutex_);
  gpus_[gpu].usable = usable;
  Look();
}

bool GpuHealth::Serving(size_t gpu) const {
  const std::lock_guard lock(mutex_);
  return gpus_[gpu].serving;
}

void GpuHealth::Look() {
  for (size_t i = 0; i < gpus_.size(); ++i) {
    const bool serving = gpus_[i].usable && in_service_(i).ok();
    if (std::exchange(gpus_[i].serving, serving) != serving) report_(i, serving);
  }
}

}  // namespace ladder
