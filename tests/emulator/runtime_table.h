// What a kernel built for the emulator calls: a table of functions that the runtime hands to the shared object before
// it runs. A table, and no exported symbols, so that any program can load such an object however it was linked.
#ifndef LADDER_TESTS_EMULATOR_RUNTIME_TABLE_H_
#define LADDER_TESTS_EMULATOR_RUNTIME_TABLE_H_

namespace ladder::emulator {

// Types by number, those of 16 bits: what F16 and BF16 are at run time.
enum Type16 : int { kTypeF16 = 0, kTypeBF16 = 1 };
// And those of 8 bits. A matrix instruction takes two types: Both(a, b).
enum Type8 : int { kTypeE4M3 = 2, kTypeE5M2 = 3, kTypeI8 = 4, kTypeU8 = 5 };
constexpr int Both(int a, int b) { return a | b << 8; }

struct RuntimeTable {
  // Identity.
  unsigned (*thread_id)();
  unsigned (*block_id)();
  unsigned (*block_count)();
  unsigned (*dynamic_shared)();

  // Barriers, shuffles. sync: barrier 0 with 0 threads is the whole block.
  void (*sync)(unsigned id, unsigned threads);
  void (*arrive)(unsigned id, unsigned threads);
  void (*warp_sync)();
  unsigned (*shuffle)(unsigned value, unsigned lane, bool exclusive_or);
  bool (*elect_one)();

  // Memory: `bytes` is the access's size and alignment.
  void (*load_global)(const void* address, unsigned bytes, void* out);
  void (*store_global)(void* address, unsigned bytes, const void* in);
  unsigned (*atomic_increment)(void* counter);
  void (*load_shared)(unsigned address, unsigned bytes, void* out);
  void (*store_shared)(unsigned address, unsigned bytes, const void* in);

  // cp.async.
  void (*copy_async)(unsigned shared, const void* global, unsigned size, unsigned bytes);
  void (*copy_async_commit)();
  void (*copy_async_wait)(int pending);

  // Warp matrix.
  void (*load_matrix)(int count, unsigned* registers, unsigned address);
  // m16n8k16, or m16n8k32 of 8-bit types. Accumulators of integers are integers.
  void (*mma)(int types, void* c, const unsigned* a, unsigned b0, unsigned b1);

  // mbarrier, bulk copies, TMA.
  void (*barrier_init)(unsigned barrier, unsigned arrivals);
  void (*barrier_arrive)(unsigned barrier, bool expect, unsigned bytes);
  void (*barrier_wait)(unsigned barrier, unsigned parity);
  void (*copy_bulk)(unsigned shared, const void* global, unsigned bytes, unsigned barrier);
  void (*copy_tensor)(unsigned shared, const void* map, unsigned barrier, int column, int row);
  void (*fence_async_proxy)();

  // Clusters.
  unsigned (*cluster_rank)();
  void (*cluster_arrive)();
  void (*cluster_wait)();
  void (*load_cluster)(unsigned address, unsigned rank, unsigned bytes, void* out);

  // Warp group matrix. `a` is null when operand A comes from shared memory.
  void (*wgmma)(int types, int n, float* accumulators, const unsigned* a, unsigned long long a_descriptor,
                unsigned long long b_descriptor, unsigned accumulate);
  void (*wgmma_fence)();
  void (*wgmma_commit)();
  void (*wgmma_wait)(int pending);
  void (*set_registers)(int registers);

  // Programmatic dependent launch.
  void (*wait_for_previous)();

  // a * b + c and a - b of two 16-bit values each, rounded once; conversions, round to nearest even.
  unsigned (*fma2)(int type, unsigned a, unsigned b, unsigned c);
  unsigned (*sub2)(int type, unsigned a, unsigned b);
  float (*to_float)(int type, unsigned bits);
  unsigned (*from_float)(int type, float value);

  // Rounded to fp32 once or nearly so: well within what the hardware's approximations promise.
  float (*exp2)(float x);
  float (*reciprocal)(float x);
  float (*erf)(float x);
};

// Symbols of the shared object.
inline constexpr char kBindSymbol[] = "ladder_emulator_bind";                     // void(const RuntimeTable*)
inline constexpr char kCallSymbol[] = "ladder_emulator_call";                     // void(const void* arguments)
inline constexpr char kArgumentBytesSymbol[] = "ladder_emulator_argument_bytes";  // unsigned long()

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_RUNTIME_TABLE_H_
