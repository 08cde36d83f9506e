// Sees every call: gives it an id, counts it, logs it.
#ifndef LADDER_SERVER_GRPC_CALL_OBSERVER_H_
#define LADDER_SERVER_GRPC_CALL_OBSERVER_H_

#include <memory>
#include <string>

namespace grpc {
class CallbackServerContext;
class ServerBuilder;
}  // namespace grpc

namespace ladder {

class CallMetrics;

// A caller may name its request in the metadata "x-request-id" (at most 64 letters, digits, '-', '_' and '.'); a call
// without a usable one gets one. It comes back in the trailing metadata and stands in every line logged for the call.
void ObserveCalls(grpc::ServerBuilder& builder, CallMetrics& metrics);

// The id of a call of an observed server.
std::string RequestId(const grpc::CallbackServerContext& context);

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_CALL_OBSERVER_H_
