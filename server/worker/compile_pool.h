// Compiles in a bounded pool of worker processes: a compiler that aborts, hangs or talks rubbish costs one request.
#ifndef LADDER_SERVER_WORKER_COMPILE_POOL_H_
#define LADDER_SERVER_WORKER_COMPILE_POOL_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "core/backend/compiler.h"
#include "server/worker/worker_process.h"

namespace ladder {

struct CompilePoolOptions {
  WorkerCommand command;
  int workers = 0;                                    // 0: one less than the cores, at least one
  absl::Duration deadline = absl::Seconds(60);        // of one compilation
  absl::Duration start_deadline = absl::Seconds(20);  // until a worker's first word
  std::string sources_digest;                         // workers that know other sources are refused
};

// Starts no process before the first call, and all with the first compilation, which others follow. Workers stay for
// the next request. A request on which a worker dies is tried once more on a fresh one; one that killed two workers is
// refused from then on (PermissionDenied).
class WorkerCompiler final : public Compiler {
 public:
  explicit WorkerCompiler(CompilePoolOptions options);
  // Fails what waits with Cancelled, kills the workers.
  ~WorkerCompiler() override;

  // Ends what runs and what waits with Cancelled and refuses the rest, so that a shutdown doesn't wait for a compiler.
  void Stop();

  // The first call starts a worker. If that fails, the version stays empty until a compilation starts one: look-ups ask
  // for it each time and must not wait for a program that doesn't come up.
  std::string Version() const override;
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;

 private:
  struct Job;
  void Enqueue(std::vector<Job*> jobs) const;
  void Work();
  absl::StatusOr<CompiledKernel> Run(const CompileRequest& request, std::unique_ptr<WorkerProcess>& process);
  // Starts a worker unless there is one.
  absl::Status Start(std::unique_ptr<WorkerProcess>& process);
  absl::Status CheckStopping() const;
  // One attempt; `lost` says whether the worker died of it.
  absl::StatusOr<CompiledKernel> Attempt(const std::string& frame, WorkerProcess& process, bool& lost);

  const CompilePoolOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;      // workers: there is a job, or the end
  mutable std::condition_variable finished_;  // callers: a job is done
  mutable std::deque<Job*> queue_;
  mutable std::vector<std::thread> threads_;
  mutable int idle_ = 0;
  std::atomic<bool> stopping_ = false;
  std::string version_;
  mutable bool version_asked_ = false;
  std::map<std::string, int> kills_;  // by digest of the request
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_COMPILE_POOL_H_
