// Instructions at which threads meet.
#include "tests/emulator/block.h"

namespace ladder::emulator {

bool Block::Meet(Rendezvous& rendezvous, int first_thread, int threads, const char* operation, uint64_t immediate,
                 void* operand) {
  if (rendezvous.arrived > 0 && (rendezvous.operation != operation || rendezvous.immediate != immediate)) {
    scheduler_.Fail("divergence: %s where %d other threads of threads %d to %d are at %s%s", operation,
                    rendezvous.arrived, first_thread, first_thread + threads - 1, rendezvous.operation,
                    rendezvous.operation == operation ? " with other operands" : "");
  }
  rendezvous.operation = operation;
  rendezvous.immediate = immediate;
  rendezvous.operands[thread() - first_thread] = operand;
  if (++rendezvous.arrived == threads) return true;
  scheduler_.Suspend(operation);
  return false;
}

void Block::Release(Rendezvous& rendezvous, int first_thread, int threads) {
  rendezvous.arrived = 0;
  for (int i = first_thread; i < first_thread + threads; ++i) {
    if (i != thread()) Wake(i);
  }
}

bool Block::MeetWarp(const char* operation, uint64_t immediate, void* operand) {
  return Meet(warp().rendezvous, thread() & ~31, 32, operation, immediate, operand);
}
void Block::ReleaseWarp() { Release(warp().rendezvous, thread() & ~31, 32); }

void Block::ArriveAt(uint32_t id, uint32_t threads, bool wait, const char* operation) {
  if (id > 15) scheduler_.Fail("%s: barrier %u, where 0 to 15 exist", operation, id);
  const uint32_t expected = threads == 0 ? launch_.threads : threads;
  if (expected % 32 != 0 || expected > static_cast<uint32_t>(launch_.threads)) {
    scheduler_.Fail("%s: barrier %u among %u threads: not a multiple of 32, or more than the block's %d", operation, id,
                    expected, launch_.threads);
  }
  NamedBarrier& barrier = named_[id];
  if (barrier.arrived > 0 && barrier.expected != expected) {
    scheduler_.Fail("%s: barrier %u among %u threads, others came to it expecting %u", operation, id, expected,
                    barrier.expected);
  }
  barrier.expected = expected;
  if (++barrier.arrived == expected) {
    for (int other : barrier.waiting) Wake(other);
    barrier.waiting.clear();
    barrier.arrived = 0;
  } else if (wait) {
    barrier.waiting.push_back(thread());
    scheduler_.Suspend(operation, id);
  }
}

void Block::Sync(uint32_t id, uint32_t threads) {
  if (threads != 0 && id == 0) scheduler_.Fail("named_sync: barrier 0 belongs to block_sync");
  ArriveAt(id, threads, true, threads == 0 ? "block_sync" : "named_sync");
}

void Block::Arrive(uint32_t id, uint32_t threads) {
  if (id == 0) scheduler_.Fail("named_arrive: barrier 0 belongs to block_sync");
  ArriveAt(id, threads, false, "named_arrive");
}

void Block::WarpSync() {
  if (MeetWarp("warp_sync", 0, nullptr)) ReleaseWarp();
}

uint32_t Block::Shuffle(uint32_t value, uint32_t lane, bool exclusive_or) {
  struct Operand {
    uint32_t value, lane, result;
  } operand{value, exclusive_or ? (thread() & 31) ^ lane : lane, 0};
  if (lane > 31) scheduler_.Fail("shuffle: lane %u, where 0 to 31 exist", lane);
  if (MeetWarp(exclusive_or ? "shuffle_xor" : "shuffle", 0, &operand)) {
    void** operands = warp().rendezvous.operands;
    for (int i = 0; i < 32; ++i) {
      Operand& own = *static_cast<Operand*>(operands[i]);
      own.result = static_cast<Operand*>(operands[own.lane])->value;
    }
    ReleaseWarp();
  }
  return operand.result;
}

bool Block::ElectOne() {
  // Which lane is not specified, but it is the same every time.
  const int elected = static_cast<int>(scheduler_.seed() % 32);
  if (MeetWarp("elect_one", 0, nullptr)) ReleaseWarp();
  return thread() % 32 == elected;
}

void Block::SetRegisters(int registers) {
  if (registers % 8 != 0 || registers < 24 || registers > 256) {
    scheduler_.Fail("setmaxnreg: %d registers, where multiples of 8 from 24 to 256 exist", registers);
  }
  if (MeetWarp("setmaxnreg", registers, nullptr)) ReleaseWarp();
}

void Block::TryCompleteCluster() {
  if (cluster_->arrived < cluster_->live) return;
  cluster_->arrived = 0;
  ++cluster_->phase;
  for (int waiting : cluster_->waiting) scheduler_.Wake(waiting);
  cluster_->waiting.clear();
}

void Block::ClusterArrive() {
  Thread& own = threads_[thread()];
  if (own.at_cluster_barrier) scheduler_.Fail("cluster_arrive: twice without a cluster_wait");
  own.at_cluster_barrier = true;
  own.cluster_phase = cluster_->phase;
  ++cluster_->arrived;
  TryCompleteCluster();
}

void Block::ClusterWait() {
  Thread& own = threads_[thread()];
  if (!own.at_cluster_barrier) scheduler_.Fail("cluster_wait: without a cluster_arrive");
  own.at_cluster_barrier = false;
  if (cluster_->phase != own.cluster_phase) return;
  cluster_->waiting.push_back(scheduler_.current());
  scheduler_.Suspend("cluster_wait");
}

void Block::LoadCluster(uint32_t address, uint32_t rank, uint32_t bytes, void* out) {
  if (rank >= cluster_->blocks.size()) {
    scheduler_.Fail("load_cluster: rank %u in a cluster of %zu", rank, cluster_->blocks.size());
  }
  Block& there = *cluster_->blocks[rank];
  if (there.live_ == 0) scheduler_.Fail("load_cluster: block %u of the cluster has ended", rank);
  there.shared_.Load(address, bytes, out, "load_cluster");
}

void Block::Exit() {
  // The barrier counts threads that have not returned.
  Thread& own = threads_[thread()];
  if (own.at_cluster_barrier && own.cluster_phase == cluster_->phase) --cluster_->arrived;
  --live_;
  if (--cluster_->live > 0) TryCompleteCluster();
}

}  // namespace ladder::emulator
