// Where the server listens: the Unix socket with its folder, its mode and its leftovers, and TCP where allowed.
#ifndef LADDER_SERVER_GRPC_ENDPOINTS_H_
#define LADDER_SERVER_GRPC_ENDPOINTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace grpc {
class Server;
class ServerBuilder;
}  // namespace grpc

namespace ladder {

class Endpoints {
 public:
  // Readies the socket's folder (0750 if made here) and removes a socket that nobody serves any more. AlreadyExists if
  // somebody does; FailedPrecondition if something else lies at its path.
  static absl::StatusOr<Endpoints> Prepare(const Config& config, grpc::ServerBuilder& builder);
  // Starts the server. The socket is never open to others than owner and group, not even for a moment.
  absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(grpc::ServerBuilder& builder);
  // Removes the socket.
  void Remove();
  // As a client would dial them.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  std::string socket_path_;
  std::string tcp_host_;
  std::shared_ptr<int> tcp_port_;  // the builder writes it when the server starts
  std::shared_ptr<int> socket_bound_;
  std::vector<std::string> addresses_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_ENDPOINTS_H_
