// The services through an in-process channel: what they answer, and with which code, field and time to retry.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/server/services_fixture.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;

TEST_F(ServicesTest, TunesStoresAndFindsAgain) {
  Start();
  const Tuned first = Tune(Request(256, 4));
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  ASSERT_EQ(first.records.size(), 3u);  // M = 1, 2, 4
  EXPECT_EQ(first.records[0].kind(), pb::RECORD_KIND_MEASURED);
  EXPECT_FALSE(first.cache_hit);
  EXPECT_GT(first.records[0].trace().candidates_size(), 0);
  EXPECT_TRUE(Tune(Request(256, 4)).cache_hit);

  pb::LookupRequest request;
  *request.mutable_op() = Operator(256, 4);
  pb::LookupResponse response;
  ASSERT_TRUE(Lookup(request, &response).ok());
  ASSERT_EQ(response.results_size(), 3);
  for (const pb::LookupResult& result : response.results()) EXPECT_EQ(result.match(), pb::MATCH_EXACT);
  EXPECT_EQ(response.results(0).record().trace().candidates_size(), 0);

  pb::ReadBlobRequest blob;
  blob.set_sha256(response.results(0).record().ranked(0).blob_sha256());
  grpc::ClientContext context;
  auto reader = cache_->ReadBlob(&context, blob);
  std::string bytes;
  for (pb::BlobChunk chunk; reader->Read(&chunk);) bytes += chunk.data();
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(absl::StartsWith(bytes, "binary of sm_90a"));

  // A rank that looks at an older generation sees what was there then.
  request.set_at_generation(response.results(2).record().generation());
  ASSERT_TRUE(Lookup(request, &response).ok());
  EXPECT_EQ(response.results(2).match(), pb::MATCH_EXACT);  // most rows are tuned first
  EXPECT_NE(response.results(0).match(), pb::MATCH_EXACT);
}

