// The two memories of a block, every access checked.
#ifndef LADDER_TESTS_EMULATOR_MEMORY_H_
#define LADDER_TESTS_EMULATOR_MEMORY_H_

#include <cstdint>
#include <vector>

#include "tests/emulator/launch.h"
#include "tests/emulator/scheduler.h"

namespace ladder::emulator {

// The buffers of a launch. An access must lie within one of them, aligned to its size.
class GlobalMemory {
 public:
  GlobalMemory(const Launch& launch, Scheduler& scheduler) : launch_(launch), scheduler_(scheduler) {}
  void StartBlock() { previous_awaited_ = !launch_.dependent_launch; }
  void WaitForPrevious() { previous_awaited_ = true; }
  // Fails the run unless [address, address + bytes) may be read (or written) now.
  void Check(const void* address, int64_t bytes, int64_t alignment, bool write, const char* operation);

 private:
  const Launch& launch_;
  Scheduler& scheduler_;
  // Programmatic dependent launch: whether any thread of the block has waited for the kernels before.
  bool previous_awaited_ = true;
};

// Dynamic shared memory. Uninitialised bytes hold NaN patterns; the destination of an asynchronous copy may not be
// touched until the copy has landed.
class SharedMemory {
 public:
  // Where dynamic shared memory starts: 16-byte aligned and no better, as ptx.cuh promises.
  static constexpr uint32_t kBase = 1024 + 16;

  // `first_thread`: where the block's threads start in the scheduler's count.
  SharedMemory(int64_t bytes, int threads, int first_thread, Scheduler& scheduler);
  void StartBlock();

  void Load(uint32_t address, uint32_t bytes, void* out, const char* operation);
  void Store(uint32_t address, uint32_t bytes, const void* in, const char* operation);

  // Marks the destination of a copy that starts, and ends that. Landing writes `bytes` there; an ordinary copy
  // (cp.async) counts as a write of the current thread.
  void BeginCopy(uint32_t address, uint32_t bytes, uint32_t alignment, const char* operation);
  void Land(uint32_t address, uint32_t bytes, const void* data, bool ordinary);

  // This thread's writes so far may be read by the asynchronous proxy.
  void FenceAsyncProxy() { ++fences_[scheduler_.current() - first_thread_]; }
  // 16 bytes for wgmma, read through the asynchronous proxy: fails if a thread wrote them without a fence since.
  const uint16_t* LoadAsyncProxy(uint32_t address);

  void CheckRange(uint32_t address, uint32_t bytes, uint32_t alignment, const char* operation);

 private:
  void Stamp(uint32_t offset, uint32_t bytes);

  const int first_thread_;
  Scheduler& scheduler_;
  std::vector<uint8_t> bytes_;
  std::vector<uint8_t> in_flight_;  // per byte
  std::vector<uint64_t> writer_;    // per 4 bytes: (thread + 1) << 32 | its fence count when it wrote; 0: nobody
  std::vector<uint32_t> fences_;    // per thread
};

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_MEMORY_H_
