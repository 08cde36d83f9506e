#include "server/worker/worker_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

int64_t ResidentBytes(pid_t pid) {
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return statm ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

std::string DescribeEnding(int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("killed by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ")");
  }
  return absl::StrCat("exited with status ", WEXITSTATUS(status));
}

// posix_spawn's two objects, freed on every path.
struct SpawnSettings {
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

int SpawnWith(const WorkerCommand& command, int fd, pid_t* pid) {
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&settings.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&settings.actions, fd, kWorkerDescriptor);
  ::posix_spawn_file_actions_addclosefrom_np(&settings.actions, kWorkerDescriptor + 1);
  // The service blocks and handles signals of its own; a worker starts with the plain ones. A group of its own keeps a
  // terminal's Ctrl-C for the service, which then ends its workers in order.
  sigset_t all;
  ::sigfillset(&all);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &all);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  ::posix_spawnattr_setflags(&settings.attributes,
                             POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(command.program.c_str()));
  for (const std::string& argument : command.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  return ::posix_spawn(pid, command.program.c_str(), &settings.actions, &settings.attributes, arguments.data(),
                       environ);
}

}  // namespace

std::string WorkerProgram(const std::string& configured, const std::string& name) {
  if (!configured.empty()) return configured;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

absl::StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Spawn(const WorkerCommand& command) {
  if (::access(command.program.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the worker program ", command.program, " can't be run (",
                                                      std::strerror(errno),
                                                      "); it belongs beside the calling program"));
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("no socket for a worker: ", std::strerror(errno)));
  }
  // The child's end must not be one of the descriptors that the spawn replaces before it is copied, nor be copied onto
  // itself, which keeps close-on-exec on older C libraries.
  int child_end = pair[1];
  if (child_end <= kWorkerDescriptor) {
    child_end = ::fcntl(pair[1], F_DUPFD_CLOEXEC, kWorkerDescriptor + 1);
    ::close(pair[1]);
  }
  pid_t pid = -1;
  const int error = SpawnWith(command, child_end, &pid);
  ::close(child_end);
  if (error != 0) {
    ::close(pair[0]);
    return absl::FailedPreconditionError(
        absl::StrCat("the worker program ", command.program, " can't be started: ", std::strerror(error)));
  }
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(pid, pair[0]));
}

WorkerProcess::~WorkerProcess() { End(); }

std::string WorkerProcess::End() {
  if (reaped_) return ending_;
  int status = 0;
  // A worker that died by itself has its socket closed before it can be reaped; give it a moment, so that the signal
  // told is its own and not ours.
  pid_t got = 0;
  for (int i = 0; i < 20 && (got = ::waitpid(pid_, &status, WNOHANG)) == 0; ++i) {
    char byte;
    const ssize_t peeked = ::recv(channel_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (peeked > 0 || (peeked < 0 && errno == EAGAIN)) break;  // not closed: it lives
    ::usleep(10'000);
  }
  if (got == 0) {
    ::kill(pid_, SIGKILL);
    while ((got = ::waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
    }
    ending_ = "killed";
  }
  if (got == pid_) ending_ = DescribeEnding(status);
  reaped_ = true;
  return ending_;
}

absl::Status WorkerProcess::Explain(absl::Status status) {
  if (status.code() != absl::StatusCode::kUnavailable) return status;
  return absl::UnavailableError(absl::StrCat("the worker process ", End()));
}

absl::Status WorkerProcess::CheckResident(int64_t limit_bytes) const {
  const int64_t resident = ResidentBytes(pid_);
  if (resident <= limit_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the worker process used ", resident >> 20, " MiB; its limit is ", limit_bytes >> 20, " MiB"));
}

absl::StatusOr<std::string> WorkerProcess::Call(const std::string& request, absl::Duration deadline,
                                                const FrameChannel::Watch& watch) {
  const absl::Time until = absl::Now() + deadline;
  if (absl::Status status = channel_.Send(request, until, watch); !status.ok()) return Explain(status);
  absl::StatusOr<std::string> reply = channel_.Receive(until, watch);
  if (absl::IsDeadlineExceeded(reply.status())) {
    return absl::DeadlineExceededError(
        absl::StrCat("the worker process gave no answer within ", absl::FormatDuration(deadline)));
  }
  if (!reply.ok()) return Explain(reply.status());
  return reply;
}

absl::StatusOr<std::string> WorkerProcess::Receive(absl::Duration deadline, const FrameChannel::Watch& watch) {
  absl::StatusOr<std::string> frame = channel_.Receive(absl::Now() + deadline, watch);
  if (!frame.ok()) return Explain(frame.status());
  return frame;
}

}  // namespace ladder
