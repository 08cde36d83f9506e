// Candidates that break the GPU, through ladderd: each costs itself, a killer is denied, and a GPU whose workers die
// too often goes out of service while look-ups go on. Built twice: with a fake GPU for CI, and for a real one with real
// workers and real faults (label gpu).
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/backend/dynamic_library.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "tests/server/daemon_process.h"
#include "tests/server/health_check.h"
#include "tests/server/host_fixture.h"
#include "tests/server/ordered_fault.h"

namespace ladder {
namespace {

namespace pb = tune::v1;
using ::testing::HasSubstr;

#ifdef LADDER_REAL_GPU
constexpr bool kRealGpu = true;
constexpr absl::Duration kFaultDeadline = absl::Seconds(3);
#else
constexpr bool kRealGpu = false;
constexpr absl::Duration kFaultDeadline = absl::Seconds(1);
#endif
constexpr absl::Duration kRecovery = absl::Seconds(2);

class KernelFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(config_, absl::StrCat(R"({"listen": "unix://)", socket_, R"(", "cache": {"path": ")", folder_ / "cache",
                                    R"("}, "tuning": {"candidates": 4}, "compile": {"workers": 1, "worker": ")",
                                    ProgramFolder(), "/", LADDER_FAULTY_COMPILE_WORKER, R"("}, "gpu": {"worker": ")",
                                    ProgramFolder(), "/", LADDER_FAULTY_PROFILE_WORKER, R"(", "deadline": ")",
                                    absl::FormatDuration(kFaultDeadline), R"("}})"));
    daemon_.emplace(ProgramFolder() + "/ladderd", std::vector<std::string>{"--config", config_}, folder_ / "out");
    ASSERT_TRUE(daemon_->WaitFor("serves on")) << daemon_->Output();
    channel_ = grpc::CreateChannel("unix:" + socket_, grpc::InsecureChannelCredentials());
    tuner_ = pb::Tuner::NewStub(channel_);
    cache_ = pb::KernelCache::NewStub(channel_);
    grpc::ClientContext context;
    pb::DescribeResponse machine;
    ASSERT_TRUE(tuner_->Describe(&context, {}, &machine).ok());
    if (kRealGpu && machine.target().empty()) GTEST_SKIP() << machine.no_gpu_reason();
    ASSERT_FALSE(machine.target().empty()) << machine.no_gpu_reason();
  }

  static pb::OperatorDescriptor Operator(int64_t n) {
    pb::OperatorDescriptor op;
    op.set_op("matmul");
    op.set_a("fp16");
    op.set_w("int4");
    op.set_n(n);
    op.set_k(1024);
    op.add_m()->set_first(1);
    op.mutable_m(0)->set_last(1);
    return op;
  }

  struct Tuned {
    grpc::Status status;
    pb::TuningRecord record;
    absl::Duration took;
  };
  Tuned Tune(int64_t n) {
    pb::TuneRequest request;
    *request.mutable_op() = Operator(n);
    request.mutable_options()->set_force(true);
    const absl::Time begin = absl::Now();
    grpc::ClientContext context;
    const auto reader = tuner_->Tune(&context, request);
    Tuned tuned;
    for (pb::TuneProgress progress; reader->Read(&progress);) {
      if (progress.has_record()) tuned.record = progress.record();
    }
    tuned.status = reader->Finish();
    tuned.took = absl::Now() - begin;
    return tuned;
  }
  // With the next kernel that is compiled bad.
  Tuned TuneWith(const std::string& fault, int64_t n) {
    WriteFile(fault_file_, fault);
    return Tune(n);
  }
  static absl::Duration OnGpu(const Tuned& tuned) {
    return absl::Milliseconds(tuned.record.trace().verify_ms() + tuned.record.trace().profile_ms());
  }
  // The one candidate that did not get a time, of four.
  static pb::CandidateTrace TheOneThatFell(const pb::TuningRecord& record) {
    pb::CandidateTrace fallen;
    int timed = 0;
    for (const pb::CandidateTrace& candidate : record.trace().candidates()) {
      if (candidate.status() == pb::CANDIDATE_STATUS_TIMED) {
        ++timed;
      } else {
        fallen = candidate;
      }
    }
    EXPECT_EQ(timed, 3);
    return fallen;
  }
  bool Finds(int64_t n) {
    pb::LookupRequest request;
    *request.mutable_op() = Operator(n);
    grpc::ClientContext context;
    pb::LookupResponse response;
    return cache_->Lookup(&context, request, &response).ok() && response.results_size() == 1 &&
           response.results(0).match() == pb::MATCH_EXACT;
  }
  bool WaitForHealth(const std::string& part, bool serving) {
    for (int i = 0; i < 100; ++i) {
      if (IsServing(channel_, part) == serving) return true;
      absl::SleepFor(absl::Milliseconds(100));
    }
    return false;
  }

  TemporaryFolder folder_;
  const std::string socket_ = folder_ / "run/ladderd.sock";
  const std::string config_ = folder_ / "ladderd.json";
  const std::string fault_file_ = folder_ / "fault";
  const EnvironmentVariable environment_{kFaultFileVariable, fault_file_.c_str()};
  std::optional<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::Tuner::Stub> tuner_;
  std::unique_ptr<pb::KernelCache::Stub> cache_;
};

