// ladderd as a process of a test.
#ifndef LADDER_TESTS_SERVER_DAEMON_PROCESS_H_
#define LADDER_TESTS_SERVER_DAEMON_PROCESS_H_

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {

// Killed with the object unless it has ended.
class Daemon {
 public:
  // Standard output and error go to a file.
  Daemon(const std::string& program, std::vector<std::string> arguments, const std::string& output) : output_(output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, pointers.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Daemon() {
    if (status_ < 0 && pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Daemon(const Daemon&) = delete;
  // Whether it comes to say so within 30 seconds.
  bool WaitFor(const std::string& text) {
    for (int i = 0; i < 300; ++i) {
      if (Output().find(text) != std::string::npos) return true;
      absl::SleepFor(absl::Milliseconds(100));
    }
    return false;
  }
  int Wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void Signal(int signal) { ::kill(pid_, signal); }
  std::string Output() const { return ReadFile(output_); }
  pid_t pid() const { return pid_; }

 private:
  std::string output_;
  pid_t pid_ = -1;
  int status_ = -1;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_DAEMON_PROCESS_H_
