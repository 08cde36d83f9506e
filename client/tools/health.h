// Asks a service's standard health protocol (grpc.health.v1), for probes that run a program.
#ifndef LADDER_CLIENT_TOOLS_HEALTH_H_
#define LADDER_CLIENT_TOOLS_HEALTH_H_

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace grpc {
class Channel;
}

namespace ladder::tools {

// Ok if `service` ("" for the whole, "gpu:0", "ladder.tune.v1.KernelCache") is serving; Unavailable if it isn't,
// NotFound if nothing has that name.
absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_HEALTH_H_
