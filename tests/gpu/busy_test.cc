// Tuning on a GPU that another process uses or keeps busy, through the service with its real workers.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <optional>
#include <thread>

#include "core/backend/cuda/driver.h"
#include "core/backend/dynamic_library.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "tests/server/daemon_process.h"
#include "tests/server/host_fixture.h"

namespace ladder {
namespace {

namespace pb = tune::v1;
using ::testing::HasSubstr;

class GpuBusy : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda::DeviceCount() == 0) GTEST_SKIP() << "no GPU";
  }
  void Start(const std::function<void(Config&)>& change = nullptr) {
    host_.reset();
    Config config = TestConfig(folder_, "");
    config.tuning_candidates = 8;
    if (change) change(config);
    absl::StatusOr<std::unique_ptr<EmbeddedHost>> host = EmbeddedHost::Start(config);
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    tuner_ = pb::Tuner::NewStub(host_->InProcessChannel());
    cache_ = pb::KernelCache::NewStub(host_->InProcessChannel());
    grpc::ClientContext context;
    pb::DescribeResponse machine;
    ASSERT_TRUE(tuner_->Describe(&context, {}, &machine).ok());
    ASSERT_FALSE(machine.target().empty()) << machine.no_gpu_reason();
  }
  // Until the object goes or its time is over.
  std::unique_ptr<Daemon> Hog(const char* seconds, const char* kind) {
    auto hog = std::make_unique<Daemon>(ProgramFolder() + "/ladder-gpu-hog", std::vector<std::string>{seconds, kind},
                                        folder_ / "hog");
    EXPECT_TRUE(hog->WaitFor("ready")) << hog->Output();
    return hog;
  }

  static pb::OperatorDescriptor Operator(int64_t n, int64_t k, int64_t m) {
    pb::OperatorDescriptor op;
    op.set_op("matmul");
    op.set_a("fp16");
    op.set_w("int4");
    op.set_n(n);
    op.set_k(k);
    op.add_m()->set_first(m);
    op.mutable_m(0)->set_last(m);
    return op;
  }
  struct Tuned {
    grpc::Status status;
    pb::TuningRecord record;
    absl::Duration took;
    double us() const { return record.ranked(0).measurement().median_us(); }
    const pb::TuningTrace& trace() const { return record.trace(); }
  };
  Tuned Tune(bool share, int duty_percent, absl::Duration budget) {
    pb::TuneRequest request;
    *request.mutable_op() = Operator(4096, 4096, 16);
    request.mutable_options()->set_force(true);
    request.mutable_options()->set_share_gpu(share);
    request.mutable_options()->set_share_duty_percent(duty_percent);
    request.mutable_options()->set_budget_ms(absl::ToInt64Milliseconds(budget));
    const absl::Time begin = absl::Now();
    grpc::ClientContext context;
    const auto reader = tuner_->Tune(&context, request);
    Tuned tuned;
    for (pb::TuneProgress progress; reader->Read(&progress);) {
      if (progress.has_record()) tuned.record = progress.record();
    }
    tuned.status = reader->Finish();
    tuned.took = absl::Now() - begin;
    if (tuned.status.ok()) {
      std::printf("%.2f us in %.2f s; on the GPU %.2f s, rested %.2f, waited %.2f; %s%s\n", tuned.us(),
                  absl::ToDoubleSeconds(tuned.took), (tuned.trace().verify_ms() + tuned.trace().profile_ms()) * 1e-3,
                  tuned.trace().rested_ms() * 1e-3, tuned.trace().waited_ms() * 1e-3,
                  tuned.trace().disturbance().empty() ? "undisturbed" : tuned.trace().disturbance().c_str(),
                  tuned.trace().disturbed() ? " to the end" : "");
    } else {
      std::printf("refused: %s\n", tuned.status.error_message().c_str());
    }
    std::fflush(stdout);
    return tuned;
  }

  TemporaryFolder folder_;
  std::unique_ptr<EmbeddedHost> host_;
  std::unique_ptr<pb::Tuner::Stub> tuner_;
  std::unique_ptr<pb::KernelCache::Stub> cache_;
};

