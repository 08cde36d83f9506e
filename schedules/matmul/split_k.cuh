// Split-K without atomics on data: every block of an output tile stores its partial sums, and the last one to arrive
// adds them in the order of the splits, so that results never change from run to run.
#pragma once
#include "schedules/device/ptx.cuh"

namespace ladder {

// Counters at the start of the workspace (core/schedule/launch_spec.h states the same); partial sums follow.
inline constexpr int kCounterBytes = 64 * 1024;
inline constexpr int kMaxCounters = kCounterBytes / 4;

LADDER_DEVICE u8* split_partials(void* workspace) { return static_cast<u8*>(workspace) + kCounterBytes; }

// True in all threads of the last of `splits` blocks that arrive at `tile`, whose partial sums are then visible; false
// in the others. The last arriver leaves the counter zero. Called by the whole block, after its partial sums were
// stored; `flag` is a word of shared memory nobody else uses.
LADDER_DEVICE bool last_to_arrive(void* workspace, u32 tile, u32 splits, u32 flag) {
  u32* counter = static_cast<u32*>(workspace) + tile;
  block_sync();  // every thread's partial sums come before thread 0's release
  if (thread_id() == 0) {
    const u32 arrived = atomic_increment(counter) + 1;
    if (arrived == splits) store_global_u32(counter, 0);
    store_shared_u32(flag, arrived);
  }
  block_sync();
  return load_shared_u32(flag) == splits;
}

// The splits of a tile as blocks of one cluster: what is written to shared memory before is seen by all blocks after.
// Needed once before others' sums are read, and once before a block's own may go.
LADDER_DEVICE void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

}  // namespace ladder
