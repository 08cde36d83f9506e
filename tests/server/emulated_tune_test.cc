// The whole request path without a GPU: real schedules, real sources, real compilation, verified and timed in the
// emulator through the worker processes, stored, found again.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "ladder/tune/v1/service.grpc.pb.h"
#include "tests/server/host_fixture.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

TEST(EmulatedTune, VerifiesTimesStoresAndServes) {
  TemporaryFolder folder;
  Config config = TestConfig(folder, LADDER_EMULATOR_WORKER);
  config.compile_deadline = absl::Minutes(5);
  config.profile_deadline = absl::Minutes(5);
  config.tuning_candidates = 2;
  config.tuning_finalists = 2;
  config.tuning_budget = absl::Minutes(10);
  absl::StatusOr<std::unique_ptr<EmbeddedHost>> host = EmbeddedHost::Start(config);
  ASSERT_TRUE(host.ok()) << host.status();
  const std::shared_ptr<grpc::Channel> channel = (*host)->InProcessChannel();

  pb::TuneRequest request;
  pb::OperatorDescriptor& op = *request.mutable_op();
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_w("nf4");
  op.set_n(64);
  op.set_k(128);
  op.add_m()->set_first(1);
  op.mutable_m(0)->set_last(1);
  pb::TuningRecord record;
  {
    grpc::ClientContext context;
    auto reader = pb::Tuner::NewStub(channel)->Tune(&context, request);
    for (pb::TuneProgress progress; reader->Read(&progress);) {
      if (progress.has_record()) record = progress.record();
    }
    const grpc::Status status = reader->Finish();
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  ASSERT_GT(record.ranked_size(), 0);
  EXPECT_EQ(record.kind(), pb::RECORD_KIND_MEASURED);
  EXPECT_GT(record.ranked(0).measurement().median_us(), 0);
  // Checked element by element, within the bound; exactly 0 would mean that nothing was computed.
  EXPECT_GT(record.ranked(0).worst_ratio(), 0);
  EXPECT_LE(record.ranked(0).worst_ratio(), 1);
  for (const pb::CandidateTrace& candidate : record.trace().candidates()) {
    EXPECT_EQ(candidate.status(), pb::CANDIDATE_STATUS_TIMED) << candidate.reason();
  }

  pb::LookupRequest lookup;
  *lookup.mutable_op() = op;
  pb::LookupResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(pb::KernelCache::NewStub(channel)->Lookup(&context, lookup, &response).ok());
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).match(), pb::MATCH_EXACT);
  EXPECT_EQ(response.results(0).record().ranked(0).blob_sha256(), record.ranked(0).blob_sha256());
}

}  // namespace
}  // namespace ladder
