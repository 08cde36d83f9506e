// Tuning on a GPU that others use, that is busy or throttled, or whose times spread.
#include "core/tuning/quiet.h"

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "core/kernel_service.h"
#include "core/store/in_memory_kernel_store.h"
#include "gtest/gtest.h"
#include "tests/core/fakes.h"

namespace ladder {
namespace {

constexpr DeviceConditions kShared = {.other_processes = 1};

class QuietTest : public testing::Test {
 protected:
  QuietTest() { options_.candidates = 4; }
  absl::StatusOr<Acquired> Tune() {
    KernelService service(catalog_, store_, compiler_, &device_);
    const absl::Time begin = absl::Now();
    absl::StatusOr<Acquired> acquired =
        service.Acquire(op_, 16, *Target::FromName("h200"), options_, progress_, cancel_);
    took_ = absl::Now() - begin;
    return acquired;
  }

  const ScheduleCatalog catalog_ = NearCatalog(4);
  InMemoryKernelStore store_;
  FakeCompiler compiler_;
  FakeDevice device_;
  const NormalizedOperator op_ = SmallOperator();
  TuningOptions options_;
  ProgressCallback progress_;
  const std::shared_ptr<CancelToken> cancel_ = std::make_shared<CancelToken>();
  absl::Duration took_;
};

TEST_F(QuietTest, AGpuThatOthersUseIsRefusedUnlessAskedFor) {
  device_.conditions = [] { return kShared; };
  absl::Status refused = Tune().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_TRUE(absl::StartsWith(refused.message(),
                               "options.share_gpu: this GPU is in use (1 other process has a context on it); "))
      << refused;
  EXPECT_EQ(device_.verified, 0);
  EXPECT_EQ(compiler_.compiled, 1);  // the support kernels
  // Where processes can't be counted their memory tells.
  device_.conditions = [] { return DeviceConditions{.other_memory_bytes = int64_t{40} << 30}; };
  refused = Tune().status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "others hold at least 40960 MiB of its memory")) << refused;
  options_.share_gpu = true;
  const absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  // What is known is served whoever uses the GPU.
  options_.share_gpu = false;
  EXPECT_TRUE(Tune()->cache_hit);
}

TEST_F(QuietTest, AProcessThatComesWhileTuningEndsTheTune) {
  device_.conditions = [this] { return device_.verified == 0 ? DeviceConditions{} : kShared; };
  EXPECT_TRUE(absl::IsFailedPrecondition(Tune().status()));
  EXPECT_EQ(device_.verified, 2 * 4);  // each at two numbers of rows
}

TEST_F(QuietTest, BesideOthersMeasuringKeepsToItsShareOfTheTime) {
  device_.conditions = [] { return kShared; };
  options_.share_gpu = true;
  options_.share_duty_percent = 20;
  absl::Duration used;
  const auto use = [&used] {
    const absl::Time begin = absl::Now();
    absl::SleepFor(absl::Milliseconds(5));
    used += absl::Now() - begin;
  };
  device_.on_verify = use;
  device_.on_profile = [&](std::vector<Measurement>&) { use(); };
  absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_GT(used, absl::Milliseconds(40));  // four verified, four timed, one final
  EXPECT_LE(used, 0.2 * took_);
  EXPECT_GE(absl::Milliseconds(tuned->record.trace.rested_ms), 4 * used);
  // Not where nobody is disturbed.
  device_.conditions = nullptr;
  options_.force = true;
  tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->record.trace.rested_ms, 0);
}

TEST_F(QuietTest, ABusyGpuIsWaitedForBeforeAnythingIsTimed) {
  std::atomic<int> looks = 0;
  device_.conditions = [&] {
    DeviceConditions conditions = kShared;
    conditions.busy_percent = ++looks <= 4 ? 97 : 0;
    return conditions;
  };
  options_.share_gpu = true;
  options_.share_duty_percent = 100;
  device_.on_profile = [&](std::vector<Measurement>&) { EXPECT_GT(looks, 4); };
  bool said = false;
  progress_ = [&](const TuningProgress& p) { said = said || p.phase == TuningPhase::kWait; };
  const absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  const TuningTrace& trace = tuned->record.trace;
  EXPECT_EQ(trace.disturbance, "other processes keep the GPU 97% busy");
  EXPECT_FALSE(trace.disturbed);
  EXPECT_GE(trace.waited_ms, 200);
  EXPECT_TRUE(said);
}

