// The whole service in one object: the cache, the worker pools, the request path and the gRPC services. ladderd runs
// one and listens; the tools run one in their own process and talk to it through InProcessChannel(), so both do the
// same.
#ifndef LADDER_SERVER_EMBEDDED_HOST_H_
#define LADDER_SERVER_EMBEDDED_HOST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/config.h"

namespace grpc {
class Channel;
}

namespace ladder {

// Thread-safe. Starts worker programs only when something needs them; a host without GPU or compiler starts all the
// same, and Describe tells what was not found.
class EmbeddedHost {
 public:
  // Opens the cache and listens where the configuration says (nowhere if config.listen and config.tcp_listen are
  // empty). FailedPrecondition or AlreadyExists if another process owns the cache or the socket, in one sentence.
  static absl::StatusOr<std::unique_ptr<EmbeddedHost>> Start(const Config& config);
  // Drains with no grace unless Shutdown was called.
  ~EmbeddedHost();
  EmbeddedHost(const EmbeddedHost&) = delete;
  EmbeddedHost& operator=(const EmbeddedHost&) = delete;

  // A channel to the services in this process; no socket is involved.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Addresses being served, as a client would dial them.
  const std::vector<std::string>& addresses() const;
  // "127.0.0.1:9188" where config.http_listen asks for the pages; empty without.
  std::string http_address() const;

  // Learns the machine (GPU, compiler) in the background, so that the first request doesn't wait for it.
  void WarmUp();
  // Refuses new tunes, lets running ones go on for `grace`, cancels the rest, ends every call. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  struct Parts;
  explicit EmbeddedHost(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_EMBEDDED_HOST_H_
