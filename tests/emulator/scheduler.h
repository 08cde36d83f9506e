// Fibers of one thread block, or of a few that run at the same time: one per GPU thread, all on the calling host
// thread, switching only where a primitive waits (or, with a seed, now and then at a memory access).
#ifndef LADDER_TESTS_EMULATOR_SCHEDULER_H_
#define LADDER_TESTS_EMULATOR_SCHEDULER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ladder::emulator {

class Scheduler {
 public:
  // Seed 0: threads run in their order. Otherwise the order of runnable threads is drawn from the seed, and memory
  // accesses may switch.
  Scheduler(int threads_per_block, int max_blocks, uint64_t seed);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Calls body(argument) in every fiber of as many blocks as there are ids, until all have returned. FailedPrecondition
  // with the message of Fail, or "deadlock: ..." naming who waits for what when nobody can run. Abandoned fibers are
  // not unwound. May be called again after success.
  absl::Status Run(const std::vector<int64_t>& block_ids, void (*body)(void*), void* argument);

  // From inside a fiber:
  int current() const { return current_; }  // counts through the blocks
  // Until somebody calls Wake(current()). `reason` is kept for the message of a deadlock (a literal).
  void Suspend(const char* reason, uint32_t detail = 0);
  void Wake(int thread);
  // Lets others run now and then; nothing with seed 0.
  void MaybeYield();
  // Ends the run with "block 0, thread 3: ...". Nothing on the calling fiber is destroyed: let nothing there own
  // memory.
  [[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
  uint64_t seed() const { return seed_; }

 private:
  struct Fiber;
  struct Stacks;
  static void Start(void* self);
  void SwitchTo(Fiber& to);
  Fiber* TakeReady();
  void Leave();
  uint64_t Random();
  std::string DescribeDeadlock() const;

  const int threads_per_block_;
  const uint64_t seed_;
  uint64_t random_;
  std::unique_ptr<Stacks> stacks_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::unique_ptr<Fiber> main_;
  Fiber* running_ = nullptr;
  std::vector<int> ready_;
  size_t ready_head_ = 0;
  int current_ = -1;
  int live_ = 0;
  std::vector<int64_t> block_ids_;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  char failure_[512] = {};

  friend struct FiberEntry;
};

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_SCHEDULER_H_
