#include "tests/emulator/scheduler.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace ladder::emulator {

namespace context = boost::context::detail;

namespace {
constexpr size_t kStackBytes = 256 * 1024;  // accumulators of the largest warp group tile, unoptimised, fit well
constexpr size_t kGuardBytes = 4096;
}  // namespace

struct Scheduler::Fiber {
  context::fcontext_t context = nullptr;
  const char* waits_for = nullptr;  // null: runnable
  uint32_t waits_detail = 0;
  bool done = false;
  void* stack_bottom = nullptr;  // for the sanitizers
  size_t stack_bytes = 0;
  void* fake_stack = nullptr;
  void* thread_sanitizer = nullptr;
};

// One mapping, a guard page below every stack: an overflow faults instead of reaching a neighbour.
struct Scheduler::Stacks {
  explicit Stacks(int count) : bytes(count * (kStackBytes + kGuardBytes)) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
      std::perror("emulator: mmap of the fibers' stacks");
      std::abort();
    }
    base = static_cast<char*>(p);
    for (int i = 0; i < count; ++i) mprotect(base + i * (kStackBytes + kGuardBytes), kGuardBytes, PROT_NONE);
  }
  ~Stacks() { munmap(base, bytes); }
  void* Bottom(int i) const { return base + i * (kStackBytes + kGuardBytes) + kGuardBytes; }

  size_t bytes;
  char* base = nullptr;
};

namespace {

// Where the context that was left has to be kept: carried along by the jump.
struct Arrival {
  context::fcontext_t* left;
  Scheduler* scheduler;
};

}  // namespace

// The first function on a fiber's stack.
struct FiberEntry {
  static void Enter(context::transfer_t transfer) {
    Arrival* arrival = static_cast<Arrival*>(transfer.data);
    *arrival->left = transfer.fctx;
    Scheduler::Start(arrival->scheduler);
  }
};

Scheduler::Scheduler(int threads_per_block, int max_blocks, uint64_t seed)
    : threads_per_block_(threads_per_block),
      seed_(seed),
      random_(seed),
      stacks_(std::make_unique<Stacks>(threads_per_block * max_blocks)),
      main_(std::make_unique<Fiber>()) {
  for (int i = 0; i < threads_per_block * max_blocks; ++i) {
    fibers_.push_back(std::make_unique<Fiber>());
    fibers_[i]->stack_bottom = stacks_->Bottom(i);
    fibers_[i]->stack_bytes = kStackBytes;
  }
}

Scheduler::~Scheduler() {
#if defined(__SANITIZE_THREAD__)
  for (const auto& fiber : fibers_) {
    if (fiber->thread_sanitizer != nullptr) __tsan_destroy_fiber(fiber->thread_sanitizer);
  }
#endif
}

