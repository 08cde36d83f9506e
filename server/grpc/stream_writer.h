// The server's end of a stream of messages, for the services' .cc files only (it includes gRPC).
#ifndef LADDER_SERVER_GRPC_STREAM_WRITER_H_
#define LADDER_SERVER_GRPC_STREAM_WRITER_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/grpc/call_status.h"

namespace ladder {

// Sends what others push. Lives until gRPC is done with it and nobody holds it; pushing to one whose caller has gone
// does nothing. Thread-safe.
template <typename T>
class PushWriter final : public grpc::ServerWriteReactor<T> {
 public:
  // The caller returns reactor.get() to gRPC.
  static std::shared_ptr<PushWriter> Make(grpc::CallbackServerContext* context) {
    std::shared_ptr<PushWriter> writer(new PushWriter(context));
    writer->self_ = writer;
    return writer;
  }

  void Push(T message) {
    const std::lock_guard lock(mutex_);
    if (finished_ || ending_.has_value()) return;
    if (queue_.size() >= kQueueLimit) {  // a caller that doesn't read is not worth its memory
      queue_.resize(1);                  // the one being written
      EndLocked(absl::ResourceExhaustedError("the caller reads too slowly"));
      return;
    }
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }
  // Ends the stream once everything pushed is sent.
  void End(const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    EndLocked(status);
  }
  // Called once when the stream is over, for whatever reason; at once if it is already. Must not call this writer.
  void OnOver(std::function<void()> over) {
    {
      const std::lock_guard lock(mutex_);
      if (!finished_) {
        over_ = std::move(over);
        return;
      }
    }
    over();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    queue_.pop_front();
    if (!ok && !ending_.has_value()) ending_ = absl::CancelledError("the caller has gone");
    if (!ok) queue_.clear();
    if (!queue_.empty()) {
      this->StartWrite(&queue_.front());
    } else if (ending_.has_value()) {
      FinishLocked();
    }
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    if (queue_.size() > 1) queue_.resize(1);
    EndLocked(absl::CancelledError("the caller has gone"));
  }
  void OnDone() override {
    std::function<void()> over;
    std::shared_ptr<PushWriter> self;
    {
      const std::lock_guard lock(mutex_);
      over = std::move(over_);
      self = std::move(self_);
    }
    if (over) over();
  }

 private:
  static constexpr size_t kQueueLimit = 16 * 1024;

  explicit PushWriter(grpc::CallbackServerContext* context) : context_(context) {}
  void EndLocked(const absl::Status& status) {
    if (finished_ || ending_.has_value()) return;
    ending_ = status;
    if (queue_.empty()) FinishLocked();
  }
  void FinishLocked() {
    finished_ = true;
    this->Finish(ToCallStatus(*ending_, *context_));
  }

  grpc::CallbackServerContext* context_;
  std::mutex mutex_;
  std::deque<T> queue_;  // the front one is being written
  std::optional<absl::Status> ending_;
  bool finished_ = false;
  std::function<void()> over_;
  std::shared_ptr<PushWriter> self_;
};

// Sends what `next` gives, one message after the other, at the caller's pace; nothing (nullopt) is the end. `next` runs
// on gRPC's threads, so it must not take long.
template <typename T>
class PullWriter final : public grpc::ServerWriteReactor<T> {
 public:
  using Next = std::function<absl::StatusOr<std::optional<T>>()>;
  PullWriter(grpc::CallbackServerContext* context, Next next) : context_(context), next_(std::move(next)) {}
  // Begins to send. Call once.
  PullWriter* Start() {
    Step();
    return this;
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      Step();
    } else {
      this->Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  void Step() {
    absl::StatusOr<std::optional<T>> message = next_();
    if (!message.ok() || !message->has_value()) {
      this->Finish(ToCallStatus(message.status(), *context_));
      return;
    }
    message_ = *std::move(*message);
    this->StartWrite(&message_);
  }

  grpc::CallbackServerContext* context_;
  Next next_;
  T message_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_STREAM_WRITER_H_
