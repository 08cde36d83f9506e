// Unary calls answered at once or from an executor, for the services' .cc files only (it includes gRPC).
#ifndef LADDER_SERVER_GRPC_UNARY_H_
#define LADDER_SERVER_GRPC_UNARY_H_

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/status/status.h"
#include "server/grpc/call_status.h"
#include "server/serving/executor.h"

namespace ladder {

inline grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToCallStatus(status, *context));
  return reactor;
}

// `work` fills the response, which gRPC keeps until the call is finished.
template <typename Work>
grpc::ServerUnaryReactor* AnswerOn(Executor& executor, grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status submitted = executor.Submit([context, reactor, work = std::move(work)]() mutable {
    const absl::Status status = work();
    reactor->Finish(ToCallStatus(status, *context));
  });
  if (!submitted.ok()) reactor->Finish(ToCallStatus(submitted, *context));
  return reactor;
}

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_UNARY_H_