uint64_t Scheduler::Random() {
  uint64_t z = random_ += 0x9e3779b97f4a7c15;  // splitmix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

absl::Status Scheduler::Run(const std::vector<int64_t>& block_ids, void (*body)(void*), void* argument) {
  block_ids_ = block_ids;
  body_ = body;
  argument_ = argument;
  failure_[0] = 0;
  ready_.clear();
  ready_head_ = 0;
  live_ = static_cast<int>(block_ids.size()) * threads_per_block_;
  for (int i = 0; i < live_; ++i) {
    Fiber& fiber = *fibers_[i];
    fiber.context =
        context::make_fcontext(static_cast<char*>(fiber.stack_bottom) + kStackBytes, kStackBytes, FiberEntry::Enter);
    fiber.done = false;
    fiber.waits_for = nullptr;
    fiber.fake_stack = nullptr;
#if defined(__SANITIZE_THREAD__)
    if (fiber.thread_sanitizer == nullptr) fiber.thread_sanitizer = __tsan_create_fiber(0);
#endif
    ready_.push_back(i);
  }
#if defined(__SANITIZE_THREAD__)
  main_->thread_sanitizer = __tsan_get_current_fiber();
#endif
  running_ = main_.get();
  if (Fiber* first = TakeReady()) SwitchTo(*first);
  current_ = -1;
  if (failure_[0] != 0) return absl::FailedPreconditionError(failure_);
  if (live_ > 0) return absl::FailedPreconditionError(DescribeDeadlock());
  return absl::OkStatus();
}

Scheduler::Fiber* Scheduler::TakeReady() {
  if (ready_head_ == ready_.size()) return nullptr;
  if (seed_ != 0) std::swap(ready_[ready_head_], ready_[ready_head_ + Random() % (ready_.size() - ready_head_)]);
  current_ = ready_[ready_head_++];
  if (ready_head_ == ready_.size()) {
    ready_.clear();
    ready_head_ = 0;
  }
  return fibers_[current_].get();
}

void Scheduler::SwitchTo(Fiber& to) {
  Fiber& from = *running_;
  if (&from == &to) return;
  running_ = &to;
  Arrival arrival{&from.context, this};
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(from.done ? nullptr : &from.fake_stack, to.stack_bottom, to.stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.thread_sanitizer, 0);
#endif
  context::transfer_t transfer = context::jump_fcontext(to.context, &arrival);
  *static_cast<Arrival*>(transfer.data)->left = transfer.fctx;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(running_->fake_stack, &bottom, &bytes);
  if (main_->stack_bottom == nullptr) main_->stack_bottom = const_cast<void*>(bottom), main_->stack_bytes = bytes;
#endif
}

void Scheduler::Start(void* self) {
  Scheduler& scheduler = *static_cast<Scheduler*>(self);
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (scheduler.main_->stack_bottom == nullptr) {  // the first fiber comes from the host thread's own stack
    scheduler.main_->stack_bottom = const_cast<void*>(bottom);
    scheduler.main_->stack_bytes = bytes;
  }
#endif
  scheduler.body_(scheduler.argument_);
  scheduler.running_->done = true;
  --scheduler.live_;
  scheduler.Leave();
  std::abort();  // a finished fiber is never resumed
}

void Scheduler::Leave() {
  Fiber* next = TakeReady();
  SwitchTo(next != nullptr ? *next : *main_);
}

void Scheduler::Suspend(const char* reason, uint32_t detail) {
  running_->waits_for = reason;
  running_->waits_detail = detail;
  Leave();
}

void Scheduler::Wake(int thread) {
  fibers_[thread]->waits_for = nullptr;
  ready_.push_back(thread);
}

void Scheduler::MaybeYield() {
  if (seed_ == 0 || (Random() & 15) != 0) return;
  ready_.push_back(current_);
  Leave();
}

void Scheduler::Fail(const char* format, ...) {
  int used = std::snprintf(failure_, sizeof(failure_),
                           "block %lld, thread %d: ", static_cast<long long>(block_ids_[current_ / threads_per_block_]),
                           current_ % threads_per_block_);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure_ + used, sizeof(failure_) - used, format, arguments);
  va_end(arguments);
  SwitchTo(*main_);
  std::abort();  // nobody resumes a failed run
}

std::string Scheduler::DescribeDeadlock() const {
  std::map<std::pair<std::string, uint32_t>, std::vector<int>> waiting;
  int finished = 0;
  // Of the first block that did not come to its end.
  int first = 0;
  while (fibers_[first]->done) ++first;
  first -= first % threads_per_block_;
  for (int i = 0; i < threads_per_block_; ++i) {
    const Fiber& fiber = *fibers_[first + i];
    if (fiber.done) {
      ++finished;
    } else {
      waiting[{fiber.waits_for, fiber.waits_detail}].push_back(i);
    }
  }
  std::string text = absl::StrCat("block ", block_ids_[first / threads_per_block_], ", deadlock: ");
  for (const auto& [reason, threads] : waiting) {
    absl::StrAppend(&text, threads.size(), " threads (", threads.front(), " to ", threads.back(), ") wait at ",
                    reason.first, reason.second != 0 ? absl::StrCat(" ", reason.second) : "", "; ");
  }
  absl::StrAppend(&text, finished, " have returned");
  return text;
}

}  // namespace ladder::emulator
