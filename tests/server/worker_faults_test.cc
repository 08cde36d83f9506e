// Worker processes that crash, hang, talk rubbish and lie: each costs its own request, and the next one is served.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/worker/compile_pool.h"
#include "server/worker/frame_channel.h"
#include "server/worker/worker_device.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;

CompilePoolOptions PoolOptions() {
  CompilePoolOptions options;
  options.command = {LADDER_FAKE_WORKER, {}};
  options.workers = 2;
  options.deadline = absl::Seconds(2);
  return options;
}

WorkerDeviceOptions DeviceOptions() {
  WorkerDeviceOptions options;
  options.command = {LADDER_FAKE_WORKER, {"--gpu", "0"}};
  options.deadline = absl::Seconds(2);
  return options;
}

CompileRequest Source(const std::string& text) { return {"sm_90a", {text, {}}, "ladder_kernel"}; }

absl::StatusOr<CompiledKernel> CompileOne(Compiler& compiler, const std::string& text) {
  const CompileRequest request = Source(text);
  return compiler.Compile(std::span(&request, 1), nullptr)[0];
}

Workload SmallWorkload() {
  OperatorDescriptor descriptor;
  descriptor.n = descriptor.k = 256;
  return {*Normalize(descriptor), 1, 7};
}

KernelBinary Kernel(const std::string& binary) {
  KernelBinary kernel;
  kernel.binary = binary;
  kernel.launch.threads = 128;
  return kernel;
}

std::vector<int> Children() {
  std::vector<int> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(entry.path() / "children");
    for (int pid = 0; file >> pid;) children.push_back(pid);
  }
  return children;
}

int HighestDescriptorOfTheChild() {
  const std::vector<int> children = Children();
  EXPECT_EQ(children.size(), 1u);
  int highest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat("/proc/", children.at(0), "/fd"))) {
    highest = std::max(highest, std::stoi(entry.path().filename()));
  }
  return highest;
}

// The fault tests' rounds: LADDER_LONG=1 gives those of the figures to reach.
int Rounds() { return std::getenv("LADDER_LONG") != nullptr ? 500 : 5; }

std::string P99AndWorst(std::vector<absl::Duration> times) {
  std::sort(times.begin(), times.end());
  return absl::StrCat("p99 ", absl::FormatDuration(times[times.size() * 99 / 100]), ", worst ",
                      absl::FormatDuration(times.back()));
}

TEST(CompilePool, StartsNothingBeforeTheFirstCall) {
  WorkerCompiler compiler(PoolOptions());
  EXPECT_TRUE(Children().empty());
  EXPECT_EQ(compiler.Version(), "fake compiler 1");
  EXPECT_EQ(Children().size(), 1u);
}

TEST(CompilePool, AnswersInOrderAndKeepsToItsSize) {
  WorkerCompiler compiler(PoolOptions());
  std::vector<CompileRequest> requests;
  for (int i = 0; i < 40; ++i) requests.push_back(Source(absl::StrCat("kernel ", i, i == 7 ? " !error" : "")));
  std::atomic<int> done = 0;
  const auto results = compiler.Compile(requests, [&](size_t) { ++done; });
  ASSERT_EQ(results.size(), 40u);
  for (int i = 0; i < 40; ++i) {
    if (i == 7) {
      EXPECT_EQ(results[7].status().message(), "error: expected ';'");
    } else {
      ASSERT_TRUE(results[i].ok()) << results[i].status();
      EXPECT_EQ(results[i]->binary, absl::StrCat("binary of sm_90a kernel ", i));
    }
  }
  EXPECT_EQ(done, 40);
  EXPECT_LE(Children().size(), 2u);
}

TEST(CompilePool, ACrashIsTriedOnceMore) {
  WorkerCompiler compiler(PoolOptions());
  const std::string marker = ::testing::TempDir() + absl::StrCat("/crash-once-", ::getpid());
  EXPECT_TRUE(CompileOne(compiler, "crash-once:" + marker + "\n").ok());
  EXPECT_TRUE(std::filesystem::remove(marker));
}

