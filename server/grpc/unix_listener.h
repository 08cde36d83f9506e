// Accepts connections on a Unix socket and tells who is at their other end, which gRPC's own listener doesn't.
#ifndef LADDER_SERVER_GRPC_UNIX_LISTENER_H_
#define LADDER_SERVER_GRPC_UNIX_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "server/access/access_policy.h"

namespace ladder {

class UnixListener {
 public:
  // Gets a connection, non-blocking, to own. Called from the listener's thread.
  using Accept = std::function<void(int fd, const LocalPeer& peer)>;

  // Readies the socket's folder (0750 if made here), replaces a socket that nobody serves any more, and listens. The
  // socket is never open to others than owner and group, not even for a moment. AlreadyExists if somebody serves
  // there; FailedPrecondition if something else lies at the path or it can't be used.
  static absl::StatusOr<std::unique_ptr<UnixListener>> Listen(const std::string& path);
  ~UnixListener();  // Stop()
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  // Begins to accept; connections made since Listen() waited.
  void Start(Accept accept);
  // Accepts no more and removes the socket. Idempotent.
  void Stop();

 private:
  UnixListener(std::string path, int fd, int stop) : path_(std::move(path)), fd_(fd), stop_(stop) {}
  void Run(const Accept& accept) const;

  const std::string path_;
  int fd_;
  int stop_;  // an eventfd, readable once the thread should end
  std::thread thread_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_UNIX_LISTENER_H_
