// A host with fake workers and stubs on its in-process channel.
#ifndef LADDER_TESTS_SERVER_SERVICES_FIXTURE_H_
#define LADDER_TESTS_SERVER_SERVICES_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "tests/server/health_check.h"
#include "tests/server/host_fixture.h"

namespace ladder {

namespace pb = tune::v1;

inline pb::OperatorDescriptor Operator(int64_t n = 256, int64_t last_m = 1) {
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

  // Whether health comes to say so for this service within ten seconds.
  bool WaitForHealth(const std::string& service, bool serving) {
    for (int i = 0; i < 100; ++i) {
      if (IsServing(host_->InProcessChannel(), service) == serving) return true;
      absl::SleepFor(absl::Milliseconds(100));
    }
    return false;
  }
  TemporaryFolder folder_;
  std::unique_ptr<EmbeddedHost> host_;
  std::unique_ptr<pb::KernelCache::Stub> cache_;
  std::unique_ptr<pb::Tuner::Stub> tuner_;
  std::unique_ptr<pb::CacheAdmin::Stub> admin_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_SERVICES_FIXTURE_H_