TEST(CompilePool, FaultsCostTheirOwnRequestOnly) {
  WorkerCompiler compiler(PoolOptions());
  for (const char* fault : {"!segfault", "!abort", "!exit", "!garbage", "!oversize", "!half"}) {
    for (int i = 0; i < 3; ++i) {
      const std::vector<CompileRequest> requests = {Source(absl::StrCat("good ", i)), Source(absl::StrCat(fault, i)),
                                                    Source(absl::StrCat("fine ", i))};
      const auto results = compiler.Compile(requests, nullptr);
      EXPECT_TRUE(results[0].ok()) << fault << results[0].status();
      EXPECT_TRUE(absl::IsPermissionDenied(results[1].status())) << fault << results[1].status();
      EXPECT_TRUE(results[2].ok()) << fault << results[2].status();
    }
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(CompileOne(compiler, absl::StrCat("after ", &fault[1])).ok());
    EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose shadows are address space, too
TEST(CompilePool, ACompilerThatEatsMemoryMeetsItsLimit) {
  CompilePoolOptions options = PoolOptions();
  options.deadline = absl::Seconds(20);
  // What a worker maps before it compiles is about half of it; what "!memory" wants is 256 MiB more.
  options.command.arguments = {"--memory-bytes", absl::StrCat(int64_t{256} << 20)};
  WorkerCompiler compiler(options);
  ASSERT_TRUE(CompileOne(compiler, "good").ok());
  const absl::Status status = CompileOne(compiler, "!memory").status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("killed by signal 6"));  // not at its deadline
  EXPECT_TRUE(CompileOne(compiler, "fine").ok());
}
#endif

TEST(CompilePool, StartsAllWorkersWithTheFirstCompilation) {
  CompilePoolOptions options = PoolOptions();
  options.workers = 3;
  WorkerCompiler compiler(options);
  EXPECT_FALSE(compiler.Version().empty());
  EXPECT_EQ(Children().size(), 1u);  // a look-up compiles nothing
  ASSERT_TRUE(CompileOne(compiler, "good").ok());
  for (int i = 0; i < 500 && Children().size() < 3; i++) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(Children().size(), 3u);
}

TEST(CompilePool, HasNoDescriptorsButItsOwn) {
  const int ours = ::dup(0);
  CompilePoolOptions options = PoolOptions();
  options.workers = 1;
  WorkerCompiler compiler(options);
  ASSERT_TRUE(CompileOne(compiler, "good").ok());
  EXPECT_EQ(HighestDescriptorOfTheChild(), 3);
  ::close(ours);
}

TEST(CompilePool, TellsHowTheWorkerDied) {
  WorkerCompiler compiler(PoolOptions());
  EXPECT_THAT(std::string(CompileOne(compiler, "!segfault").status().message()), HasSubstr("killed by signal 11"));
  EXPECT_THAT(std::string(CompileOne(compiler, "!exit").status().message()), HasSubstr("exited with status 7"));
}

TEST(CompilePool, AHangEndsAtItsDeadlineAndASecondOneIsTheLast) {
  CompilePoolOptions options = PoolOptions();
  options.deadline = absl::Milliseconds(300);
  WorkerCompiler compiler(options);
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(CompileOne(compiler, "!hang").status()));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  EXPECT_TRUE(absl::IsDeadlineExceeded(CompileOne(compiler, "!hang").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(CompileOne(compiler, "!hang").status()));
  EXPECT_TRUE(CompileOne(compiler, "good").ok());
}

TEST(CompilePool, StopEndsWhatHangs) {
  CompilePoolOptions options = PoolOptions();
  options.deadline = absl::Minutes(10);
  WorkerCompiler compiler(options);
  std::thread stopper([&] {
    absl::SleepFor(absl::Milliseconds(300));
    compiler.Stop();
  });
  EXPECT_TRUE(absl::IsCancelled(CompileOne(compiler, "!hang").status()));
  EXPECT_TRUE(absl::IsCancelled(CompileOne(compiler, "good").status()));
  stopper.join();
}

TEST(CompilePool, RefusesWorkersItCanNotTrust) {
  CompilePoolOptions options = PoolOptions();
  options.command.program = "/no/such/program";
  WorkerCompiler missing(options);
  EXPECT_EQ(missing.Version(), "");
  EXPECT_THAT(std::string(CompileOne(missing, "good").status().message()), HasSubstr("/no/such/program can't be run"));

  options = PoolOptions();
  options.command.arguments = {"--foreign"};
  options.sources_digest = "ours";
  WorkerCompiler foreign(options);
  EXPECT_THAT(std::string(CompileOne(foreign, "good").status().message()), HasSubstr("install both from one build"));

  options = PoolOptions();
  options.command.arguments = {"--mute"};
  options.start_deadline = absl::Milliseconds(200);
  WorkerCompiler mute(options);
  EXPECT_FALSE(CompileOne(mute, "good").ok());
}

TEST(CompilePool, AsksForTheVersionOnceInVain) {
  CompilePoolOptions options = PoolOptions();
  options.command.arguments = {"--mute"};
  options.start_deadline = absl::Milliseconds(500);
  WorkerCompiler mute(options);
  EXPECT_EQ(mute.Version(), "");
  // Every look-up asks.
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(mute.Version(), "");
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(400));
}