TEST_F(GpuBusy, IsSharedOnlyIfAskedForAndThenWithinItsDuty) {
  Start();
  const Tuned alone = Tune(false, 0, absl::Seconds(10));
  ASSERT_TRUE(alone.status.ok()) << alone.status.error_message();
  EXPECT_EQ(alone.trace().rested_ms(), 0);
  const std::unique_ptr<Daemon> other = Hog("60", "idle");
  const Tuned refused = Tune(false, 0, absl::Seconds(10));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("options.share_gpu: this GPU is in use ("));
  const Tuned shared = Tune(true, 25, absl::Seconds(20));
  ASSERT_TRUE(shared.status.ok()) << shared.status.error_message();
  EXPECT_FALSE(shared.trace().disturbed()) << shared.trace().disturbance();
  EXPECT_LE(absl::Milliseconds(shared.trace().verify_ms() + shared.trace().profile_ms()), 0.25 * shared.took);
  // Rests leave the clocks lower at the next start: a little slower is the same time.
  EXPECT_NEAR(shared.us(), alone.us(), 0.1 * alone.us());
}

TEST_F(GpuBusy, IsWaitedForOrRecorded) {
  Start();
  const Tuned alone = Tune(false, 0, absl::Seconds(10));
  ASSERT_TRUE(alone.status.ok()) << alone.status.error_message();
  {
    const std::unique_ptr<Daemon> other = Hog("6", "busy");
    absl::SleepFor(absl::Seconds(1.5));  // what is told is the share of the last second
    const Tuned waited = Tune(true, 100, absl::Seconds(30));
    ASSERT_TRUE(waited.status.ok()) << waited.status.error_message();
    EXPECT_THAT(waited.trace().disturbance(), HasSubstr("other processes keep the GPU "));
    EXPECT_FALSE(waited.trace().disturbed());
    EXPECT_GT(waited.trace().waited_ms(), 1000);
    EXPECT_NEAR(waited.us(), alone.us(), 0.05 * alone.us());
  }
  const std::unique_ptr<Daemon> other = Hog("60", "busy");
  absl::SleepFor(absl::Seconds(1.5));
  const Tuned spoilt = Tune(true, 100, absl::Seconds(4));
  ASSERT_TRUE(spoilt.status.ok()) << spoilt.status.error_message();
  EXPECT_TRUE(spoilt.trace().disturbed());
  // What runs when the budget ends is finished: verifying and one final, each at the other's pace.
  EXPECT_LT(spoilt.took, absl::Seconds(12));
}

// What FAST's verification takes of the GPU's memory, seen from outside: no more than its budget, for an operator that
// needs several times that if nothing goes in slices, and for one that can't fit.
TEST_F(GpuBusy, FastKeepsToTheMemoryBudget) {
  const absl::StatusOr<std::unique_ptr<cuda::Context>> context = cuda::Context::Open(0);
  ASSERT_TRUE(context.ok()) << context.status();
  const auto used = [&] { return (*context)->UsedMemory().value_or(0); };
  for (const int64_t budget_mib : {256, 64}) {
    Start([&](Config& config) {
      config.gpu_memory_bytes = budget_mib << 20;
      config.cache_path = folder_ / std::to_string(budget_mib);
      config.tuning_share_gpu = "never";  // the fast answer alone
    });
    const auto fast = [&](int64_t n, int64_t k, int64_t m) {
      pb::LookupRequest request;
      *request.mutable_op() = Operator(n, k, m);
      request.set_on_miss(pb::ON_MISS_FAST);
      grpc::ClientContext call;
      pb::LookupResponse response;
      const grpc::Status status = cache_->Lookup(&call, request, &response);
      EXPECT_TRUE(!status.ok() || response.results(0).match() == pb::MATCH_EXACT);
      return status;
    };
    ASSERT_TRUE(fast(256, 256, 16).ok());  // the context, the modules and the support kernels
    ASSERT_TRUE((*context)->MakeCurrent().ok());
    const int64_t before = used();
    std::atomic<bool> ended = false;
    std::atomic<int64_t> peak = 0;
    std::thread watch([&] {
      ASSERT_TRUE((*context)->MakeCurrent().ok());
      while (!ended) peak = std::max(peak.load(), used());
    });
    // 58 MiB of weights, natural and packed each, 8 of x, 56 of y, and 224 of reference sums that must go in slices.
    const grpc::Status status = fast(28672, 4096, 1024);
    ended = true;
    watch.join();
    const double most_mib = static_cast<double>(peak - before) / (1 << 20);
    std::printf("budget %d MiB: %s, %.0f MiB at most\n", static_cast<int>(budget_mib),
                status.ok() ? "verified" : status.error_message().c_str(), most_mib);
    // The driver rounds each of about a dozen buffers up to 2 MiB.
    EXPECT_LE(most_mib, static_cast<double>(budget_mib) + 24);
    EXPECT_EQ(status.error_code(), budget_mib == 64 ? grpc::StatusCode::RESOURCE_EXHAUSTED : grpc::StatusCode::OK);
  }
}

}  // namespace
}  // namespace ladder
