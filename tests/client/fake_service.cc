#include "tests/client/fake_service.h"

#include <grpcpp/server_builder.h>

#include <chrono>

#include "client/runtime.h"

namespace ladder::client {

namespace pb = tune::v1;

FakeService::FakeService() {
  grpc::ServerBuilder builder;
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeService::~FakeService() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  published_.notify_all();
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

void FakeService::AddTensorMap(pb::LookupResult& result, pb::TensorOperand operand, int rows) {
  pb::TensorMapSpec& map = *result.mutable_record()->mutable_ranked(0)->mutable_launch()->add_tensor_maps();
  map.set_operand(operand);
  map.set_box_columns(64);
  map.set_box_rows(rows);
  map.set_swizzle_bytes(128);
}

pb::LookupResult& FakeService::AddRecord(int64_t m, const std::string& binary) {
  const std::string digest = Sha256Hex(binary);
  blobs[digest] = binary;
  pb::LookupResult& result = *response.add_results();
  result.set_m(m);
  result.set_match(pb::MATCH_EXACT);
  pb::TuningRecord& record = *result.mutable_record();
  record.set_key("key" + std::to_string(m));
  record.set_kind(pb::RECORD_KIND_MEASURED);
  record.set_m(m);
  record.set_target("nvidia;sm_90a;NVIDIA H200");
  pb::OperatorDescriptor& op = *record.mutable_op();
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_w("nf4");
  op.set_scale("fp16");
  op.set_out("fp16");
  op.set_zeros("none");
  op.set_group(64);
  op.set_n(1024);
  op.set_k(512);
  pb::PackedWeight& packed = *record.mutable_packed();
  packed.set_layout_id("k16.b4.table");
  packed.set_natural_weight_bytes(1024 * 256);
  packed.set_natural_scale_bytes(1024 * 8 * 2);
  packed.set_weight_bytes(1024 * 256);
  packed.set_scale_bytes(1024 * 8 * 2);
  pb::RankedKernel& kernel = *record.add_ranked();
  kernel.mutable_candidate()->set_schedule("decode");
  kernel.set_blob_sha256(digest);
  kernel.mutable_measurement()->set_median_us(5);
  pb::LaunchSpec& launch = *kernel.mutable_launch();
  launch.set_entry("ladder_kernel");
  launch.set_threads(256);
  launch.set_cluster(1);
  launch.set_shared_bytes(100'000);
  launch.set_m_tile(16);
  launch.set_blocks_per_m_tile(32);
  launch.set_max_m(1 << 24);
  return result;
}

void FakeService::Publish(const pb::LookupResult& result) {
  {
    std::lock_guard lock(mutex_);
    events_.push_back(result);
  }
  published_.notify_all();
}

grpc::Status FakeService::Lookup(grpc::ServerContext*, const pb::LookupRequest* request, pb::LookupResponse* reply) {
  last_lookup = *request;
  *reply = response;
  return grpc::Status::OK;
}

grpc::Status FakeService::ReadBlob(grpc::ServerContext*, const pb::ReadBlobRequest* request,
                                   grpc::ServerWriter<pb::BlobChunk>* writer) {
  blob_reads++;
  const auto found = blobs.find(request->sha256());
  if (found == blobs.end()) return {grpc::StatusCode::NOT_FOUND, "no such binary"};
  // In small pieces, as a large binary would come.
  for (size_t at = 0; at < found->second.size(); at += 4) {
    pb::BlobChunk chunk;
    chunk.set_data(found->second.substr(at, 4));
    writer->Write(chunk);
  }
  return grpc::Status::OK;
}

grpc::Status FakeService::Watch(grpc::ServerContext* context, const pb::WatchRequest*,
                                grpc::ServerWriter<pb::WatchEvent>* writer) {
  std::unique_lock lock(mutex_);
  while (!stop_ && !context->IsCancelled()) {
    published_.wait_for(lock, std::chrono::milliseconds(20));
    while (!events_.empty()) {
      pb::WatchEvent event;
      *event.mutable_result() = events_.front();
      events_.pop_front();
      writer->Write(event);
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeService::ReportFailure(grpc::ServerContext*, const pb::ReportFailureRequest* request,
                                        pb::ReportFailureResponse*) {
  failures.push_back(*request);
  return grpc::Status::OK;
}

grpc::Status FakeService::GetSupport(grpc::ServerContext*, const pb::GetSupportRequest*,
                                     pb::GetSupportResponse* reply) {
  reply->set_binary("support");
  return grpc::Status::OK;
}

}  // namespace ladder::client