TEST(ProfileWorker, VerifiesAndTimes) {
  WorkerDevice device(DeviceOptions());
  ASSERT_EQ(*device.GetTarget(), *Target::FromName("h200"));
  EXPECT_EQ(device.GetEnvironment()->driver, "fake driver 1");
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.LoadSupport(support).ok());
  absl::StatusOr<Verification> verification = device.Verify(SmallWorkload(), Kernel("good"));
  ASSERT_TRUE(verification.ok()) << verification.status();
  EXPECT_TRUE(verification->passed);
  const std::vector<KernelBinary> kernels = {Kernel("a"), Kernel("b")};
  EXPECT_EQ(device.Profile(SmallWorkload(), kernels, {})->size(), 2u);
  EXPECT_TRUE(absl::IsUnimplemented(device.ProfileYardstick(SmallWorkload(), "cublaslt_fp16", {}).status()));
  EXPECT_TRUE(device.ProfileYardstick(SmallWorkload(), "empty", {}).ok());
}

TEST(ProfileWorker, AKernelThatKillsItTwiceIsDeniedAndTheNextOneServed) {
  WorkerDeviceOptions options = DeviceOptions();
  options.deaths_limit = 1000;  // of one kernel, not of a broken GPU
  WorkerDevice device(options);
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.LoadSupport(support).ok());
  for (const char* fault : {"!segfault", "!illegal", "!garbage", "!oversize", "!half"}) {
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = device.Verify(SmallWorkload(), Kernel(fault)).status();
      EXPECT_TRUE(absl::IsInternal(status)) << fault << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("the kernel killed the profile worker")) << fault;
      // With the support kernels loaded again.
      const absl::Time begin = absl::Now();
      EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok()) << fault;
      EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
    }
    EXPECT_TRUE(absl::IsPermissionDenied(device.Verify(SmallWorkload(), Kernel(fault)).status())) << fault;
  }
}

TEST(DeathLog, FiveInTenMinutesAreTooMany) {
  const absl::Time begin = absl::FromUnixSeconds(1'000'000);
  DeathLog log(5, absl::Minutes(10));
  for (int i = 0; i < 8; ++i) log.Add(begin + i * absl::Minutes(3));  // never more than four within ten minutes
  const absl::Time later = begin + absl::Hours(1);
  EXPECT_EQ(log.OutUntil(begin + absl::Minutes(21)), std::nullopt);
  for (int i = 0; i < 4; ++i) log.Add(later + i * absl::Minutes(1));
  EXPECT_EQ(log.OutUntil(later + absl::Minutes(3)), std::nullopt);
  log.Add(later + absl::Minutes(9));
  EXPECT_EQ(log.OutUntil(later + absl::Minutes(9)), later + absl::Minutes(19));
  EXPECT_EQ(log.OutUntil(later + absl::Minutes(19)), std::nullopt);
  log.Add(later + absl::Minutes(19));  // the count starts anew
  EXPECT_EQ(log.OutUntil(later + absl::Minutes(19)), std::nullopt);
  EXPECT_EQ(log.total(), 14);
}

