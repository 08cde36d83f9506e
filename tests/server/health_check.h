// Health as gRPC's own protocol tells it.
#ifndef LADDER_TESTS_SERVER_HEALTH_CHECK_H_
#define LADDER_TESTS_SERVER_HEALTH_CHECK_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace ladder {

// What health says of a service. By the health protocol, whose messages gRPC doesn't install: a name is field 1, and
// status SERVING is 1 there.
inline bool IsServing(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const std::string name = std::string("\x0a") + static_cast<char>(service.size()) + service;
  const grpc::Slice slice(name);
  grpc::ByteBuffer request(&slice, 1);
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice answer;
  return status.ok() && response.DumpToSingleSlice(&answer).ok() &&
         std::string(answer.begin(), answer.end()) == "\x08\x01";
}

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_HEALTH_CHECK_H_
