// The services through an in-process channel: failures reported, seeds, the cache looked after, moved and shut down.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/server/services_fixture.h"

namespace ladder {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

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

  const auto import = [&](bool damage, bool dry_run = false) {
    grpc::ClientContext context;
    pb::ImportResponse response;
    auto writer = admin_->Import(&context, &response);
    for (const pb::ExportChunk& chunk : chunks) {
      pb::ImportChunk out;
      out.set_data(chunk.data());
      out.set_dry_run(dry_run);
      if (damage) out.mutable_data()->at(out.data().size() / 2) ^= 1;
      writer->Write(out);
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    return std::make_pair(status, response);
  };
  EXPECT_FALSE(import(true).first.ok());
  EXPECT_EQ(import(false, /*dry_run=*/true).second.records(), 1);
  grpc::ClientContext stats_context;
  pb::StatsResponse stats;
  ASSERT_TRUE(admin_->Stats(&stats_context, {}, &stats).ok());
  EXPECT_EQ(stats.records(), 0);
  const auto [status, response] = import(false);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.records(), 1);
  EXPECT_TRUE(response.trusted());
  EXPECT_TRUE(Tune(Request()).cache_hit);
}

// Under the thread sanitizer above all: handlers, streams and those who end them, all at once.
TEST_F(ServicesTest, EveryServiceIsCalledFromManyThreadsAtOnce) {
  Start();
  const Tuned tuned = Tune(Request());
  ASSERT_TRUE(tuned.status.ok()) << tuned.status.error_message();
  const absl::Time end = absl::Now() + absl::Milliseconds(1500);
  std::atomic<int> answered = 0;
  const std::vector<std::function<void(int)>> callers = {
      [&](int) {
        pb::BatchLookupRequest request;
        for (const int n : {256, 256, 1024}) *request.add_requests()->mutable_op() = Operator(n);
        pb::BatchLookupResponse response;
        grpc::ClientContext context;
        ASSERT_TRUE(cache_->BatchLookup(&context, request, &response).ok());
        ASSERT_EQ(response.items(1).response().results(0).match(), pb::MATCH_EXACT);
        ++answered;
      },
      [&](int round) {
        pb::LookupRequest request;
        *request.mutable_op() = Operator(256);
        request.set_with_trace(round % 2 == 0);  // not remembered
        pb::LookupResponse response;
        ASSERT_TRUE(Lookup(request, &response).ok());
        pb::ReadBlobRequest blob;
        blob.set_sha256(response.results(0).record().ranked(0).blob_sha256());
        grpc::ClientContext context;
        const auto reader = cache_->ReadBlob(&context, blob);
        pb::BlobChunk chunk;
        ASSERT_TRUE(reader->Read(&chunk));
        if (round % 3 == 0) context.TryCancel();
        while (reader->Read(&chunk)) {
        }
        reader->Finish();
      },
      // Two who tune the same, one of whom leaves; the records change under the look-ups.
      [&](int round) {
        pb::TuneRequest request = Request(256 + 64 * (round % 4));
        request.mutable_options()->set_force(true);
        ASSERT_TRUE(Tune(request).status.ok());
      },
      [&](int round) {
        grpc::ClientContext context;
        const auto reader = tuner_->Tune(&context, Request(256 + 64 * (round % 4)));
        pb::TuneProgress progress;
        reader->Read(&progress);
        context.TryCancel();
        reader->Finish();
      },
      [&](int) {
        pb::WatchRequest request;
        for (const int n : {256, 320}) *request.add_requests()->mutable_op() = Operator(n);
        grpc::ClientContext context;
        const auto watcher = cache_->Watch(&context, request);
        pb::WatchEvent event;
        ASSERT_TRUE(watcher->Read(&event));
        context.TryCancel();
        while (watcher->Read(&event)) {
        }
        watcher->Finish();
      },
      [&](int) {
        grpc::ClientContext list_context, stats_context, export_context;
        pb::ListTunesResponse list;
        EXPECT_TRUE(tuner_->ListTunes(&list_context, {}, &list).ok());
        pb::StatsResponse stats;
        EXPECT_TRUE(admin_->Stats(&stats_context, {}, &stats).ok());
        const auto reader = admin_->Export(&export_context, {});
        for (pb::ExportChunk chunk; reader->Read(&chunk);) {
        }
        EXPECT_TRUE(reader->Finish().ok());
      },
  };
  std::vector<std::thread> threads;
  for (const auto& call : callers) {
    threads.emplace_back([&call, end] {
      for (int round = 0; absl::Now() < end && !HasFatalFailure(); ++round) call(round);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(answered, 0);
  std::printf("%d batches answered meanwhile\n", answered.load());
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
  // Between two phases a tune sees that it was cancelled; inside one it sees its worker stop. Both say: try elsewhere.
  EXPECT_THAT(reader->Finish().error_code(), AnyOf(grpc::StatusCode::CANCELLED, grpc::StatusCode::UNAVAILABLE));
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
