#include "server/serving/executor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/serving/retry.h"

namespace ladder {

Executor::Executor(std::string name, int threads, size_t queue)
    : name_(std::move(name)), threads_wanted_(static_cast<size_t>(threads)), queue_limit_(queue) {}

Executor::~Executor() { Stop(); }

absl::Status Executor::Submit(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return WithRetry(absl::UnavailableError("the service is shutting down"), absl::Seconds(5));
  if (queue_.size() >= queue_limit_ + idle_ + (threads_wanted_ - threads_.size())) {
    return WithRetry(absl::ResourceExhaustedError(absl::StrCat("the queue for ", name_, " is full (", queue_limit_,
                                                               " waiting); try again later")),
                     absl::Seconds(2));
  }
  queue_.push_back(std::move(task));
  if (queue_.size() > idle_ && threads_.size() < threads_wanted_) {
    ++idle_;
    threads_.emplace_back([this] { Work(); });
  }
  wake_.notify_one();
  return absl::OkStatus();
}

void Executor::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    --idle_;
    lock.unlock();
    task();
    task = nullptr;  // what it holds dies outside the lock
    lock.lock();
    ++idle_;
  }
}

void Executor::Stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace ladder
