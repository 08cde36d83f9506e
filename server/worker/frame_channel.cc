#include "server/worker/frame_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ladder {

FrameChannel::FrameChannel(int fd) : fd_(fd) { ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK); }

FrameChannel::~FrameChannel() { ::close(fd_); }

absl::Status FrameChannel::Wait(short events, absl::Time deadline, const Watch& watch) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("no answer in time");
    pollfd poll_fd{fd_, events, 0};
    const absl::Duration slice = watch ? std::min(left, absl::Milliseconds(100)) : std::min(left, absl::Minutes(1));
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(slice)) + 1);
    if (ready > 0) return absl::OkStatus();  // errors and hang-ups show in the next read or write
    if (ready < 0 && errno != EINTR) return absl::InternalError(absl::StrCat("poll: ", std::strerror(errno)));
    if (watch) {
      if (absl::Status status = watch(); !status.ok()) return status;
    }
  }
}

absl::Status FrameChannel::SendBytes(const char* data, size_t size, absl::Time deadline, const Watch& watch) {
  while (size > 0) {
    const ssize_t sent = ::send(fd_, data, size, MSG_NOSIGNAL);
    if (sent > 0) {
      data += sent;
      size -= static_cast<size_t>(sent);
    } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (absl::Status status = Wait(POLLOUT, deadline, watch); !status.ok()) return status;
    } else if (sent == 0 || errno != EINTR) {
      return absl::UnavailableError("the other side has gone");
    }
  }
  return absl::OkStatus();
}

absl::Status FrameChannel::ReceiveBytes(std::string& out, size_t size, absl::Time deadline, const Watch& watch) {
  constexpr size_t kStep = size_t{1} << 20;  // a length is only a claim: allocate as bytes come
  while (size > 0) {
    const size_t start = out.size();
    const size_t step = std::min(size, kStep);
    out.resize(start + step);
    const ssize_t received = ::recv(fd_, out.data() + start, step, 0);
    out.resize(start + (received > 0 ? static_cast<size_t>(received) : 0));
    if (received > 0) {
      size -= static_cast<size_t>(received);
    } else if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (absl::Status status = Wait(POLLIN, deadline, watch); !status.ok()) return status;
    } else if (received == 0 || errno != EINTR) {
      return absl::UnavailableError("the other side has gone");
    }
  }
  return absl::OkStatus();
}

absl::Status FrameChannel::Send(const std::string& frame, absl::Time deadline, const Watch& watch) {
  if (frame.size() > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a frame of ", frame.size(), " bytes is over the limit of ", kMaxFrameBytes));
  }
  char head[4];
  for (int i = 0; i < 4; ++i) head[i] = static_cast<char>(frame.size() >> (8 * i) & 0xff);
  if (absl::Status status = SendBytes(head, sizeof head, deadline, watch); !status.ok()) return status;
  return SendBytes(frame.data(), frame.size(), deadline, watch);
}

absl::StatusOr<std::string> FrameChannel::Receive(absl::Time deadline, const Watch& watch) {
  std::string head;
  if (absl::Status status = ReceiveBytes(head, 4, deadline, watch); !status.ok()) return status;
  size_t size = 0;
  for (int i = 0; i < 4; ++i) size |= size_t{static_cast<unsigned char>(head[static_cast<size_t>(i)])} << (8 * i);
  if (size > kMaxFrameBytes) {
    return absl::DataLossError(absl::StrCat("a frame claims ", size, " bytes; the limit is ", kMaxFrameBytes));
  }
  std::string frame;
  if (absl::Status status = ReceiveBytes(frame, size, deadline, watch); !status.ok()) return status;
  return frame;
}

}  // namespace ladder