TEST_F(ServicesTest, ErrorsNameTheFieldInTheirDetail) {
  Start();
  pb::LookupRequest request;
  *request.mutable_op() = Operator(-5);
  pb::LookupResponse response;
  pb::ErrorDetail detail;
  grpc::Status status = Lookup(request, &response, &detail);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(detail.field(), "n");
  EXPECT_FALSE(detail.reason().empty());

  *request.mutable_op() = Operator();
  request.set_target("no-such-gpu");
  status = Lookup(request, &response, &detail);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(detail.field(), "target");

  pb::TuneRequest tune = Request();
  tune.mutable_options()->set_candidates(-1);
  EXPECT_THAT(Tune(tune).status.error_message(), HasSubstr("options.candidates: expected 0 to"));
  tune = Request();
  tune.set_target("no-such-gpu");
  EXPECT_EQ(Tune(tune).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServicesTest, AMissIsAnAnswerAndABatchHasAStatusPerItem) {
  Start();
  pb::BatchLookupRequest request;
  *request.add_requests()->mutable_op() = Operator();
  *request.add_requests()->mutable_op() = Operator(0);
  grpc::ClientContext context;
  pb::BatchLookupResponse response;
  ASSERT_TRUE(cache_->BatchLookup(&context, request, &response).ok());
  ASSERT_EQ(response.items_size(), 2);
  EXPECT_EQ(response.items(0).code(), 0);
  EXPECT_EQ(response.items(0).response().results(0).match(), pb::MATCH_UNSPECIFIED);
  EXPECT_EQ(response.items(0).response().results(0).miss_reason(), "nothing is stored for this operator");
  EXPECT_EQ(response.items(1).code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));

  for (int i = 0; i < 1024; ++i) request.add_requests();
  grpc::ClientContext again;
  EXPECT_EQ(cache_->BatchLookup(&again, request, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// The second time an answer comes from memory: it must be the same, and follow every change.
TEST_F(ServicesTest, ARememberedAnswerIsTheSameAndGoesWithItsRecord) {
  Start();
  ASSERT_TRUE(Tune(Request()).status.ok());
  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  pb::LookupResponse first;
  pb::LookupResponse again;
  ASSERT_TRUE(Lookup(request, &first).ok());
  ASSERT_TRUE(Lookup(request, &again).ok());
  ASSERT_EQ(first.results(0).match(), pb::MATCH_EXACT);
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  pb::BatchLookupRequest batch;
  for (int i = 0; i < 2; ++i) *batch.add_requests() = request;
  batch.mutable_requests(1)->mutable_op()->set_w("int99");
  pb::BatchLookupResponse answers;
  grpc::ClientContext context;
  ASSERT_TRUE(cache_->BatchLookup(&context, batch, &answers).ok());
  ASSERT_EQ(answers.items_size(), 2);
  EXPECT_EQ(answers.items(0).response().SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(answers.items(0).code(), 0);
  EXPECT_EQ(answers.items(1).code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));

  // Hits are counted wherever they come from: four look-ups of which the tune's own was a miss.
  pb::StatsResponse stats;
  grpc::ClientContext asking;
  ASSERT_TRUE(admin_->Stats(&asking, {}, &stats).ok());
  EXPECT_GE(stats.hits(), 3);

  pb::TuneRequest forced = Request();
  forced.mutable_options()->set_force(true);
  ASSERT_TRUE(Tune(forced).status.ok());
  ASSERT_TRUE(Lookup(request, &again).ok());
  ASSERT_EQ(again.results(0).match(), pb::MATCH_EXACT);
  EXPECT_GT(again.results(0).record().generation(), first.results(0).record().generation());
  EXPECT_EQ(again.generation(), again.results(0).record().generation());
  // What was served before the change is still served to those who want it.
  request.set_at_generation(first.generation());
  ASSERT_TRUE(Lookup(request, &again).ok());
  EXPECT_EQ(again.results(0).record().generation(), first.results(0).record().generation());
  request.clear_at_generation();

  pb::EvictRequest evict;
  evict.set_all(true);
  pb::EvictResponse evicted;
  grpc::ClientContext evicting;
  ASSERT_TRUE(admin_->Evict(&evicting, evict, &evicted).ok());
  ASSERT_TRUE(Lookup(request, &again).ok());
  EXPECT_NE(again.results(0).match(), pb::MATCH_EXACT);
}

TEST_F(ServicesTest, ALookUpCarriesWhatALaunchNeedsAndTheRestOnRequest) {
  Start();
  ASSERT_TRUE(Tune(Request()).status.ok());
  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  pb::LookupResponse lean;
  pb::LookupResponse full;
  ASSERT_TRUE(Lookup(request, &lean).ok());
  request.set_with_trace(true);
  ASSERT_TRUE(Lookup(request, &full).ok());
  pb::TuningRecord expected = full.results(0).record();
  EXPECT_GT(expected.ranked_size(), 1);
  EXPECT_TRUE(expected.has_trace());
  expected.clear_trace();
  expected.clear_key_text();
  expected.clear_op_text();
  expected.clear_environment();
  expected.mutable_ranked()->DeleteSubrange(1, expected.ranked_size() - 1);
  EXPECT_EQ(lean.results(0).record().SerializeAsString(), expected.SerializeAsString());
}

TEST_F(ServicesTest, ALookUpStartsNoProcess) {
  Start();
  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  request.set_target("h200");
  pb::LookupResponse response;
  ASSERT_TRUE(Lookup(request, &response).ok());
  std::string children;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    children += ReadFile((task.path() / "children").string());
  }
  EXPECT_EQ(children, "");
}

TEST_F(ServicesTest, ManyCallersShareOneTune) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "200");
  Start();
  constexpr int kCallers = 200;
  std::vector<Tuned> tuned(kCallers);
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) callers.emplace_back([&, i] { tuned[i] = Tune(Request()); });
  for (std::thread& caller : callers) caller.join();
  std::set<uint64_t> generations;
  for (const Tuned& one : tuned) {
    ASSERT_TRUE(one.status.ok()) << one.status.error_message();
    ASSERT_EQ(one.records.size(), 1u);
    generations.insert(one.records[0].generation());
  }
  EXPECT_EQ(generations.size(), 1u);
}