TEST_F(QuietTest, AThrottledGpuThatStaysSoCostsNoMoreThanTheBudgetAndIsRecorded) {
  device_.conditions = [] { return DeviceConditions{.other_processes = 0, .throttled = true}; };
  options_.budget = absl::Milliseconds(500);
  const absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  const TuningTrace& trace = tuned->record.trace;
  EXPECT_EQ(trace.disturbance, "heat or a power brake lowers the GPU's clocks");
  EXPECT_TRUE(trace.disturbed);
  EXPECT_GE(took_, options_.budget);
  EXPECT_LT(took_, options_.budget + absl::Seconds(1));
  EXPECT_EQ(tuned->record.kind, RecordKind::kMeasured);
}

TEST_F(QuietTest, TimesThatSpreadAreTakenAgain) {
  int finals = 0;
  device_.on_profile = [&](std::vector<Measurement>& results) {
    if (results.size() == 1) return;
    // A slice of every second belongs to somebody else the first two times.
    const double spread = ++finals == 1 ? 0.4 : finals == 2 ? 0.2 : 0.01;
    for (Measurement& m : results) m = {.median_us = 1 + spread, .spread_us = spread, .repeats = 7};
  };
  absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(finals, 3);
  EXPECT_DOUBLE_EQ(tuned->record.winner().measurement.median_us, 1.01);
  EXPECT_EQ(tuned->record.trace.disturbance, "times spread by 29%");
  EXPECT_FALSE(tuned->record.trace.disturbed);

  // Never steady: the steadiest of a few.
  options_.force = true;
  finals = 0;
  device_.on_profile = [&](std::vector<Measurement>& results) {
    if (results.size() == 1) return;
    const double spread = ++finals == 2 ? 0.2 : 0.4;
    for (Measurement& m : results) m = {.median_us = 1 + spread, .spread_us = spread, .repeats = 7};
  };
  tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(finals, 4);
  EXPECT_DOUBLE_EQ(tuned->record.winner().measurement.median_us, 1.2);
  EXPECT_TRUE(tuned->record.trace.disturbed);
}

TEST_F(QuietTest, ATimeUnderAPowerBrakeIsTakenAgain) {
  int finals = 0;
  device_.on_profile = [&](std::vector<Measurement>& results) {
    if (results.size() > 1) results.front().throttled = ++finals == 1;
  };
  const absl::StatusOr<Acquired> tuned = Tune();
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(finals, 2);
  EXPECT_FALSE(tuned->record.winner().measurement.throttled);
}

TEST_F(QuietTest, AWaitCanBeCancelled) {
  device_.conditions = [] { return DeviceConditions{.throttled = true}; };
  options_.budget = absl::Minutes(5);
  std::thread caller([&] {
    absl::SleepFor(absl::Milliseconds(200));
    cancel_->Cancel();
  });
  EXPECT_TRUE(absl::IsCancelled(Tune().status()));
  EXPECT_LT(took_, absl::Seconds(10));
  caller.join();
}

TEST(Disturbance, IsNamed) {
  EXPECT_EQ(Disturbance(DeviceConditions{}), "");
  EXPECT_EQ(Disturbance(DeviceConditions{.other_processes = 2, .busy_percent = 3}), "");
  EXPECT_EQ(Disturbance(DeviceConditions{.busy_percent = 50}), "other processes keep the GPU 50% busy");
  EXPECT_EQ(Disturbance(Measurement{.median_us = 10, .spread_us = 0.4}), "");
  EXPECT_EQ(Disturbance(Measurement{.median_us = 10, .spread_us = 0.6}), "times spread by 6%");
  EXPECT_FALSE(IsShared({}));
  EXPECT_TRUE(IsShared(kShared));
  EXPECT_TRUE(IsShared({.other_processes = 0, .other_memory_bytes = 1}));
}

}  // namespace
}  // namespace ladder
