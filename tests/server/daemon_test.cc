// ladderd as a process: its socket, its signals, its exit statuses, and what it keeps out of its address space.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "tests/server/daemon_process.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    WriteFile(config_, absl::StrCat(R"({"listen": "unix://)", socket_, R"(", "cache": {"path": ")", folder_ / "cache",
                                    R"("}, "compile": {"worker": ")", LADDER_FAKE_WORKER, R"("}, "gpu": {"worker": ")",
                                    LADDER_FAKE_WORKER, R"("}})"));
  }
  Daemon Run(const std::string& output = "out") { return Start({"--config", config_}, output); }
  Daemon Start(std::vector<std::string> arguments, const std::string& output) {
    return Daemon(LADDER_DAEMON, std::move(arguments), folder_ / output);
  }

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
  Daemon elsewhere = Start({"--config", config_, "--cache", folder_ / "other"}, "third");
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
  Daemon option = Start({"--nonsense"}, "option");
  EXPECT_EQ(option.Wait(), 2);
  Daemon help = Start({"--help"}, "help");
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.Output(), HasSubstr("ladderd --config ladderd.json"));
  Daemon docs = Start({"--print-config-docs"}, "docs");
  EXPECT_EQ(docs.Wait(), 0);
  EXPECT_THAT(docs.Output(), HasSubstr("| `cache.path` |"));
}

}  // namespace
}  // namespace ladder
