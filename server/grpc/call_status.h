// Statuses as callers see them: a gRPC code, one sentence, and an ErrorDetail in trailing metadata.
#ifndef LADDER_SERVER_GRPC_CALL_STATUS_H_
#define LADDER_SERVER_GRPC_CALL_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace grpc {
class CallbackServerContext;
class Status;
}  // namespace grpc

namespace ladder {

// The field a message blames: "op.k" of "op.k: must be positive". Empty if it names none.
std::string BlamedField(const std::string& message);
// REQUIRES: the call has not finished.
grpc::Status ToCallStatus(const absl::Status& status, grpc::CallbackServerContext& context);

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_CALL_STATUS_H_
