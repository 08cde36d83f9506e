// One worker process: spawned with a socket as descriptor 3 and nothing else of its parent's, killed when it
// misbehaves.
#ifndef LADDER_SERVER_WORKER_WORKER_PROCESS_H_
#define LADDER_SERVER_WORKER_WORKER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/worker/frame_channel.h"

namespace ladder {

// The descriptor on which a worker finds its socket.
inline constexpr int kWorkerDescriptor = 3;
// What ends this many workers is denied from then on; beyond this many killers all are forgotten.
inline constexpr int kKillsAllowed = 2;
inline constexpr size_t kRememberedKillers = 4096;

struct WorkerCommand {
  std::string program;  // a path
  std::vector<std::string> arguments;
};

// `configured` if not empty, else `name` in the folder of the running program.
std::string WorkerProgram(const std::string& configured, const std::string& name);

// Not thread-safe. The destructor kills and reaps.
class WorkerProcess {
 public:
  // FailedPrecondition naming the program if it can't be run.
  static absl::StatusOr<std::unique_ptr<WorkerProcess>> Spawn(const WorkerCommand& command);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Sends a frame and returns the answer. Any error means that the worker is of no more use: Unavailable if it died
  // (the message says how), DeadlineExceeded, DataLoss for an impossible frame, or what `watch` (called about ten times
  // a second, may be null) said. InvalidArgument alone (request too big) leaves it usable.
  absl::StatusOr<std::string> Call(const std::string& request, absl::Duration deadline,
                                   const FrameChannel::Watch& watch);
  // The next frame, unasked.
  absl::StatusOr<std::string> Receive(absl::Duration deadline, const FrameChannel::Watch& watch);
  // ResourceExhausted if the process's resident memory is beyond the limit.
  absl::Status CheckResident(int64_t limit_bytes) const;
  // Kills it if it still runs; how it ended: "killed by signal 11 (Segmentation fault)", "exited with status 1".
  std::string End();
  pid_t pid() const { return pid_; }

 private:
  WorkerProcess(pid_t pid, int fd) : pid_(pid), channel_(fd) {}
  // As Unavailable, with what became of the process.
  absl::Status Explain(absl::Status status);

  pid_t pid_;
  FrameChannel channel_;
  bool reaped_ = false;
  std::string ending_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_WORKER_PROCESS_H_
