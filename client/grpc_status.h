// What a call's end means, in Abseil's terms.
#ifndef LADDER_CLIENT_GRPC_STATUS_H_
#define LADDER_CLIENT_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace grpc {
class ClientContext;
class Status;
}  // namespace grpc

namespace ladder::client {

// The same code and message.
absl::Status FromGrpc(const grpc::Status& status);

// The field of the request that an error blames (ErrorDetail in the trailing metadata), or empty. REQUIRES: the call
// ended.
std::string BlamedField(const grpc::ClientContext& context);

}  // namespace ladder::client

#endif  // LADDER_CLIENT_GRPC_STATUS_H_