TEST_F(KernelFaults, CostTheirCandidateThenTheGpuButNeverALookUp) {
  constexpr int64_t kGood = 256;
  const Tuned first = Tune(kGood);
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  const Tuned sound = Tune(kGood);  // all is compiled and the worker runs: what a tune of it takes then
  ASSERT_TRUE(sound.status.ok()) << sound.status.error_message();
  EXPECT_TRUE(WaitForHealth("gpu:0", true));

  std::atomic<bool> ended = false;
  std::atomic<int> misses = 0;
  std::vector<double> look_up_ms;
  std::thread look_ups([&] {
    while (!ended) {
      const absl::Time begin = absl::Now();
      if (!Finds(kGood)) ++misses;
      look_up_ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
      absl::SleepFor(absl::Milliseconds(2));
    }
  });

  // What a fault cost: the faulty tune's time on the GPU beyond a sound one's, and likewise of the next tune, which
  // starts the new worker where the fault came last.
  absl::Duration slowest = absl::ZeroDuration();
  const auto recovers = [&](const char* what, const Tuned& faulty, absl::Duration lost_to_fault) {
    const Tuned next = Tune(kGood);
    EXPECT_TRUE(next.status.ok()) << what << ": " << next.status.error_message();
    EXPECT_LT(next.took, sound.took + kRecovery) << what;
    const absl::Duration own = OnGpu(faulty) - OnGpu(sound) - lost_to_fault;
    std::printf("%s: %.2f s lost to it and to the worker's start, the next tune %.2f s (%.2f before)\n", what,
                absl::ToDoubleSeconds(own), absl::ToDoubleSeconds(next.took), absl::ToDoubleSeconds(sound.took));
    EXPECT_LT(own, kRecovery) << what;
    slowest = std::max({slowest, own, next.took - sound.took});
  };

  const auto expect_fallen = [](const Tuned& tuned, pb::CandidateStatus status, const char* reason) {
    ASSERT_TRUE(tuned.status.ok()) << tuned.status.error_message();
    const pb::CandidateTrace fallen = TheOneThatFell(tuned.record);
    EXPECT_EQ(fallen.status(), status) << fallen.reason();
    EXPECT_THAT(fallen.reason(), HasSubstr(reason));
  };
  // A killer is tried twice, by two tunes, and then no more.
  const Tuned illegal = TuneWith("illegal", 512);
  expect_fallen(illegal, pb::CANDIDATE_STATUS_CRASHED, "CUDA_ERROR_ILLEGAL_ADDRESS");
  recovers("illegal access", illegal, absl::ZeroDuration());
  const Tuned again = Tune(512);
  expect_fallen(again, pb::CANDIDATE_STATUS_CRASHED, "CUDA_ERROR_ILLEGAL_ADDRESS");
  recovers("illegal access again", again, absl::ZeroDuration());
  const Tuned denied = Tune(512);
  expect_fallen(denied, pb::CANDIDATE_STATUS_DENIED, "killed two profile workers");
  recovers("the same, denied", denied, absl::ZeroDuration());

  const Tuned misaligned = TuneWith("misaligned", 768);
  expect_fallen(misaligned, pb::CANDIDATE_STATUS_CRASHED, "CUDA_ERROR_MISALIGNED_ADDRESS");
  recovers("misaligned load", misaligned, absl::ZeroDuration());

  const Tuned loop = TuneWith("loop", 1280);
  expect_fallen(loop, pb::CANDIDATE_STATUS_CRASHED, "no answer within");
  recovers("endless loop", loop, kFaultDeadline);
  EXPECT_TRUE(IsServing(channel_, "gpu:0"));

  // Two, one and one deaths so far; the fifth is one too many.
  const Tuned last = TuneWith("illegal", 1536);
  EXPECT_EQ(last.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(last.status.error_message(), HasSubstr("its worker died 5 times within 10m"));
  EXPECT_TRUE(WaitForHealth("gpu:0", false));
  EXPECT_TRUE(IsServing(channel_, "ladder.tune.v1.KernelCache"));
  EXPECT_EQ(Tune(kGood).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  for (const int64_t n : {kGood, int64_t{512}, int64_t{768}, int64_t{1280}}) EXPECT_TRUE(Finds(n)) << n;

  ended = true;
  look_ups.join();
  EXPECT_EQ(misses, 0);
  std::ranges::sort(look_up_ms);
  std::printf("slowest recovery %.2f s; %zu look-ups meanwhile, p99 %.2f ms, slowest %.2f ms\n",
              absl::ToDoubleSeconds(slowest), look_up_ms.size(), look_up_ms[look_up_ms.size() * 99 / 100],
              look_up_ms.back());
}

}  // namespace
}  // namespace ladder
