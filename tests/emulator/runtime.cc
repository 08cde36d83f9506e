#include "tests/emulator/runtime.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/emulator/arithmetic.h"
#include "tests/emulator/block.h"

namespace ladder::emulator {
namespace {

constexpr int kConcurrentBlocks = 4;

// The blocks that the calling host thread runs, and the one whose thread is at work.
struct Wave {
  Scheduler& scheduler;
  int threads;
  std::vector<std::unique_ptr<Block>> blocks;
};
thread_local Wave* wave;

Block* Now() { return wave->blocks[wave->scheduler.current() / wave->threads].get(); }

const char* AccessName(unsigned bytes, const char* v4, const char* v2, const char* u32, const char* u16,
                       const char* u8) {
  return bytes == 16 ? v4 : bytes == 8 ? v2 : bytes == 4 ? u32 : bytes == 2 ? u16 : u8;
}

void LoadGlobal(const void* address, unsigned bytes, void* out) {
  Now()->scheduler().MaybeYield();
  Now()->global().Check(
      address, bytes, bytes, false,
      AccessName(bytes, "load_global_v4", "load_stream_v2", "load_global_u32", "load_global_u16", "load_global_u8"));
  std::memcpy(out, address, bytes);
}

void StoreGlobal(void* address, unsigned bytes, const void* in) {
  Now()->scheduler().MaybeYield();
  Now()->global().Check(address, bytes, bytes, true,
                        AccessName(bytes, "store_global_v4", "store_global_v2", "store_global_u32", "store_global_u16",
                                   "store_global_u8"));
  std::memcpy(address, in, bytes);
}

unsigned AtomicIncrement(void* counter) {
  Now()->scheduler().MaybeYield();
  Now()->global().Check(counter, 4, 4, true, "atomic_increment");
  unsigned value;
  std::memcpy(&value, counter, 4);
  const unsigned next = value + 1;
  std::memcpy(counter, &next, 4);
  return value;
}

void LoadShared(unsigned address, unsigned bytes, void* out) {
  Now()->scheduler().MaybeYield();
  Now()->shared().Load(
      address, bytes, out,
      AccessName(bytes, "load_shared_v4", "load_shared_v2", "load_shared_u32", "load_shared_u16", "load_shared_u8"));
}

void StoreShared(unsigned address, unsigned bytes, const void* in) {
  Now()->scheduler().MaybeYield();
  Now()->shared().Store(address, bytes, in,
                        AccessName(bytes, "store_shared_v4", "store_shared_v2", "store_shared_u32", "store_shared_u16",
                                   "store_shared_u8"));
}

constexpr RuntimeTable kTable = {
    .thread_id = [] { return static_cast<unsigned>(Now()->thread()); },
    .block_id = [] { return static_cast<unsigned>(Now()->id()); },
    .block_count = [] { return static_cast<unsigned>(Now()->launch().blocks); },
    .dynamic_shared = [] { return unsigned{SharedMemory::kBase}; },
    .sync = [](unsigned id, unsigned threads) { Now()->Sync(id, threads); },
    .arrive = [](unsigned id, unsigned threads) { Now()->Arrive(id, threads); },
    .warp_sync = [] { Now()->WarpSync(); },
    .shuffle = [](unsigned value, unsigned lane,
                  bool exclusive_or) { return Now()->Shuffle(value, lane, exclusive_or); },
    .elect_one = [] { return Now()->ElectOne(); },
    .load_global = LoadGlobal,
    .store_global = StoreGlobal,
    .atomic_increment = AtomicIncrement,
    .load_shared = LoadShared,
    .store_shared = StoreShared,
    .copy_async = [](unsigned shared, const void* global, unsigned size,
                     unsigned bytes) { Now()->CopyAsync(shared, global, size, bytes); },
    .copy_async_commit = [] { Now()->CopyAsyncCommit(); },
    .copy_async_wait = [](int pending) { Now()->CopyAsyncWait(pending); },
    .load_matrix = [](int count, unsigned* registers,
                      unsigned address) { Now()->LoadMatrix(count, registers, address); },
    .mma = [](int types, void* c, const unsigned* a, unsigned b0, unsigned b1) { Now()->Mma(types, c, a, b0, b1); },
    .barrier_init = [](unsigned barrier, unsigned arrivals) { Now()->BarrierInit(barrier, arrivals); },
    .barrier_arrive = [](unsigned barrier, bool expect,
                         unsigned bytes) { Now()->BarrierArrive(barrier, expect ? bytes : 0); },
    .barrier_wait = [](unsigned barrier, unsigned parity) { Now()->BarrierWait(barrier, parity); },
    .copy_bulk = [](unsigned shared, const void* global, unsigned bytes,
                    unsigned barrier) { Now()->CopyBulk(shared, global, bytes, barrier); },
    .copy_tensor = [](unsigned shared, const void* map, unsigned barrier, int column,
                      int row) { Now()->CopyTensor(shared, map, barrier, column, row); },
    .fence_async_proxy = [] { Now()->shared().FenceAsyncProxy(); },
    .cluster_rank = [] { return Now()->ClusterRank(); },
    .cluster_arrive =
        [] {
          Now()->scheduler().MaybeYield();
          Now()->ClusterArrive();
        },
    .cluster_wait = [] { Now()->ClusterWait(); },
    .load_cluster =
        [](unsigned address, unsigned rank, unsigned bytes, void* out) {
          Now()->scheduler().MaybeYield();
          Now()->LoadCluster(address, rank, bytes, out);
        },
    .wgmma =
        [](int types, int n, float* accumulators, const unsigned* a, unsigned long long a_descriptor,
           unsigned long long b_descriptor, unsigned accumulate) {
          Now()->IssueWgmma(types, n, accumulators, a, a_descriptor, b_descriptor, accumulate);
        },
    .wgmma_fence = [] { Now()->WgmmaFence(); },
    .wgmma_commit = [] { Now()->WgmmaCommit(); },
    .wgmma_wait = [](int pending) { Now()->WgmmaWait(pending); },
    .set_registers = [](int registers) { Now()->SetRegisters(registers); },
    .wait_for_previous = [] { Now()->global().WaitForPrevious(); },
    .fma2 = Fma2,
    .sub2 = Sub2,
    .to_float = [](int type, unsigned bits) { return ToFloat(type, static_cast<uint16_t>(bits)); },
    .from_float = [](int type, float value) { return unsigned{RoundToType(type, value)}; },
    .exp2 = [](float x) { return std::exp2(x); },
    .reciprocal = [](float x) { return 1.0f / x; },
    .erf = [](float x) { return std::erf(x); },
};

}  // namespace

const RuntimeTable& Runtime() { return kTable; }

absl::Status EncodeTensorMap(const TensorMapContents& contents, TensorMap& map) {
  if (reinterpret_cast<uintptr_t>(contents.base) % 16 != 0) {
    return absl::InvalidArgumentError("tensor map: the base address is not a multiple of 16");
  }
  if (contents.columns * 2 % 16 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor map: rows of ", contents.columns * 2, " bytes, where a multiple of 16 is needed"));
  }
  if (contents.rows < 1 || contents.columns < 1 || contents.box_rows < 1 || contents.box_rows > 256 ||
      contents.box_columns < 1 || contents.box_columns > 256 || contents.box_columns * 2 % 16 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("tensor map: ", contents.rows, " x ", contents.columns,
                                                   " with a box of ", contents.box_rows, " x ", contents.box_columns));
  }
  if (contents.swizzle_bytes != 0 && contents.box_columns * 2 != contents.swizzle_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("tensor map: a box ", contents.box_columns * 2,
                                                   " bytes wide under a ", contents.swizzle_bytes, "-byte swizzle"));
  }
  static_assert(sizeof(TensorMapContents) <= sizeof(TensorMap));
  std::memcpy(&map, &contents, sizeof(contents));
  return absl::OkStatus();
}

