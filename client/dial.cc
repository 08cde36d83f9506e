#include "client/dial.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace ladder::client {
namespace {

absl::Status ReadInto(std::string& out, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file can't be read or is empty"));
  }
  out = text.str();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const TlsFiles& tls) {
  if (!tls.any()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  std::string token;
  for (const auto& [out, path] : {std::pair{&options.pem_root_certs, &tls.ca},
                                  {&options.pem_cert_chain, &tls.certificate},
                                  {&options.pem_private_key, &tls.key},
                                  {&token, &tls.token}}) {
    if (absl::Status status = ReadInto(*out, *path); !status.ok()) return status;
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::SslCredentials(options);
  if (token.empty()) return credentials;
  return grpc::CompositeChannelCredentials(
      credentials, grpc::AccessTokenCredentials(std::string(absl::StripAsciiWhitespace(token))));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address, std::chrono::milliseconds timeout,
                                                    const TlsFiles& tls) {
  const bool path = !address.empty() && address.front() == '/';
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = Credentials(tls);
  if (!credentials.ok()) return credentials.status();
  std::shared_ptr<grpc::Channel> channel = grpc::CreateChannel(path ? "unix:" + address : address, *credentials);
  const auto deadline = std::chrono::system_clock::now() + timeout;
  // Not WaitForConnected: that goes on trying to the deadline although the first attempt was refused.
  for (grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true); state != GRPC_CHANNEL_READY;
       state = channel->GetState(/*try_to_connect=*/true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN ||
        !channel->WaitForStateChange(state, deadline)) {
      return absl::UnavailableError(absl::StrCat("no service answers at ", address,
                                                 "; start ladderd, or give the address it listens on",
                                                 tls.any() ? " (and check that its certificate is signed by "
                                                             "the authority you named)"
                                                           : ""));
    }
  }
  return channel;
}

}  // namespace ladder::client