TEST(ProfileWorker, TooManyDeathsPutTheGpuOutOfServiceForAWhile) {
  WorkerDeviceOptions options = DeviceOptions();
  options.deaths_window = absl::Seconds(2);
  WorkerDevice device(options);
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.GetTarget().ok());
  ASSERT_TRUE(device.LoadSupport(support).ok());
  ASSERT_TRUE(device.GetTarget().ok());
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(device.InService().ok());
    EXPECT_TRUE(absl::IsInternal(device.Verify(SmallWorkload(), Kernel(absl::StrCat("!segfault", i))).status()));
  }
  EXPECT_EQ(device.deaths(), 5);
  const absl::Status status = device.Verify(SmallWorkload(), Kernel("good")).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("its worker died 5 times within 2s (the last time: "));
  EXPECT_TRUE(Children().empty());
  EXPECT_TRUE(device.GetTarget().ok());  // what look-ups need
  absl::SleepFor(options.deaths_window);
  EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok());
}

TEST(ProfileWorker, ADeathAmongSeveralKernelsDeniesNone) {
  WorkerDevice device(DeviceOptions());
  const std::vector<KernelBinary> kernels = {Kernel("good"), Kernel("!segfault")};
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(absl::IsInternal(device.Profile(SmallWorkload(), kernels, {}).status()));
  }
  EXPECT_TRUE(device.Profile(SmallWorkload(), std::span(kernels).first(1), {}).ok());
}

TEST(ProfileWorker, AHangIsKilledAtItsDeadline) {
  WorkerDeviceOptions options = DeviceOptions();
  options.deadline = absl::Milliseconds(300);
  WorkerDevice device(options);
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.LoadSupport(support).ok());
  EXPECT_THAT(std::string(device.Verify(SmallWorkload(), Kernel("!hang")).status().message()),
              HasSubstr("no answer within 300ms"));
  EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok());
}

TEST(ProfileWorker, KeepsToItsMemory) {
  WorkerDeviceOptions options = DeviceOptions();
  options.resident_limit_bytes = int64_t{128} << 20;
  options.deadline = absl::Seconds(20);
  WorkerDevice device(options);
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.LoadSupport(support).ok());
  const absl::Status status = device.Verify(SmallWorkload(), Kernel("!memory")).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok());
}

TEST(ProfileWorker, IsNotBelievedEverything) {
  WorkerDevice device(DeviceOptions());
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.LoadSupport(support).ok());
  EXPECT_TRUE(absl::IsInternal(device.Verify(SmallWorkload(), Kernel("!lie")).status()));
  {
    const std::string file = ::testing::TempDir() + absl::StrCat("/conditions-", ::getpid());
    std::ofstream(file) << "1 250";
    ::setenv("LADDER_FAKE_CONDITIONS_FILE", file.c_str(), 1);
    WorkerDevice impossible(DeviceOptions());
    EXPECT_TRUE(absl::IsInternal(impossible.GetConditions().status()));
    std::ofstream(file) << "1 25";
    const absl::StatusOr<DeviceConditions> conditions = impossible.GetConditions();
    ASSERT_TRUE(conditions.ok()) << conditions.status();
    EXPECT_EQ(*conditions, (DeviceConditions{.other_processes = 1, .busy_percent = 25}));
    ::unsetenv("LADDER_FAKE_CONDITIONS_FILE");
    std::filesystem::remove(file);
  }
  const std::vector<KernelBinary> fewer = {Kernel("a"), Kernel("!fewer")};
  EXPECT_TRUE(absl::IsInternal(device.Profile(SmallWorkload(), fewer, {}).status()));
  const std::vector<KernelBinary> negative = {Kernel("!negative")};
  EXPECT_FALSE(device.Profile(SmallWorkload(), negative, {}).ok());
  EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok());
}

// Each fault over and over, by sources that are all different, so that each is tried twice: the next one is served.
TEST(CompilePool, RecoversFromEveryFaultWithinTwoSeconds) {
  CompilePoolOptions options = PoolOptions();
  options.workers = 1;  // the next one has to wait for a new worker
  options.deadline = absl::Milliseconds(400);
  WorkerCompiler compiler(options);
  ASSERT_TRUE(CompileOne(compiler, "good").ok());
  std::vector<absl::Duration> recoveries;
  for (const char* fault : {"!segfault", "!abort", "!exit", "!garbage", "!oversize", "!half", "!hang"}) {
    for (int i = 0; i < Rounds(); ++i) {
      EXPECT_FALSE(CompileOne(compiler, absl::StrCat(fault, " ", i)).ok());
      const absl::Time begin = absl::Now();
      ASSERT_TRUE(CompileOne(compiler, absl::StrCat("after ", &fault[1], " ", i)).ok()) << fault << " " << i;
      recoveries.push_back(absl::Now() - begin);
    }
  }
  std::printf("%zu faults of compilers, recovery %s\n", recoveries.size(), P99AndWorst(recoveries).c_str());
  EXPECT_LT(*std::max_element(recoveries.begin(), recoveries.end()), absl::Seconds(2));
}

