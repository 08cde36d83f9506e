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
#include "ladder/tune/v1/service.grpc.pb.h"
#include "tests/server/host_fixture.h"

namespace ladder {
namespace {

namespace pb = tune::v1;
using ::testing::HasSubstr;

pb::OperatorDescriptor Operator(int64_t n = 256, int64_t last_m = 1) {
  pb::OperatorDescriptor op;
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_w("nf4");
  op.set_n(n);
  op.set_k(512);
  op.add_m()->set_first(1);
  op.mutable_m(0)->set_last(last_m);
  return op;
}

class ServicesTest : public ::testing::Test {
 protected:
  void Start(const std::function<void(Config&)>& change = nullptr) {
    Config config = TestConfig(folder_, LADDER_FAKE_WORKER);
    if (change) change(config);
    absl::StatusOr<std::unique_ptr<EmbeddedHost>> host = EmbeddedHost::Start(config);
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    const std::shared_ptr<grpc::Channel> channel = host_->InProcessChannel();
    cache_ = pb::KernelCache::NewStub(channel);
    tuner_ = pb::Tuner::NewStub(channel);
    admin_ = pb::CacheAdmin::NewStub(channel);
  }

  struct Tuned {
    grpc::Status status;
    std::vector<pb::TuneProgress> progress;
    std::vector<pb::TuningRecord> records;
    bool cache_hit = false;
  };
  Tuned Tune(const pb::TuneRequest& request) {
    grpc::ClientContext context;
    return Collect(*tuner_->Tune(&context, request));
  }
  static Tuned Collect(grpc::ClientReader<pb::TuneProgress>& reader) {
    Tuned tuned;
    for (pb::TuneProgress progress; reader.Read(&progress);) {
      if (progress.has_record()) {
        tuned.records.push_back(progress.record());
        tuned.cache_hit = progress.cache_hit();
      }
      tuned.progress.push_back(progress);
    }
    tuned.status = reader.Finish();
    return tuned;
  }
  static pb::TuneRequest Request(int64_t n = 256, int64_t last_m = 1) {
    pb::TuneRequest request;
    *request.mutable_op() = Operator(n, last_m);
    return request;
  }
  grpc::Status Lookup(const pb::LookupRequest& request, pb::LookupResponse* response,
                      pb::ErrorDetail* detail = nullptr) {
    grpc::ClientContext context;
    const grpc::Status status = cache_->Lookup(&context, request, response);
    if (detail != nullptr) {
      const auto& trailers = context.GetServerTrailingMetadata();
      const auto found = trailers.find("ladder-error-detail-bin");
      if (found != trailers.end()) detail->ParseFromArray(found->second.data(), static_cast<int>(found->second.size()));
    }
    return status;
  }

