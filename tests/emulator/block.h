// One thread block at work: its threads, warps, barriers and memories. The primitives' semantics live in
// collectives.cc (warps, named barriers), copies.cc (cp.async, mbarrier, bulk copies, TMA) and matrix.cc (ldmatrix,
// mma, wgmma).
#ifndef LADDER_TESTS_EMULATOR_BLOCK_H_
#define LADDER_TESTS_EMULATOR_BLOCK_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tests/emulator/launch.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/scheduler.h"

namespace ladder::emulator {

// Threads of a warp or a warp group that have to meet at one instruction. The last to arrive carries it out for all.
struct Rendezvous {
  const char* operation = nullptr;
  uint64_t immediate = 0;  // what has to agree besides the operation
  int arrived = 0;
  void* operands[128] = {};  // on the waiting fibers' stacks
};

// A copy that has started and not landed.
struct PendingCopy {
  uint32_t shared = 0;
  const uint8_t* source = nullptr;
  uint32_t size = 0;                       // of the destination
  uint32_t bytes = 0;                      // from the source, zeros after
  const TensorMapContents* map = nullptr;  // TMA
  int column = 0, row = 0;
};

struct NamedBarrier {
  uint32_t expected = 0;  // 0: nobody has come
  uint32_t arrived = 0;
  std::vector<int> waiting;
};

struct MBarrier {
  uint32_t arrivals = 0;  // of a whole phase
  uint32_t pending = 0;
  uint32_t phase = 0;
  int64_t announced = 0;  // bytes of this phase
  int64_t issued = 0;
  std::vector<PendingCopy> copies;
  std::vector<int> waiting;
};

// A thread's accumulators while instructions on them are in flight; the array itself then holds a NaN pattern.
struct Accumulators {
  std::vector<float> values;
  int in_flight = 0;
};

struct Wgmma {
  int types = 0, n = 0;
  bool a_in_registers = false;
  uint64_t a_descriptor = 0, b_descriptor = 0;
  uint32_t accumulate = 0;
  bool computed = false;
  float* accumulators[128] = {};
  const uint32_t* a[128] = {};
  uint32_t a_issued[128][4] = {};  // the registers as they were when the instruction was issued
};

struct Warp {
  Rendezvous rendezvous;
  std::vector<std::shared_ptr<Wgmma>> open;                // not committed yet
  std::deque<std::vector<std::shared_ptr<Wgmma>>> groups;  // committed, oldest first
  bool fenced = false;                                     // wgmma_fence since the last wait
};

// The barrier of blocks that run as a cluster, and the blocks, by rank.
class Block;
struct Cluster {
  std::vector<Block*> blocks;
  int live = 0;     // threads that have not returned
  int arrived = 0;  // of them, at the barrier
  uint32_t phase = 0;
  std::vector<int> waiting;  // by the scheduler's count
};

struct Thread {
  bool at_cluster_barrier = false;  // arrived and not yet waited
  uint32_t cluster_phase = 0;
  std::vector<PendingCopy> open;                // cp.async, not committed yet
  std::deque<std::vector<PendingCopy>> groups;  // committed, oldest first
};

class Block {
 public:
  // The block whose threads are the scheduler's from slot * threads on.
  Block(const Launch& launch, Scheduler& scheduler, int slot);
  // Fresh shared memory and barriers, for the block of that number, which belongs to `cluster`.
  void Start(int64_t id, Cluster& cluster);
  // The current thread returns.
  void Exit();
  // What must not be left when the threads have returned; empty if nothing is.
  std::string Leftovers() const;

  const Launch& launch() const { return launch_; }
  int64_t id() const { return id_; }
  int thread() const { return scheduler_.current() - first_thread_; }
  Scheduler& scheduler() { return scheduler_; }
  GlobalMemory& global() { return global_; }
  SharedMemory& shared() { return shared_; }

  // collectives.cc
  void Sync(uint32_t id, uint32_t threads);
  void Arrive(uint32_t id, uint32_t threads);
  void WarpSync();
  uint32_t Shuffle(uint32_t value, uint32_t lane, bool exclusive_or);
  bool ElectOne();
  void SetRegisters(int registers);
  uint32_t ClusterRank() const { return static_cast<uint32_t>(id_ % launch_.cluster); }
  void ClusterArrive();
  void ClusterWait();
  void LoadCluster(uint32_t address, uint32_t rank, uint32_t bytes, void* out);

  // copies.cc
  void CopyAsync(uint32_t shared, const void* global, uint32_t size, uint32_t bytes);
  void CopyAsyncCommit();
  void CopyAsyncWait(int pending);
  void BarrierInit(uint32_t barrier, uint32_t arrivals);
  void BarrierArrive(uint32_t barrier, uint32_t bytes);
  void BarrierWait(uint32_t barrier, uint32_t parity);
  void CopyBulk(uint32_t shared, const void* global, uint32_t bytes, uint32_t barrier);
  void CopyTensor(uint32_t shared, const void* map, uint32_t barrier, int column, int row);

  // matrix.cc
  void LoadMatrix(int count, uint32_t* registers, uint32_t address);
  void Mma(int types, void* c, const uint32_t* a, uint32_t b0, uint32_t b1);
  void IssueWgmma(int types, int n, float* accumulators, const uint32_t* a, uint64_t a_descriptor,
                  uint64_t b_descriptor, uint32_t accumulate);
  void WgmmaFence();
  void WgmmaCommit();
  void WgmmaWait(int pending);

 private:
  // Returns true in the thread that arrives last; the others return false after it has called Release.
  bool Meet(Rendezvous& rendezvous, int first_thread, int threads, const char* operation, uint64_t immediate,
            void* operand);
  void Release(Rendezvous& rendezvous, int first_thread, int threads);
  bool MeetWarp(const char* operation, uint64_t immediate, void* operand);
  void ReleaseWarp();
  void Wake(int thread) { scheduler_.Wake(first_thread_ + thread); }
  Warp& warp() { return warps_[thread() / 32]; }

  void ArriveAt(uint32_t id, uint32_t threads, bool wait, const char* operation);
  void TryCompleteCluster();
  void Land(const PendingCopy& copy, bool ordinary);
  MBarrier& FindBarrier(uint32_t barrier, const char* operation);
  void IssueCopy(uint32_t barrier, const PendingCopy& copy, const char* operation);
  bool TryComplete(MBarrier& barrier);
  void Compute(Wgmma& wgmma);
  void Finish(Wgmma& wgmma, int thread);

  const Launch& launch_;
  Scheduler& scheduler_;
  const int first_thread_;
  GlobalMemory global_;
  SharedMemory shared_;
  int64_t id_ = 0;
  Cluster* cluster_ = nullptr;
  int live_ = 0;  // threads that have not returned
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<Rendezvous> warp_groups_;
  NamedBarrier named_[16];
  std::map<uint32_t, MBarrier> barriers_;
  std::unordered_map<float*, Accumulators> accumulators_;
};

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_BLOCK_H_
