// Reaching a daemon.
#ifndef LADDER_CLIENT_DIAL_H_
#define LADDER_CLIENT_DIAL_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/tls.h"

namespace grpc {
class Channel;
}

namespace ladder::client {

// A connected channel. "/path" is a Unix socket; everything else is passed to gRPC as it is. Unavailable at once if
// nothing listens there, or after `timeout` if nothing answers; InvalidArgument for a file that can't be read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address, std::chrono::milliseconds timeout,
                                                    const TlsFiles& tls = {});

}  // namespace ladder::client

#endif  // LADDER_CLIENT_DIAL_H_
