// The gRPC servers: one per role for the connections of the Unix socket, and one for TCP. A connection is given to the
// server of its peer's role when it is accepted and stays there, so no later mix-up of connections can raise a role.
#ifndef LADDER_SERVER_GRPC_SERVERS_H_
#define LADDER_SERVER_GRPC_SERVERS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/access/access_policy.h"
#include "server/serving/serving.h"

namespace grpc {
class Channel;
}

namespace ladder {

class UnixListener;

// Thread-safe.
class Servers {
 public:
  // Serves where the configuration says; in-process channels work without that. `serving` outlives the result.
  // FailedPrecondition or AlreadyExists if an address can't be had, InvalidArgument for certificates that can't be
  // used, in one sentence.
  static absl::StatusOr<std::unique_ptr<Servers>> Start(const Serving& serving);
  ~Servers();
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

  // A channel to the services in this process, with the role of an admin.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Addresses being served, as a client would dial them.
  const std::vector<std::string>& addresses() const { return addresses_; }
  // What the health service of each server answers for a name.
  void SetHealth(const std::string& service, bool serving);
  // From now on every health check tells that nothing is served here.
  void EndHealth();
  // Accepts no more, lets calls go on until `deadline`, then ends them.
  void Shutdown(absl::Time deadline);

 private:
  struct Server;
  explicit Servers(AccessPolicy policy);
  absl::Status Listen(const Serving& serving);
  absl::Status ListenOnTcp(const Serving& serving);

  const AccessPolicy policy_;
  std::vector<std::unique_ptr<Server>> by_role_;  // indexed by Role
  std::unique_ptr<Server> tcp_;
  std::unique_ptr<UnixListener> listener_;
  std::vector<std::string> addresses_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_SERVERS_H_
