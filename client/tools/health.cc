#include "client/tools/health.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "client/grpc_status.h"

namespace ladder::tools {
namespace {

// HealthCheckRequest{service} and HealthCheckResponse{status: SERVING}. gRPC installs neither messages nor stubs of its
// health protocol, and these two are all there is to say.
constexpr char kNameField = 0x0a;
constexpr char kServing[] = "\x08\x01";
constexpr size_t kMaxName = 127;  // whose length is one byte

}  // namespace

absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  if (service.size() > kMaxName) return absl::InvalidArgumentError("service: the name is too long");
  const std::string message =
      service.empty() ? "" : absl::StrCat(std::string{kNameField, static_cast<char>(service.size())}, service);
  const grpc::Slice slice(message);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
    return absl::NotFoundError(absl::StrCat("nothing here is called \"", service, "\""));
  }
  if (!status.ok()) return client::FromGrpc(status);
  grpc::Slice answer;
  if (!response.DumpToSingleSlice(&answer).ok() || std::string(answer.begin(), answer.end()) != kServing) {
    return absl::UnavailableError(absl::StrCat(service.empty() ? "the service" : service, " is not serving"));
  }
  return absl::OkStatus();
}

}  // namespace ladder::tools