// Likewise by kernels, which are tried once.
TEST(ProfileWorker, RecoversFromEveryFaultWithinTwoSeconds) {
  WorkerDeviceOptions options = DeviceOptions();
  options.deaths_limit = 1'000'000;
  options.deadline = absl::Milliseconds(400);
  options.resident_limit_bytes = int64_t{128} << 20;
  WorkerDevice device(options);
  CompiledKernel support;
  support.binary = "support";
  ASSERT_TRUE(device.GetTarget().ok());
  ASSERT_TRUE(device.LoadSupport(support).ok());
  ASSERT_TRUE(device.GetTarget().ok());
  std::vector<absl::Duration> recoveries;
  std::vector<absl::Duration> answers;
  for (const char* fault : {"!segfault", "!abort", "!exit", "!garbage", "!oversize", "!half", "!memory", "!hang"}) {
    for (int i = 0; i < Rounds(); ++i) {
      std::thread look_up([&] {
        const absl::Time begin = absl::Now();
        EXPECT_TRUE(device.GetTarget().ok());  // what look-ups ask of a device
        answers.push_back(absl::Now() - begin);
      });
      EXPECT_FALSE(device.Verify(SmallWorkload(), Kernel(absl::StrCat(fault, " ", i))).ok());
      look_up.join();
      const absl::Time begin = absl::Now();
      ASSERT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok()) << fault << " " << i;
      recoveries.push_back(absl::Now() - begin);
    }
  }
  std::printf("%zu faults of kernels, recovery %s; answers to look-ups meanwhile %s\n", recoveries.size(),
              P99AndWorst(recoveries).c_str(), P99AndWorst(answers).c_str());
  EXPECT_LT(*std::max_element(recoveries.begin(), recoveries.end()), absl::Seconds(2));
  EXPECT_EQ(device.deaths(), static_cast<int64_t>(recoveries.size()));
}

TEST(ProfileWorker, PreparesAVerificationAndTellsNoFailureOfIt) {
  WorkerDevice device(DeviceOptions());
  ASSERT_TRUE(device.LoadSupport({.binary = "support"}).ok());
  device.PrepareVerify(SmallWorkload());
  EXPECT_EQ(device.deaths(), 0);
  EXPECT_TRUE(device.Verify(SmallWorkload(), Kernel("good")).ok());
  WorkerDeviceOptions missing = DeviceOptions();
  missing.command.program = "/nowhere/ladder-profile-worker";
  WorkerDevice none(missing);
  none.PrepareVerify(SmallWorkload());
  EXPECT_FALSE(none.Verify(SmallWorkload(), Kernel("good")).ok());
}

TEST(ProfileWorker, HasNoDescriptorsButItsOwn) {
  const int ours = ::dup(0);
  WorkerDevice device(DeviceOptions());
  ASSERT_TRUE(device.GetTarget().ok());
  EXPECT_EQ(HighestDescriptorOfTheChild(), 3);
  ::close(ours);
}

TEST(FrameChannel, CarriesEmptyAndBigFramesAndRefusesTooBigOnes) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  FrameChannel a(pair[0]);
  FrameChannel b(pair[1]);
  const absl::Time soon = absl::Now() + absl::Seconds(20);
  ASSERT_TRUE(a.Send("", soon).ok());
  EXPECT_EQ(*b.Receive(soon), "");
  const std::string big(5'000'000, 'x');
  std::thread sender([&] { EXPECT_TRUE(a.Send(big, soon).ok()); });
  EXPECT_EQ(*b.Receive(soon), big);
  sender.join();
  EXPECT_TRUE(absl::IsInvalidArgument(a.Send(std::string(kMaxFrameBytes + 1, 'x'), soon)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.Receive(absl::Now() + absl::Milliseconds(50)).status()));
}

}  // namespace
}  // namespace ladder
