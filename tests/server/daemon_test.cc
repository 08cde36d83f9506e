// ladderd as a process: its socket, its signals, its exit statuses, and what it keeps out of its address space.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Daemon {
 public:
  // Standard output and error go to a file.
  Daemon(std::vector<std::string> arguments, const std::string& output) : output_(output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    arguments.insert(arguments.begin(), LADDER_DAEMON);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    if (posix_spawn(&pid_, LADDER_DAEMON, &actions, nullptr, pointers.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Daemon() {
    if (status_ < 0 && pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
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

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    WriteFile(config_, absl::StrCat(R"({"listen": "unix://)", socket_, R"(", "cache": {"path": ")", folder_ / "cache",
                                    R"("}, "compile": {"worker": ")", LADDER_FAKE_WORKER, R"("}, "gpu": {"worker": ")",
                                    LADDER_FAKE_WORKER, R"("}})"));
  }
  Daemon Run(const std::string& output = "out") { return Daemon({"--config", config_}, folder_ / output); }

  TemporaryFolder folder_;
  const std::string socket_ = folder_ / "run/ladderd.sock";
  const std::string config_ = folder_ / "ladderd.json";
};

TEST_F(DaemonTest, ServesDrainsAndLeavesNothingBehind) {
  Daemon daemon = Run();
  ASSERT_TRUE(daemon.WaitFor("GPU: NVIDIA H200")) << daemon.Output();
  struct stat found {};
  ASSERT_EQ(::stat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0660u);
  ASSERT_EQ(::stat((folder_ / "run").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0750u);
  // Its workers know the GPU and the compiler; it does not.
  const std::string maps = ReadFile(absl::StrCat("/proc/", daemon.pid(), "/maps"));
  EXPECT_THAT(maps, HasSubstr("libgrpc"));
  for (const char* library : {"libcuda", "libnvrtc", "libcublas", "libnvidia"})
    EXPECT_THAT(maps, Not(HasSubstr(library)));

  daemon.Signal(SIGTERM);
  EXPECT_EQ(daemon.Wait(), 0);
  EXPECT_THAT(daemon.Output(), HasSubstr("ladderd ended"));
  EXPECT_NE(::stat(socket_.c_str(), &found), 0);
}

TEST_F(DaemonTest, ASecondOneIsToldToGoElsewhere) {
  Daemon first = Run();
  ASSERT_TRUE(first.WaitFor("serves on")) << first.Output();
  Daemon second = Run("second");
  EXPECT_EQ(second.Wait(), 3);
  EXPECT_THAT(second.Output(), HasSubstr("cache"));
  Daemon elsewhere({"--config", config_, "--cache", folder_ / "other"}, folder_ / "third");
  EXPECT_EQ(elsewhere.Wait(), 3);
  EXPECT_THAT(elsewhere.Output(), HasSubstr("another daemon serves on"));
  first.Signal(SIGINT);
  EXPECT_EQ(first.Wait(), 0);
}

TEST_F(DaemonTest, ALeftOverSocketIsReplacedButNoOtherFile) {
  {
    Daemon daemon = Run();
    ASSERT_TRUE(daemon.WaitFor("serves on")) << daemon.Output();
    daemon.Signal(SIGKILL);
    daemon.Wait();
  }
  struct stat found {};
  ASSERT_EQ(::stat(socket_.c_str(), &found), 0);  // left over
  {
    Daemon daemon = Run();
    ASSERT_TRUE(daemon.WaitFor("serves on")) << daemon.Output();
    daemon.Signal(SIGTERM);
    EXPECT_EQ(daemon.Wait(), 0);
  }
  WriteFile(socket_, "precious");
  Daemon refused = Run();
  EXPECT_EQ(refused.Wait(), 3);
  EXPECT_THAT(refused.Output(), HasSubstr("exists and is no socket"));
  EXPECT_EQ(ReadFile(socket_), "precious");
}

TEST_F(DaemonTest, BadConfigurationsAreOneSentenceAndStatusTwo) {
  WriteFile(config_, "{\"listen\": }");
  Daemon daemon = Run();
  EXPECT_EQ(daemon.Wait(), 2);
  EXPECT_THAT(daemon.Output(), HasSubstr("ladderd.json: not valid JSON at line 1, column 12"));
  Daemon option({"--nonsense"}, folder_ / "option");
  EXPECT_EQ(option.Wait(), 2);
  Daemon help({"--help"}, folder_ / "help");
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.Output(), HasSubstr("ladderd --config ladderd.json"));
  Daemon docs({"--print-config-docs"}, folder_ / "docs");
  EXPECT_EQ(docs.Wait(), 0);
  EXPECT_THAT(docs.Output(), HasSubstr("| `cache.path` |"));
}

}  // namespace
}  // namespace ladder
