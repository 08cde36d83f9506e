#include "tests/performance/load_daemon.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace ladder {
namespace {

bool IsServed(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool served = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return served;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoadDaemon>> LoadDaemon::Start(const DaemonSetup& setup) {
  const std::string socket = setup.folder + "/s";
  const std::string file = setup.folder + "/ladderd.json";
  const std::string fake = setup.bin + "/ladder-fake-worker";
  const std::string compiler = setup.real_compiler ? setup.bin + "/ladder-compile-worker" : fake;
  std::ofstream(file) << R"({"listen": "unix://)" << socket << R"(", "cache": {"path": ")" << setup.folder
                      << R"(/cache"}, "compile": {"worker": ")" << compiler
                      << R"(", "workers": 2}, "gpu": {"worker": ")" << fake
                      << R"("}, "tuning": {"concurrent": 2, "queue": 4096}, "log": {"level": "warning"}})";
  std::vector<std::string> words = {setup.bin + "/ladderd", "--config", file};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> variables = setup.environment;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, words[0].c_str(), &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return absl::NotFoundError(absl::StrCat(words[0], " can't be run"));
  // A channel that finds nobody tries again a second later; this looks until there is somebody.
  for (int tries = 0; !IsServed(socket) && tries < 12'000; ++tries) absl::SleepFor(absl::Milliseconds(5));
  auto channel = grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials());
  std::unique_ptr<LoadDaemon> daemon(new LoadDaemon(pid, channel));
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60))) {
    return absl::UnavailableError("ladderd doesn't come up");
  }
  return daemon;
}

LoadDaemon::~LoadDaemon() {
  channel_.reset();
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

absl::Duration LoadDaemon::cpu_of_both() const {
  // Fields 14 and 15 of "PID (NAME) STATE ...", in clock ticks; the name has no blank.
  std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
  std::string skipped;
  for (int field = 1; field < 14; ++field) file >> skipped;
  int64_t user = 0;
  int64_t system = 0;
  file >> user >> system;
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  return absl::Seconds(static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK))) +
         absl::DurationFromTimeval(own.ru_utime) + absl::DurationFromTimeval(own.ru_stime);
}

int64_t LoadDaemon::resident_bytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace ladder