TEST_F(ServicesTest, ATuneOutlivesItsCallerAndCanBeWaitedFor) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "200");
  Start();
  std::string id;
  {
    grpc::ClientContext context;
    auto reader = tuner_->Tune(&context, Request());
    pb::TuneProgress progress;
    ASSERT_TRUE(reader->Read(&progress));
    id = progress.tune_id();
    context.TryCancel();
    reader->Finish();
  }
  pb::WaitTuneRequest wait;
  wait.set_tune_id(id);
  grpc::ClientContext context;
  const Tuned tuned = Collect(*tuner_->WaitTune(&context, wait));
  EXPECT_TRUE(tuned.status.ok()) << tuned.status.error_message();
  EXPECT_EQ(tuned.records.size(), 1u);
  wait.set_tune_id("t99-nonsense");
  grpc::ClientContext unknown;
  EXPECT_EQ(Collect(*tuner_->WaitTune(&unknown, wait)).status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServicesTest, AGpuWhoseWorkersDieGoesOutOfServiceWhileLookUpsGoOn) {
  {
    Start([](Config& config) { config.tuning_candidates = 16; });
    ASSERT_TRUE(Tune(Request(256)).status.ok());
    EXPECT_TRUE(WaitForHealth("gpu:0", true));
    host_.reset();
  }
  const EnvironmentVariable fault("LADDER_FAKE_FAULT", "!segfault");
  Start([](Config& config) { config.tuning_candidates = 16; });
  const Tuned broken = Tune(Request(512, 64));
  EXPECT_FALSE(broken.status.ok());
  EXPECT_TRUE(WaitForHealth("gpu:0", false));
  EXPECT_TRUE(WaitForHealth("ladder.tune.v1.KernelCache", true));
  const Tuned refused = Tune(Request(1024));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("this GPU is out of service for another "));

  pb::LookupRequest request;
  pb::LookupResponse response;
  for (const pb::OnMiss on_miss : {pb::ON_MISS_NOT_FOUND, pb::ON_MISS_FAST, pb::ON_MISS_TUNE}) {
    request.set_on_miss(on_miss);
    *request.mutable_op() = Operator(256);
    ASSERT_TRUE(Lookup(request, &response).ok());
    EXPECT_EQ(response.results(0).match(), pb::MATCH_EXACT);
    *request.mutable_op() = Operator(768);
    ASSERT_TRUE(Lookup(request, &response).ok());
    EXPECT_NE(response.results(0).match(), pb::MATCH_EXACT);
  }
  EXPECT_THAT(response.results(0).miss_reason(), HasSubstr("it is not being tuned: this GPU is out of service"));
}

class SharedGpuTest : public ServicesTest {
 protected:
  // "other processes, percent busy" of the fake GPU from now on.
  void Others(const std::string& conditions) const { WriteFile(file_, conditions); }
  static pb::TuneRequest SharingRequest(int duty_percent) {
    pb::TuneRequest request = Request();
    request.mutable_options()->set_share_gpu(true);
    request.mutable_options()->set_share_duty_percent(duty_percent);
    return request;
  }
  // How a tune that a look-up started ends.
  grpc::Status BackgroundTune(int64_t n) {
    pb::LookupRequest request;
    *request.mutable_op() = Operator(n);
    request.set_on_miss(pb::ON_MISS_TUNE);
    pb::LookupResponse response;
    EXPECT_TRUE(Lookup(request, &response).ok());
    const std::string reason = response.results(0).miss_reason();
    const size_t at = reason.find("; tune ");
    EXPECT_NE(at, std::string::npos) << reason;
    pb::WaitTuneRequest wait;
    wait.set_tune_id(reason.substr(at + 7, reason.find(' ', at + 7) - at - 7));
    grpc::ClientContext context;
    return Collect(*tuner_->WaitTune(&context, wait)).status;
  }

  const std::string file_ = folder_ / "conditions";
  const EnvironmentVariable variable_{"LADDER_FAKE_CONDITIONS_FILE", file_.c_str()};
};

