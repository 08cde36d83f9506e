// Where the tools' service is: a daemon, or one in this process.
#ifndef LADDER_CLIENT_TOOLS_CONNECTION_H_
#define LADDER_CLIENT_TOOLS_CONNECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/tls.h"

namespace grpc {
class Channel;
}
namespace ladder {
class EmbeddedHost;
}

namespace ladder::tools {

struct ConnectionOptions {
  std::string server;    // an address; empty: a service in this process
  client::TlsFiles tls;  // for a server on TCP
  std::string cache;     // its folder; empty: the user's. Not with `server`.
};

class Connection {
 public:
  // Without `server`: runs the service here on the cache; if a daemon owns that cache already, talks to the daemon.
  // Unavailable if no daemon answers; FailedPrecondition or AlreadyExists if the cache can't be had.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const ConnectionOptions& options);
  ~Connection();

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // What the user should know of how it was opened, a sentence each: damage that was set aside.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Connection();
  std::unique_ptr<EmbeddedHost> host_;
  std::shared_ptr<grpc::Channel> channel_;
  std::vector<std::string> notes_;
};

// What a tool without --target means on a machine without a GPU.
inline constexpr char kDefaultTarget[] = "h200";

// The target to ask for: `target` if given, the service's own GPU (empty) if it has one, else kDefaultTarget.
absl::StatusOr<std::string> TargetOrDefault(const std::shared_ptr<grpc::Channel>& channel, const std::string& target);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_CONNECTION_H_
