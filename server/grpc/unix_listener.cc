#include "server/grpc/unix_listener.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/logging/log.h"

namespace ladder {
namespace {

constexpr int kBacklog = 512;
// Out of descriptors or memory: what waits can wait a little longer.
constexpr absl::Duration kShortagePause = absl::Milliseconds(100);

sockaddr_un Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

// Whether somebody accepts connections at a socket.
bool IsServed(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const sockaddr_un address = Address(path);
  const bool served = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return served;
}

absl::Status PrepareSocket(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    if (error || ::chmod(folder.c_str(), 0750) != 0) {
      return absl::FailedPreconditionError(absl::StrCat("listen: the folder ", folder.string(), " can't be made (",
                                                        error ? error.message() : std::strerror(errno),
                                                        "); name another socket in the configuration"));
    }
  }
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return absl::OkStatus();
  if (!S_ISSOCK(found.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: ", path, " exists and is no socket; remove it or name another"));
  }
  if (IsServed(path)) {
    return absl::AlreadyExistsError(absl::StrCat("listen: another daemon serves on ", path,
                                                 "; stop it, or name another socket (and another cache) for this one"));
  }
  if (::unlink(path.c_str()) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: the left-over socket ", path, " can't be removed: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

std::optional<LocalPeer> PeerOf(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  LocalPeer peer{credentials.uid, {credentials.gid}};
  // The kernel says how many there are when the room does not suffice. Kernels before 4.13 don't know the question; the
  // primary group is all there is then.
  std::vector<gid_t> groups(64);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  if (result != 0 && errno == ERANGE) {
    groups.resize(size / sizeof(gid_t));
    result = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  }
  if (result == 0) {
    groups.resize(size / sizeof(gid_t));
    peer.groups.insert(peer.groups.end(), groups.begin(), groups.end());
  }
  return peer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Listen(const std::string& path) {
  if (absl::Status status = PrepareSocket(path); !status.ok()) return status;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  const sockaddr_un address = Address(path);
  const bool bound =
      fd >= 0 && stop >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  // Nobody can connect before listen(), so the mode is right from the first connection on.
  if (!bound || ::chmod(path.c_str(), 0660) != 0 || ::listen(fd, kBacklog) != 0) {
    const absl::Status status = absl::FailedPreconditionError(absl::StrCat(
        "listen: can't serve on ", path, " (", std::strerror(errno), "); check that you may write in its folder"));
    if (fd >= 0) ::close(fd);
    if (stop >= 0) ::close(stop);
    if (bound) ::unlink(path.c_str());
    return status;
  }
  return std::unique_ptr<UnixListener>(new UnixListener(path, fd, stop));
}

UnixListener::~UnixListener() { Stop(); }

void UnixListener::Start(Accept accept) {
  thread_ = std::thread([this, accept = std::move(accept)] { Run(accept); });
}

void UnixListener::Stop() {
  if (fd_ < 0) return;
  const uint64_t one = 1;
  // An eventfd takes eight bytes or none, and it is empty.
  if (::write(stop_, &one, sizeof one) == sizeof one && thread_.joinable()) thread_.join();
  ::unlink(path_.c_str());
  ::close(fd_);
  ::close(stop_);
  fd_ = stop_ = -1;
}

void UnixListener::Run(const Accept& accept) const {
  std::array<pollfd, 2> waited = {pollfd{fd_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  while (true) {
    if (::poll(waited.data(), waited.size(), -1) < 0 && errno != EINTR) absl::SleepFor(kShortagePause);
    if (waited[1].revents != 0) return;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        LogWarning("listen: a connection has to wait: ", std::strerror(errno));
        absl::SleepFor(kShortagePause);
      }
      continue;
    }
    const std::optional<LocalPeer> peer = PeerOf(fd);
    if (!peer.has_value()) {
      ::close(fd);
      continue;
    }
    accept(fd, *peer);
  }
}

}  // namespace ladder
