#include "server/worker/compile_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/store/keys.h"
#include "server/worker/frames.h"
#include "server/worker/frames.pb.h"
#include "server/worker/hello.h"

namespace ladder {
namespace {

// A call for one or two kernels has someone waiting for a first kernel; it goes before a tune's dozens.
constexpr size_t kUrgentBatch = 2;

int WorkerCount(int configured) {
  if (configured > 0) return configured;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) - 1);
}

}  // namespace

// A request on its way, or (request null) the wish to have a worker started.
struct WorkerCompiler::Job {
  const CompileRequest* request = nullptr;
  absl::StatusOr<CompiledKernel> result = absl::UnknownError("not compiled");
  const std::function<void(size_t)>* done = nullptr;
  size_t index = 0;
  bool finished = false;
};

WorkerCompiler::WorkerCompiler(CompilePoolOptions options) : options_(std::move(options)) {}

void WorkerCompiler::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Job* job : queue_) {
      job->result = absl::CancelledError("the service is shutting down");
      job->finished = true;
    }
    queue_.clear();
  }
  wake_.notify_all();
  finished_.notify_all();
}

WorkerCompiler::~WorkerCompiler() {
  Stop();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerCompiler::Enqueue(std::vector<Job*> jobs) const {
  // Only starts threads, which own processes; nothing that a caller of Version() could see changes.
  auto* self = const_cast<WorkerCompiler*>(this);
  std::unique_lock lock(mutex_);
  if (stopping_) {
    for (Job* job : jobs) {
      job->result = absl::CancelledError("the service is shutting down");
      job->finished = true;
    }
    return;
  }
  if (jobs.size() <= kUrgentBatch) {
    queue_.insert(queue_.begin(), jobs.begin(), jobs.end());
  } else {
    queue_.insert(queue_.end(), jobs.begin(), jobs.end());
  }
  const auto workers = static_cast<size_t>(WorkerCount(options_.workers));
  // The support kernels of a fresh cache are compiled alone, with a tune's dozens to come: their workers start
  // meanwhile.
  const bool compiles = std::ranges::any_of(jobs, [](const Job* job) { return job->request != nullptr; });
  while (threads_.size() < workers && (compiles || static_cast<size_t>(idle_) < queue_.size())) {
    threads_.emplace_back([self] { self->Work(); });
    ++idle_;
  }
  wake_.notify_all();
  finished_.wait(lock, [&] { return std::all_of(jobs.begin(), jobs.end(), [](Job* job) { return job->finished; }); });
}

std::string WorkerCompiler::Version() const {
  {
    std::lock_guard lock(mutex_);
    if (version_asked_) return version_;
  }
  Job start;
  Enqueue({&start});
  std::lock_guard lock(mutex_);
  version_asked_ = true;
  return version_;
}

std::vector<absl::StatusOr<CompiledKernel>> WorkerCompiler::Compile(std::span<const CompileRequest> requests,
                                                                    const std::function<void(size_t)>& done) {
  std::vector<Job> jobs(requests.size());
  std::vector<Job*> pointers;
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].request = &requests[i];
    jobs[i].done = &done;
    jobs[i].index = i;
    pointers.push_back(&jobs[i]);
  }
  if (!jobs.empty()) Enqueue(pointers);
  std::vector<absl::StatusOr<CompiledKernel>> results;
  results.reserve(jobs.size());
  for (Job& job : jobs) results.push_back(std::move(job.result));
  return results;
}

void WorkerCompiler::Work() {
  std::unique_ptr<WorkerProcess> process;
  // Whatever keeps it from starting is told to the first job.
  Start(process).IgnoreError();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Job* job = queue_.front();
    queue_.pop_front();
    --idle_;
    lock.unlock();
    absl::StatusOr<CompiledKernel> result = CompiledKernel{};
    if (job->request != nullptr) {
      result = Run(*job->request, process);
    } else if (absl::Status status = Start(process); !status.ok()) {
      result = status;
    }
    if (job->done != nullptr && *job->done) (*job->done)(job->index);
    lock.lock();
    job->result = std::move(result);
    job->finished = true;
    ++idle_;
    finished_.notify_all();
  }
}

absl::Status WorkerCompiler::CheckStopping() const {
  return stopping_ ? absl::CancelledError("the service is shutting down") : absl::OkStatus();
}

absl::Status WorkerCompiler::Start(std::unique_ptr<WorkerProcess>& process) {
  if (process != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<WorkerProcess>> spawned = WorkerProcess::Spawn(options_.command);
  if (!spawned.ok()) return spawned.status();
  absl::StatusOr<worker::Hello> hello =
      ReceiveHello(**spawned, options_.start_deadline, options_.sources_digest, [this] { return CheckStopping(); });
  if (!hello.ok()) return hello.status();
  process = *std::move(spawned);
  std::lock_guard lock(mutex_);
  version_ = hello->compiler_version();
  version_asked_ = true;
  return absl::OkStatus();
}

absl::StatusOr<CompiledKernel> WorkerCompiler::Attempt(const std::string& frame, WorkerProcess& process, bool& lost) {
  absl::StatusOr<std::string> answer = process.Call(frame, options_.deadline, [this] { return CheckStopping(); });
  if (!answer.ok()) {
    lost = !absl::IsInvalidArgument(answer.status());
    return answer.status();
  }
  worker::CompileReply reply;
  lost = true;
  if (!reply.ParseFromString(*answer)) return absl::DataLossError("the compile worker's answer makes no sense");
  if (!reply.has_outcome()) return absl::DataLossError("the compile worker's answer has no outcome");
  lost = reply.outcome().poisoned();
  if (absl::Status status = OutcomeStatus(reply.outcome()); !status.ok()) return status;
  absl::StatusOr<CompiledKernel> kernel = FromFrame(reply.kernel());
  if (!kernel.ok()) lost = true;
  return kernel;
}

absl::StatusOr<CompiledKernel> WorkerCompiler::Run(const CompileRequest& request,
                                                   std::unique_ptr<WorkerProcess>& process) {
  worker::CompileJob job;
  ToFrame(request, job);
  const std::string frame = job.SerializeAsString();
  std::string digest = Sha256Hex(frame);
  absl::Status last;
  while (true) {
    if (absl::Status status = CheckStopping(); !status.ok()) return status;
    {
      std::lock_guard lock(mutex_);
      const auto found = kills_.find(digest);
      if (found != kills_.end() && found->second >= kKillsAllowed) {
        return absl::PermissionDeniedError(absl::StrCat("this source killed two compile workers and is not tried again",
                                                        last.ok() ? "" : ": ", last.message()));
      }
    }
    if (absl::Status status = Start(process); !status.ok()) return status;
    bool lost = false;
    absl::StatusOr<CompiledKernel> kernel = Attempt(frame, *process, lost);
    if (!lost) return kernel;
    process->End();
    process.reset();
    last = kernel.status();
    if (absl::Status status = CheckStopping(); !status.ok()) return status;
    {
      std::lock_guard lock(mutex_);
      if (kills_.size() >= kRememberedKillers) kills_.clear();
      ++kills_[digest];
    }
    // A hang has cost its whole deadline once; it is not worth another.
    if (absl::IsDeadlineExceeded(last)) return last;
  }
}

}  // namespace ladder
