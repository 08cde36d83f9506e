// A service in this process with answers set by the test.
#ifndef LADDER_TESTS_CLIENT_FAKE_SERVICE_H_
#define LADDER_TESTS_CLIENT_FAKE_SERVICE_H_

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ladder/tune/v1/service.grpc.pb.h"

namespace ladder::client {

class FakeService final : public tune::v1::KernelCache::Service {
 public:
  FakeService();
  ~FakeService() override;

  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel({}); }

  // Adds a record of an nf4 1024 x 512 operator (group 64) for one bucket, with `binary` as its kernel.
  tune::v1::LookupResult& AddRecord(int64_t m, const std::string& binary);
  // Has the kernel of `result` take x (or w) by a tensor map of 64 columns and `rows` rows.
  static void AddTensorMap(tune::v1::LookupResult& result, tune::v1::TensorOperand operand, int rows);
  // What watchers are told next.
  void Publish(const tune::v1::LookupResult& result);

  tune::v1::LookupResponse response;  // of Lookup
  std::map<std::string, std::string> blobs;
  tune::v1::LookupRequest last_lookup;
  int blob_reads = 0;
  std::vector<tune::v1::ReportFailureRequest> failures;

 private:
  grpc::Status Lookup(grpc::ServerContext*, const tune::v1::LookupRequest* request,
                      tune::v1::LookupResponse* reply) override;
  grpc::Status ReadBlob(grpc::ServerContext*, const tune::v1::ReadBlobRequest* request,
                        grpc::ServerWriter<tune::v1::BlobChunk>* writer) override;
  grpc::Status Watch(grpc::ServerContext* context, const tune::v1::WatchRequest*,
                     grpc::ServerWriter<tune::v1::WatchEvent>* writer) override;
  grpc::Status ReportFailure(grpc::ServerContext*, const tune::v1::ReportFailureRequest* request,
                             tune::v1::ReportFailureResponse*) override;
  grpc::Status GetSupport(grpc::ServerContext*, const tune::v1::GetSupportRequest*,
                          tune::v1::GetSupportResponse* reply) override;

  std::mutex mutex_;
  std::condition_variable published_;
  std::deque<tune::v1::LookupResult> events_;
  bool stop_ = false;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace ladder::client

#endif  // LADDER_TESTS_CLIENT_FAKE_SERVICE_H_