  TemporaryFolder folder_;
  std::unique_ptr<EmbeddedHost> host_;
  std::unique_ptr<pb::KernelCache::Stub> cache_;
  std::unique_ptr<pb::Tuner::Stub> tuner_;
  std::unique_ptr<pb::CacheAdmin::Stub> admin_;
};

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
  request.set_at_generation(response.results(0).record().generation());
  ASSERT_TRUE(Lookup(request, &response).ok());
  EXPECT_EQ(response.results(0).match(), pb::MATCH_EXACT);
  EXPECT_NE(response.results(2).match(), pb::MATCH_EXACT);
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

TEST_F(ServicesTest, AFailureReportTakesTheKernelAway) {
  Start();
  const Tuned tuned = Tune(Request());
  ASSERT_EQ(tuned.records.size(), 1u);
  pb::ReportFailureRequest report;
  report.set_key(tuned.records[0].key());
  report.set_blob_sha256(std::string(64, '0'));
  report.set_reason("wrong numbers");
  pb::ReportFailureResponse reported;
  grpc::ClientContext stale;
  EXPECT_EQ(cache_->ReportFailure(&stale, report, &reported).error_code(), grpc::StatusCode::NOT_FOUND);
  report.set_blob_sha256(tuned.records[0].ranked(0).blob_sha256());
  grpc::ClientContext context;
  const grpc::Status status = cache_->ReportFailure(&context, report, &reported);
  ASSERT_TRUE(status.ok()) << status.error_message();
  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  pb::LookupResponse response;
  ASSERT_TRUE(Lookup(request, &response).ok());
  EXPECT_NE(response.results(0).match(), pb::MATCH_EXACT);
  pb::QuarantineResponse quarantine;
  grpc::ClientContext list;
  ASSERT_TRUE(admin_->Quarantine(&list, {}, &quarantine).ok());
  ASSERT_GE(quarantine.entries_size(), 1);
  EXPECT_THAT(quarantine.entries(0).reason(), HasSubstr("wrong numbers"));
}

TEST_F(ServicesTest, WithoutAGpuATargetByNameIsRankedAndNotServed) {
  Start([](Config& config) { config.gpus.clear(); });
  pb::DescribeResponse machine;
  grpc::ClientContext describe;
  ASSERT_TRUE(tuner_->Describe(&describe, {}, &machine).ok());
  EXPECT_EQ(machine.target(), "");
  EXPECT_THAT(machine.no_gpu_reason(), HasSubstr("gpu.list"));
  EXPECT_EQ(machine.compiler(), "fake compiler 1");
  EXPECT_EQ(Tune(Request()).status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);

  pb::TuneRequest named = Request();
  named.set_target("sm_90a");
  const Tuned tuned = Tune(named);
  ASSERT_TRUE(tuned.status.ok()) << tuned.status.error_message();
  ASSERT_EQ(tuned.records.size(), 1u);
  EXPECT_EQ(tuned.records[0].kind(), pb::RECORD_KIND_SEED);
  EXPECT_EQ(tuned.records[0].ranked(0).measurement().median_us(), 0);

  pb::LookupRequest request;
  *request.mutable_op() = Operator();
  request.set_target("sm_90a");
  pb::LookupResponse response;
  ASSERT_TRUE(Lookup(request, &response).ok());
  EXPECT_EQ(response.results(0).match(), pb::MATCH_COMPATIBLE_ENV);
  EXPECT_EQ(response.results(0).record().ranked(0).blob_sha256(), "");
}

TEST_F(ServicesTest, PlansComparesExplainsAndLooksAfterTheCache) {
  Start();
  pb::PlanRequest plan;
  *plan.mutable_op() = Operator();
  plan.set_target("a100-80g");
  pb::PlanResponse planned;
  grpc::ClientContext plan_context;
  ASSERT_TRUE(tuner_->Plan(&plan_context, plan, &planned).ok());
  EXPECT_GT(planned.entries_size(), 0);

  pb::CompareRequest compare;
  *compare.mutable_op() = Operator();
  compare.add_yardsticks("empty");
  compare.add_yardsticks("cublaslt_fp16");
  pb::CompareResponse compared;
  grpc::ClientContext compare_context;
  ASSERT_TRUE(tuner_->Compare(&compare_context, compare, &compared).ok());
  ASSERT_EQ(compared.entries_size(), 2);
  EXPECT_GT(compared.entries(0).measurement().median_us(), 0);
  EXPECT_FALSE(compared.entries(1).error().empty());

  ASSERT_TRUE(Tune(Request()).status.ok());
  pb::ExplainRequest explain;
  *explain.mutable_op() = Operator();
  pb::ExplainResponse explained;
  grpc::ClientContext explain_context;
  ASSERT_TRUE(admin_->Explain(&explain_context, explain, &explained).ok());
  ASSERT_EQ(explained.entries_size(), 1);
  EXPECT_EQ(explained.entries(0).verdict(), "hit");
  explain.set_target("a100-80g");
  grpc::ClientContext other_context;
  ASSERT_TRUE(admin_->Explain(&other_context, explain, &explained).ok());
  EXPECT_THAT(explained.entries(0).verdict(), HasSubstr("the nearest record differs in"));
  EXPECT_THAT(explained.entries(0).verdict(), HasSubstr("NVIDIA H200"));

  grpc::ClientContext evict_context;
  pb::EvictResponse evicted;
  EXPECT_EQ(admin_->Evict(&evict_context, {}, &evicted).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  grpc::ClientContext stats_context;
  pb::StatsResponse stats;
  ASSERT_TRUE(admin_->Stats(&stats_context, {}, &stats).ok());
  EXPECT_EQ(stats.records(), 1);
  grpc::ClientContext list_context;
  auto list = admin_->List(&list_context, {});
  int listed = 0;
  for (pb::TuningRecord record; list->Read(&record);) ++listed;
  EXPECT_TRUE(list->Finish().ok());
  EXPECT_EQ(listed, 1);
}

TEST_F(ServicesTest, AnExportIsImportedAgain) {
  Start();
  ASSERT_TRUE(Tune(Request()).status.ok());
  grpc::ClientContext export_context;
  auto reader = admin_->Export(&export_context, {});
  std::vector<pb::ExportChunk> chunks;
  for (pb::ExportChunk chunk; reader->Read(&chunk);) chunks.push_back(chunk);
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_FALSE(chunks.empty());
  pb::EvictRequest all;
  all.set_all(true);
  pb::EvictResponse evicted;
  grpc::ClientContext evict_context;
  ASSERT_TRUE(admin_->Evict(&evict_context, all, &evicted).ok());

  const auto import = [&](bool damage) {
    grpc::ClientContext context;
    pb::ImportResponse response;
    auto writer = admin_->Import(&context, &response);
    for (const pb::ExportChunk& chunk : chunks) {
      pb::ImportChunk out;
      out.set_data(chunk.data());
      if (damage) out.mutable_data()->at(out.data().size() / 2) ^= 1;
      writer->Write(out);
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    return std::make_pair(status, response);
  };
  EXPECT_FALSE(import(true).first.ok());
  const auto [status, response] = import(false);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.records(), 1);
  EXPECT_TRUE(response.trusted());
  EXPECT_TRUE(Tune(Request()).cache_hit);
}

TEST_F(ServicesTest, AShutdownEndsWatchesAndRefusesTunes) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "300");
  Start();
  pb::WatchRequest watch;
  *watch.add_requests()->mutable_op() = Operator();
  grpc::ClientContext watch_context;
  auto watcher = cache_->Watch(&watch_context, watch);
  grpc::ClientContext context;
  auto reader = tuner_->Tune(&context, Request(256, 4096));
  pb::TuneProgress progress;
  ASSERT_TRUE(reader->Read(&progress));
  const absl::Time begin = absl::Now();
  std::thread shutdown([&] { host_->Shutdown(absl::Milliseconds(200)); });
  while (reader->Read(&progress)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  shutdown.join();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  pb::WatchEvent event;
  while (watcher->Read(&event)) {
  }
  EXPECT_FALSE(watcher->Finish().ok());
}

TEST_F(ServicesTest, ASecondHostOnTheSameCacheIsRefused) {
  Start();
  const auto second = EmbeddedHost::Start(TestConfig(folder_, LADDER_FAKE_WORKER));
  EXPECT_FALSE(second.ok());
}

}  // namespace
}  // namespace ladder