TEST_F(SharedGpuTest, ATuneBesideOthersMustBeAskedFor) {
  Start();
  Others("2 0");
  grpc::ClientContext context;
  const auto reader = tuner_->Tune(&context, Request());
  EXPECT_EQ(Collect(*reader).status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  const auto found = context.GetServerTrailingMetadata().find("ladder-error-detail-bin");
  ASSERT_NE(found, context.GetServerTrailingMetadata().end());
  pb::ErrorDetail detail;
  ASSERT_TRUE(detail.ParseFromArray(found->second.data(), static_cast<int>(found->second.size())));
  EXPECT_EQ(detail.field(), "options.share_gpu");
  EXPECT_THAT(detail.reason(), HasSubstr("this GPU is in use (2 other processes have a context on it)"));

  const Tuned tuned = Tune(SharingRequest(50));
  ASSERT_TRUE(tuned.status.ok()) << tuned.status.error_message();
  EXPECT_GT(tuned.records[0].trace().rested_ms(), 0);
  EXPECT_TRUE(Tune(Request()).status.ok());  // in the cache
  pb::CompareRequest compare;
  *compare.mutable_op() = Operator();
  compare.add_yardsticks("empty");
  for (const bool share : {false, true}) {
    compare.set_share_gpu(share);
    pb::CompareResponse compared;
    grpc::ClientContext compare_context;
    const grpc::Status status = tuner_->Compare(&compare_context, compare, &compared);
    EXPECT_EQ(status.ok(), share) << status.error_message();
    if (!share) {
      EXPECT_THAT(status.error_message(), HasSubstr("share_gpu: this GPU is in use"));
    }
  }
  // Who looks up is about to serve there.
  EXPECT_TRUE(BackgroundTune(512).ok());
  EXPECT_EQ(Tune(SharingRequest(101)).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SharedGpuTest, TheConfigurationMayRefuseOrAllowAll) {
  Start([](Config& config) { config.tuning_share_gpu = "never"; });
  Others("1 0");
  EXPECT_EQ(Tune(SharingRequest(0)).status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(BackgroundTune(512).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  host_.reset();
  Start([](Config& config) {
    config.tuning_share_gpu = "always";
    config.tuning_share_duty_percent = 50;
  });
  const Tuned tuned = Tune(Request());
  ASSERT_TRUE(tuned.status.ok()) << tuned.status.error_message();
  EXPECT_GT(tuned.records[0].trace().rested_ms(), 0);
}

TEST_F(SharedGpuTest, ABusyGpuIsWaitedForAndRecorded) {
  Start();
  Others("1 97");
  grpc::ClientContext context;
  const auto reader = tuner_->Tune(&context, SharingRequest(100));
  pb::TuningTrace trace;
  for (pb::TuneProgress progress; reader->Read(&progress);) {
    if (progress.phase() == "wait") {
      absl::SleepFor(absl::Milliseconds(150));
      Others("1 0");
    }
    if (progress.has_record()) trace = progress.record().trace();
  }
  const grpc::Status status = reader->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(trace.disturbance(), "other processes keep the GPU 97% busy");
  EXPECT_FALSE(trace.disturbed());
  EXPECT_GT(trace.waited_ms(), 100);
}

TEST_F(ServicesTest, ATuneIsListedAndCancelled) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "300");
  Start();
  grpc::ClientContext context;
  auto reader = tuner_->Tune(&context, Request(256, 4096));
  pb::TuneProgress progress;
  ASSERT_TRUE(reader->Read(&progress));
  pb::ListTunesResponse list;
  grpc::ClientContext list_context;
  ASSERT_TRUE(tuner_->ListTunes(&list_context, {}, &list).ok());
  ASSERT_EQ(list.tunes_size(), 1);
  EXPECT_EQ(list.tunes(0).tune_id(), progress.tune_id());
  EXPECT_EQ(list.tunes(0).callers(), 1);
  pb::CancelTuneRequest cancel;
  cancel.set_tune_id(progress.tune_id());
  pb::CancelTuneResponse cancelled;
  grpc::ClientContext cancel_context;
  ASSERT_TRUE(tuner_->CancelTune(&cancel_context, cancel, &cancelled).ok());
  while (reader->Read(&progress)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  grpc::ClientContext again;
  EXPECT_EQ(tuner_->CancelTune(&again, cancel, &cancelled).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServicesTest, AFullQueueSaysWhenToComeBack) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "300");
  Start([](Config& config) {
    config.tuning_concurrent = 1;
    config.tuning_queue = 1;
  });
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<pb::TuneProgress>>> readers;
  for (int i = 0; i < 2; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(tuner_->Tune(contexts.back().get(), Request(256 * (i + 1), 64)));
    pb::TuneProgress progress;
    ASSERT_TRUE(readers.back()->Read(&progress));
  }
  grpc::ClientContext context;
  auto refused = tuner_->Tune(&context, Request(1024));
  pb::TuneProgress progress;
  while (refused->Read(&progress)) {
  }
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto found = context.GetServerTrailingMetadata().find("ladder-error-detail-bin");
  ASSERT_NE(found, context.GetServerTrailingMetadata().end());
  pb::ErrorDetail detail;
  ASSERT_TRUE(detail.ParseFromArray(found->second.data(), static_cast<int>(found->second.size())));
  EXPECT_GT(detail.retry_after_ms(), 0);
  for (auto& one : contexts) one->TryCancel();
  for (auto& reader : readers) reader->Finish();
}

TEST_F(ServicesTest, FastAnswersAtOnceAndWatchBringsTheWinner) {
  Start();
  pb::WatchRequest watch;
  *watch.add_requests()->mutable_op() = Operator();
  grpc::ClientContext context;
  auto watcher = cache_->Watch(&context, watch);

  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  request.set_on_miss(pb::ON_MISS_FAST);
  pb::LookupResponse response;
  const grpc::Status status = Lookup(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).match(), pb::MATCH_EXACT);
  EXPECT_EQ(response.results(0).record().kind(), pb::RECORD_KIND_FAST);

  pb::WatchEvent event;
  uint64_t generation = 0;
  do {
    ASSERT_TRUE(watcher->Read(&event));
    EXPECT_GT(event.result().record().generation(), generation);
    generation = event.result().record().generation();
  } while (event.result().record().kind() != pb::RECORD_KIND_MEASURED);
  EXPECT_EQ(event.result().match(), pb::MATCH_EXACT);
  context.TryCancel();
  watcher->Finish();
}

TEST_F(ServicesTest, AFastAnswerWhoseTuneWasLostIsTunedAtTheNextLookup) {
  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  request.set_on_miss(pb::ON_MISS_FAST);
  pb::LookupResponse response;
  {
    const EnvironmentVariable slow("LADDER_FAKE_DELAY_MS", "300");
    Start();
    ASSERT_TRUE(Lookup(request, &response).ok());
    ASSERT_EQ(response.results(0).record().kind(), pb::RECORD_KIND_FAST);
    host_.reset();  // with no grace: the tune is cancelled
  }
  Start();
  const absl::Time limit = absl::Now() + absl::Seconds(30);
  do {
    ASSERT_LT(absl::Now(), limit);
    ASSERT_TRUE(Lookup(request, &response).ok());
    absl::SleepFor(absl::Milliseconds(20));
  } while (response.results(0).record().kind() != pb::RECORD_KIND_MEASURED);
}

TEST_F(ServicesTest, ALongMessageIsShortenedAndKeepsItsCode) {
  Start();
  pb::CancelTuneRequest request;
  request.set_tune_id(std::string(100'000, 'x'));
  pb::CancelTuneResponse response;
  grpc::ClientContext context;
  const grpc::Status status = tuner_->CancelTune(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_LT(status.error_message().size(), 2100u);
  EXPECT_THAT(status.error_message(), HasSubstr("tune_id: no tune \"xxx"));
}

}  // namespace
}  // namespace ladder
