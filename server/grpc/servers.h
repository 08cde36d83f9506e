// The gRPC servers: one per role for the connections of the Unix socket, and one for TCP. A connection is given to the
// server of its peer's role when it is accepted and stays there, so no later mix-up of connections can raise a role.
#ifndef LADDER_SERVER_GRPC_SERVERS_H_
#define LADDER_SERVER_GRPC_SERVERS_H_

#include <map>
#include <memory>
#include <mutex>
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
  // Makes the servers; nobody can reach them but through InProcessChannel(). `serving` outlives the result.
  // InvalidArgument, in one sentence, for rules of access that can't be understood.
  static absl::StatusOr<std::unique_ptr<Servers>> Make(const Serving& serving);
  // Serves where the configuration says. FailedPrecondition or AlreadyExists if an address can't be had,
  // InvalidArgument for certificates that can't be used, in one sentence. Call once.
  absl::Status Listen();
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
  Servers(const Serving& serving, AccessPolicy policy);
  absl::Status ListenOnSocket();
  absl::Status ListenOnTcp();

  const Serving serving_;
  const AccessPolicy policy_;
  std::vector<std::unique_ptr<Server>> by_role_;  // indexed by Role
  std::unique_ptr<Server> tcp_;
  std::unique_ptr<UnixListener> listener_;
  std::vector<std::string> addresses_;
  std::mutex health_mutex_;
  std::map<std::string, bool> health_;  // for a server that starts later
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_SERVERS_H_
