// Threads for work that would block a gRPC thread.
#ifndef LADDER_SERVER_SERVING_EXECUTOR_H_
#define LADDER_SERVER_SERVING_EXECUTOR_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace ladder {

// Thread-safe. Threads start with the first task.
class Executor {
 public:
  // At most `threads` tasks run and `queue` more wait.
  Executor(std::string name, int threads, size_t queue);
  ~Executor();  // Stop()

  // ResourceExhausted, with a time to retry, when the queue is full; Unavailable after Stop().
  absl::Status Submit(std::function<void()> task);
  // Refuses new tasks, runs those that wait, joins. Idempotent.
  void Stop();

 private:
  void Work();

  const std::string name_;
  const size_t threads_wanted_;
  const size_t queue_limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_EXECUTOR_H_
