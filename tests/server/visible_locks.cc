// Shows the thread sanitizer what orders gRPC's threads. The library is not built for it and takes its locks, which are
// Abseil's, by futexes and atomics that it can't see, so that every hand-over through them would be taken for a race.
// What is defined here comes before the libraries' own: each does what that does and tells the sanitizer. Nothing is
// suppressed: only the order that these locks and calls do make is known, and races in the project's code are found.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <cstdlib>
#include <functional>
#include <utility>

#include "absl/synchronization/mutex.h"

namespace {

// What comes after this program's own definition, by the name that Debian 12's libraries have for it.
template <typename Function>
Function* Next(const char* symbol) {
  void* const found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

}  // namespace

// What the libraries themselves read, write and free is theirs: the sanitizer would see a part of it, and not its
// order.
extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const next = Next<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  next(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static auto* const next = Next<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static auto* const next = Next<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  next(this);
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const next = Next<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  next(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next =
      Next<bool(CondVar*, Mutex*, Duration)>("_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool over = next(this, mutex, timeout);
  __tsan_acquire(mutex);
  return over;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next =
      Next<bool(CondVar*, Mutex*, Time)>("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool over = next(this, mutex, deadline);
  __tsan_acquire(mutex);
  return over;
}

ABSL_NAMESPACE_END
}  // namespace absl

namespace {

// Stands in for the tag of a queue that calls back.
struct SeenTag : grpc_completion_queue_functor {
  explicit SeenTag(grpc_completion_queue_functor* called) : grpc_completion_queue_functor{}, inner(called) {
    functor_run = [](grpc_completion_queue_functor* self, int ok) {
      __tsan_acquire(self);
      grpc_completion_queue_functor* const called = static_cast<SeenTag*>(self)->inner;
      delete static_cast<SeenTag*>(self);
      called->functor_run(called, ok);
    };
    inlineable = inner->inlineable;
    __tsan_release(this);
  }
  grpc_completion_queue_functor* const inner;
};

}  // namespace

extern "C" {

// What was done before operations are started is done when they are: the tag comes back from the queue, or is called.
grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag, void* reserved) {
  static auto* const next =
      Next<grpc_call_error(grpc_call*, const grpc_op*, size_t, void*, void*)>("grpc_call_start_batch");
  __tsan_release(tag);
  return next(call, ops, count, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline, void* reserved) {
  static auto* const next = Next<grpc_event(grpc_completion_queue*, gpr_timespec, void*)>("grpc_completion_queue_next");
  const grpc_event event = next(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag, gpr_timespec deadline, void* reserved) {
  static auto* const next =
      Next<grpc_event(grpc_completion_queue*, void*, gpr_timespec, void*)>("grpc_completion_queue_pluck");
  const grpc_event event = next(queue, tag, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

}  // extern "C"

// Calls that call back are made by gRPC as they come in, on the thread that they come in on; another thread may handle
// them. (As src/core/lib/surface/server.h has it, which is not installed.)
namespace grpc_core {

class Server {
 public:
  struct RegisteredCallAllocation {
    void* tag;
    grpc_call** call;
    grpc_metadata_array* initial_metadata;
    gpr_timespec* deadline;
    grpc_byte_buffer** optional_payload;
    grpc_completion_queue* queue;
  };
  void SetRegisteredMethodAllocator(grpc_completion_queue* queue, void* method,
                                    std::function<RegisteredCallAllocation()> allocator);
};

void Server::SetRegisteredMethodAllocator(grpc_completion_queue* queue, void* method,
                                          std::function<RegisteredCallAllocation()> allocator) {
  using Allocator = std::function<RegisteredCallAllocation()>;
  static auto* const next = Next<void(Server*, grpc_completion_queue*, void*, Allocator)>(
      "_ZN9grpc_core6Server28SetRegisteredMethodAllocatorEP21grpc_completion_queuePvSt8functionIFNS0_"
      "24RegisteredCallAllocationEvEE");
  next(this, queue, method, [allocator = std::move(allocator)] {
    RegisteredCallAllocation call = allocator();
    call.tag = new SeenTag(static_cast<grpc_completion_queue_functor*>(call.tag));
    return call;
  });
}

}  // namespace grpc_core

// A reactor is done when as many of its callbacks have come as it waited for, which is counted partly in the library.
namespace grpc::internal {

void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static auto* const next =
      Next<void(ServerCallbackCall*, bool)>("_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb");
  __tsan_acquire(&callbacks_outstanding_);
  next(this, inline_ondone);
}

}  // namespace grpc::internal
