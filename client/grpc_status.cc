#include "client/grpc_status.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "ladder/tune/v1/service.pb.h"

namespace ladder::client {

absl::Status FromGrpc(const grpc::Status& status) {
  // The two enumerations are numbered alike by definition (google.rpc.Code).
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::string BlamedField(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find("ladder-error-detail-bin");
  if (found == metadata.end()) return "";
  tune::v1::ErrorDetail detail;
  if (!detail.ParseFromArray(found->second.data(), static_cast<int>(found->second.size()))) return "";
  return detail.field();
}

}  // namespace ladder::client