absl::Status Execute(const Launch& launch, void (*call)(const void*), const void* arguments) {
  if (launch.threads < 32 || launch.threads > 1024 || launch.threads % 32 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("blocks of ", launch.threads, " threads"));
  }
  if (launch.cluster < 1 || launch.cluster > 16 || launch.blocks % launch.cluster != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(launch.blocks, " blocks in clusters of ", launch.cluster, ": not a multiple"));
  }
  // With a seed a few blocks run at the same time, so that what they share (split-K) is seen half-done by others. The
  // blocks of a cluster always do.
  const int64_t together = std::min<int64_t>(launch.blocks, launch.seed == 0 ? 1 : kConcurrentBlocks);
  const int width = static_cast<int>((together + launch.cluster - 1) / launch.cluster * launch.cluster);
  Scheduler scheduler(launch.threads, width, launch.seed);
  Wave own{scheduler, launch.threads, {}};
  for (int slot = 0; slot < width; ++slot) own.blocks.push_back(std::make_unique<Block>(launch, scheduler, slot));
  Wave* const outer = wave;
  wave = &own;
  struct Kernel {
    void (*call)(const void*);
    const void* arguments;
  } kernel{call, arguments};
  absl::Status status;
  for (int64_t first = 0; first < launch.blocks && status.ok(); first += width) {
    std::vector<int64_t> ids;
    std::vector<Cluster> clusters(width / launch.cluster);
    for (Cluster& cluster : clusters) cluster.blocks.resize(launch.cluster);
    for (int64_t i = first; i < std::min(first + width, launch.blocks); ++i) {
      // Any order is legal: a seed picks forwards or backwards.
      ids.push_back(launch.seed & 1 ? launch.blocks - 1 - i : i);
      Block& block = *own.blocks[i - first];
      Cluster& cluster = clusters[(i - first) / launch.cluster];
      block.Start(ids.back(), cluster);
      cluster.blocks[block.ClusterRank()] = &block;
      cluster.live += launch.threads;
    }
    status = scheduler.Run(
        ids,
        [](void* p) {
          const Kernel& kernel = *static_cast<Kernel*>(p);
          kernel.call(kernel.arguments);
          Now()->Exit();
        },
        &kernel);
    for (size_t slot = 0; slot < ids.size() && status.ok(); ++slot) {
      const std::string leftovers = own.blocks[slot]->Leftovers();
      if (!leftovers.empty())
        status = absl::FailedPreconditionError(absl::StrCat("block ", ids[slot], ", ", leftovers));
    }
  }
  wave = outer;
  return status;
}

}  // namespace ladder::emulator
