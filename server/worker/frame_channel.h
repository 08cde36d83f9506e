// Messages over one end of a socketpair: four bytes of length (little-endian), then that many bytes.
#ifndef LADDER_SERVER_WORKER_FRAME_CHANNEL_H_
#define LADDER_SERVER_WORKER_FRAME_CHANNEL_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ladder {

// Binaries and sources fit with ease; a length beyond this is a peer out of its mind.
inline constexpr size_t kMaxFrameBytes = size_t{64} << 20;

// Owns the descriptor. Not thread-safe. The peer is not trusted: a length beyond kMaxFrameBytes is DataLoss and memory
// grows only with bytes that arrived.
class FrameChannel {
 public:
  explicit FrameChannel(int fd);
  ~FrameChannel();
  FrameChannel(const FrameChannel&) = delete;
  FrameChannel& operator=(const FrameChannel&) = delete;

  // Called about ten times a second while waiting; an error ends the wait with it.
  using Watch = std::function<absl::Status()>;

  // Unavailable if the peer has gone; DeadlineExceeded; InvalidArgument if the frame is too big.
  absl::Status Send(const std::string& frame, absl::Time deadline, const Watch& watch = nullptr);
  absl::StatusOr<std::string> Receive(absl::Time deadline, const Watch& watch = nullptr);
  int fd() const { return fd_; }

 private:
  absl::Status Wait(short events, absl::Time deadline, const Watch& watch);
  absl::Status SendBytes(const char* data, size_t size, absl::Time deadline, const Watch& watch);
  absl::Status ReceiveBytes(std::string& out, size_t size, absl::Time deadline, const Watch& watch);

  int fd_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_FRAME_CHANNEL_H_
