#include "client/dial.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/str_cat.h"

namespace ladder::client {

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address, std::chrono::milliseconds timeout) {
  const bool path = !address.empty() && address.front() == '/';
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateChannel(path ? "unix:" + address : address, grpc::InsecureChannelCredentials());
  const auto deadline = std::chrono::system_clock::now() + timeout;
  // Not WaitForConnected: that goes on trying to the deadline although the first attempt was refused.
  for (grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true); state != GRPC_CHANNEL_READY;
       state = channel->GetState(/*try_to_connect=*/true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN ||
        !channel->WaitForStateChange(state, deadline)) {
      return absl::UnavailableError(
          absl::StrCat("no service answers at ", address, "; start ladderd, or give the address it listens on"));
    }
  }
  return channel;
}

}  // namespace ladder::client
