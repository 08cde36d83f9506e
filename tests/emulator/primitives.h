// Host versions of schedules/device/ptx.cuh, for kernels that the host compiler builds. types.cuh includes this file at
// its end when LADDER_EMULATOR names it. Every function calls the runtime through its table: this header stays small
// because every kernel of every test parses it.
#pragma once
#include "tests/emulator/runtime_table.h"

#define LADDER_DEVICE __attribute__((always_inline)) inline
#define LADDER_KERNEL extern "C"
#define LADDER_LAUNCH_BOUNDS(threads, blocks)
#define LADDER_GRID_CONSTANT
#define LADDER_CONSTANT static

namespace ladder {
namespace emulator {

static const RuntimeTable* runtime;

constexpr int TypeOf(F16) { return kTypeF16; }
constexpr int TypeOf(BF16) { return kTypeBF16; }
constexpr int TypeOf(E4M3) { return kTypeE4M3; }
constexpr int TypeOf(E5M2) { return kTypeE5M2; }
constexpr int TypeOf(I8) { return kTypeI8; }
constexpr int TypeOf(U8) { return kTypeU8; }
template <class A, class B>
constexpr int TypesOf(A, B) {
  return Both(TypeOf(A{}), TypeOf(B{}));
}

template <class T>
LADDER_DEVICE T LoadGlobal(const void* p) {
  T v;
  runtime->load_global(p, sizeof(T), &v);
  return v;
}
template <class T>
LADDER_DEVICE void StoreGlobal(void* p, T v) {
  runtime->store_global(p, sizeof(T), &v);
}
template <class T>
LADDER_DEVICE T LoadShared(u32 a) {
  T v;
  runtime->load_shared(a, sizeof(T), &v);
  return v;
}
template <class T>
LADDER_DEVICE void StoreShared(u32 a, T v) {
  runtime->store_shared(a, sizeof(T), &v);
}

template <class T>
LADDER_DEVICE T LoadCluster(u32 a, u32 rank) {
  T v;
  runtime->load_cluster(a, rank, sizeof(T), &v);
  return v;
}

// Calls a kernel, whichever structure it takes by value.
template <class Arguments>
void Call(void (*kernel)(Arguments), const void* arguments) {
  kernel(*static_cast<const Arguments*>(arguments));
}
template <class Arguments>
constexpr unsigned long ArgumentBytes(void (*)(Arguments)) {
  return sizeof(Arguments);
}

}  // namespace emulator

// --- identity
LADDER_DEVICE u32 thread_id() { return emulator::runtime->thread_id(); }
LADDER_DEVICE u32 block_id() { return emulator::runtime->block_id(); }
LADDER_DEVICE u32 block_count() { return emulator::runtime->block_count(); }
LADDER_DEVICE u32 lane_id() { return emulator::runtime->thread_id() & 31; }
LADDER_DEVICE u32 dynamic_shared() { return emulator::runtime->dynamic_shared(); }

// --- barriers and shuffles
LADDER_DEVICE void block_sync() { emulator::runtime->sync(0, 0); }
LADDER_DEVICE void named_sync(u32 id, u32 threads) { emulator::runtime->sync(id, threads); }
LADDER_DEVICE void named_arrive(u32 id, u32 threads) { emulator::runtime->arrive(id, threads); }
LADDER_DEVICE void warp_sync() { emulator::runtime->warp_sync(); }
LADDER_DEVICE u32 shuffle(u32 value, u32 lane) { return emulator::runtime->shuffle(value, lane, false); }
LADDER_DEVICE u32 shuffle_xor(u32 value, u32 mask) { return emulator::runtime->shuffle(value, mask, true); }
LADDER_DEVICE bool elect_one() { return emulator::runtime->elect_one(); }

// --- global memory
LADDER_DEVICE Vec4 load_stream(const void* p) { return emulator::LoadGlobal<Vec4>(p); }
LADDER_DEVICE Vec2 load_stream_v2(const void* p) { return emulator::LoadGlobal<Vec2>(p); }
LADDER_DEVICE u32 load_stream_u32(const void* p) { return emulator::LoadGlobal<u32>(p); }
LADDER_DEVICE Vec4 load_global_v4(const void* p) { return emulator::LoadGlobal<Vec4>(p); }
LADDER_DEVICE u32 load_global_u32(const void* p) { return emulator::LoadGlobal<u32>(p); }
LADDER_DEVICE u32 load_global_u16(const void* p) { return emulator::LoadGlobal<u16>(p); }
LADDER_DEVICE u32 load_constant_u32(const void* p) { return emulator::LoadGlobal<u32>(p); }
LADDER_DEVICE u32 load_constant_u16(const void* p) { return emulator::LoadGlobal<u16>(p); }
LADDER_DEVICE u32 load_constant_u8(const void* p) { return emulator::LoadGlobal<u8>(p); }
LADDER_DEVICE u32 load_global_u8(const void* p) { return emulator::LoadGlobal<u8>(p); }
LADDER_DEVICE float load_constant_f32(const void* p) { return emulator::LoadGlobal<float>(p); }
LADDER_DEVICE float load_global_f32(const void* p) { return emulator::LoadGlobal<float>(p); }
LADDER_DEVICE void store_global_u16(void* p, u32 v) { emulator::StoreGlobal(p, static_cast<u16>(v)); }
LADDER_DEVICE void store_global_u32(void* p, u32 v) { emulator::StoreGlobal(p, v); }
LADDER_DEVICE void store_global_v4(void* p, Vec4 v) { emulator::StoreGlobal(p, v); }
LADDER_DEVICE void store_global_f32(void* p, float v) { emulator::StoreGlobal(p, v); }
LADDER_DEVICE void fence_device() {}
LADDER_DEVICE u32 atomic_increment(void* counter) { return emulator::runtime->atomic_increment(counter); }

// --- shared memory
LADDER_DEVICE Vec4 load_shared_v4(u32 a) { return emulator::LoadShared<Vec4>(a); }
LADDER_DEVICE Vec2 load_shared_v2(u32 a) { return emulator::LoadShared<Vec2>(a); }
LADDER_DEVICE u32 load_shared_u32(u32 a) { return emulator::LoadShared<u32>(a); }
LADDER_DEVICE u32 load_shared_u16(u32 a) { return emulator::LoadShared<u16>(a); }
LADDER_DEVICE u32 load_shared_u8(u32 a) { return emulator::LoadShared<u8>(a); }
LADDER_DEVICE float load_shared_f32(u32 a) { return emulator::LoadShared<float>(a); }
LADDER_DEVICE void store_shared_v4(u32 a, Vec4 v) { emulator::StoreShared(a, v); }
LADDER_DEVICE void store_shared_u32(u32 a, u32 v) { emulator::StoreShared(a, v); }
LADDER_DEVICE void store_shared_u16(u32 a, u32 v) { emulator::StoreShared(a, static_cast<u16>(v)); }
LADDER_DEVICE void store_shared_u8(u32 a, u32 v) { emulator::StoreShared(a, static_cast<u8>(v)); }
LADDER_DEVICE void store_shared_f32(u32 a, float v) { emulator::StoreShared(a, v); }

// --- asynchronous copies, sm_80
LADDER_DEVICE void copy_async_16(u32 shared, const void* global, u32 bytes) {
  emulator::runtime->copy_async(shared, global, 16, bytes);
}
LADDER_DEVICE void copy_async_4(u32 shared, const void* global, u32 bytes) {
  emulator::runtime->copy_async(shared, global, 4, bytes);
}
LADDER_DEVICE void copy_async_commit() { emulator::runtime->copy_async_commit(); }
template <int kPending>
LADDER_DEVICE void copy_async_wait() {
  emulator::runtime->copy_async_wait(kPending);
}

// --- warp matrix, sm_80
LADDER_DEVICE void load_matrix_x4(u32 (&r)[4], u32 address) { emulator::runtime->load_matrix(4, r, address); }
LADDER_DEVICE void load_matrix_x2(u32 (&r)[2], u32 address) { emulator::runtime->load_matrix(2, r, address); }
template <class Compute>
LADDER_DEVICE void mma_16816(Compute, float (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  emulator::runtime->mma(emulator::TypesOf(Compute{}, Compute{}), c, a, b0, b1);
}
template <class A, class B>
LADDER_DEVICE void mma_16832(A, B, typename SumOf<B>::Type (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  emulator::runtime->mma(emulator::TypesOf(A{}, B{}), c, a, b0, b1);
}

// --- mbarrier, bulk copies and TMA, sm_90
LADDER_DEVICE void barrier_init(u32 barrier, u32 arrivals) { emulator::runtime->barrier_init(barrier, arrivals); }
LADDER_DEVICE void barrier_init_fence() {}
LADDER_DEVICE void barrier_arrive(u32 barrier) { emulator::runtime->barrier_arrive(barrier, false, 0); }
LADDER_DEVICE void barrier_arrive_expect(u32 barrier, u32 bytes) {
  emulator::runtime->barrier_arrive(barrier, true, bytes);
}
LADDER_DEVICE void barrier_wait(u32 barrier, u32 parity) { emulator::runtime->barrier_wait(barrier, parity); }
LADDER_DEVICE void copy_bulk(u32 shared, const void* global, u32 bytes, u32 barrier) {
  emulator::runtime->copy_bulk(shared, global, bytes, barrier);
}
LADDER_DEVICE void copy_bulk_keep(u32 shared, const void* global, u32 bytes, u32 barrier) {
  emulator::runtime->copy_bulk(shared, global, bytes, barrier);
}
LADDER_DEVICE void copy_tensor_2d(u32 shared, const TensorMap* map, u32 barrier, int column, int row) {
  emulator::runtime->copy_tensor(shared, map, barrier, column, row);
}
LADDER_DEVICE void prefetch_tensor_map(const TensorMap*) {}
LADDER_DEVICE void fence_async_proxy() { emulator::runtime->fence_async_proxy(); }

// --- clusters, sm_90
LADDER_DEVICE u32 cluster_rank() { return emulator::runtime->cluster_rank(); }
LADDER_DEVICE void cluster_arrive() { emulator::runtime->cluster_arrive(); }
LADDER_DEVICE void cluster_wait() { emulator::runtime->cluster_wait(); }
LADDER_DEVICE Vec4 load_cluster_v4(u32 a, u32 rank) { return emulator::LoadCluster<Vec4>(a, rank); }

// --- warp group matrix, sm_90a
LADDER_DEVICE void wgmma_fence() { emulator::runtime->wgmma_fence(); }
LADDER_DEVICE void wgmma_commit() { emulator::runtime->wgmma_commit(); }
template <int kPending>
LADDER_DEVICE void wgmma_wait() {
  emulator::runtime->wgmma_wait(kPending);
}
template <int kRegisters>
LADDER_DEVICE void registers_increase() {
  emulator::runtime->set_registers(kRegisters);
}
template <int kRegisters>
LADDER_DEVICE void registers_decrease() {
  emulator::runtime->set_registers(kRegisters);
}

// --- programmatic dependent launch, sm_90
LADDER_DEVICE void launch_dependents() {}
LADDER_DEVICE void wait_for_previous() { emulator::runtime->wait_for_previous(); }

// --- bits and 16-bit arithmetic
LADDER_DEVICE u32 and_or(u32 a, u32 mask, u32 bits) { return (a & mask) | bits; }
LADDER_DEVICE u32 and_xor(u32 a, u32 mask, u32 bits) { return (a & mask) ^ bits; }
template <u32 kMask, u32 kBits>
LADDER_DEVICE u32 and_or(u32 a) {
  return (a & kMask) | kBits;
}
inline u32 byte_permute(u32 a, u32 b, u32 selector) {
  const u64 bytes = static_cast<u64>(b) << 32 | a;
  u32 result = 0;
  for (int i = 0; i < 4; i++) {
    const u32 pick = selector >> (4 * i) & 0xf;  // bit 3: the byte's sign, eight times
    const u32 byte = static_cast<u32>(bytes >> (8 * (pick & 7))) & 0xff;
    result |= ((pick & 8) ? ((byte & 0x80) ? 0xffu : 0u) : byte) << (8 * i);
  }
  return result;
}
LADDER_DEVICE u32 float_bits(float f) { return __builtin_bit_cast(u32, f); }
LADDER_DEVICE float bits_float(u32 u) { return __builtin_bit_cast(float, u); }
template <class Compute>
LADDER_DEVICE u32 sub2(Compute, u32 a, u32 b) {
  return emulator::runtime->sub2(emulator::TypeOf(Compute{}), a, b);
}
template <class Compute>
LADDER_DEVICE u32 fma2(Compute, u32 a, u32 b, u32 c) {
  return emulator::runtime->fma2(emulator::TypeOf(Compute{}), a, b, c);
}
template <class Compute>
LADDER_DEVICE u32 mul2(Compute, u32 a, u32 b) {
  return emulator::runtime->fma2(emulator::TypeOf(Compute{}), a, b, 0x80008000u);  // a * b + -0
}
template <class Compute>
LADDER_DEVICE float to_float(Compute, u32 bits) {
  return emulator::runtime->to_float(emulator::TypeOf(Compute{}), bits);
}
template <class Compute>
LADDER_DEVICE u32 from_float(Compute, float f) {
  return emulator::runtime->from_float(emulator::TypeOf(Compute{}), f);
}
template <class Compute>
LADDER_DEVICE u32 from_float2(Compute, float low, float high) {
  return from_float(Compute{}, low) | from_float(Compute{}, high) << 16;
}
LADDER_DEVICE u32 e4m3_to_half2(u32 pair) {
  u32 half = 0;
  for (int i = 0; i < 2; i++) {
    const u32 code = pair >> (8 * i) & 0xff, exponent = code >> 3 & 15, mantissa = code & 7;
    // 2^(exponent - 10) by its bits in fp32.
    const float power = bits_float((exponent == 0 ? 127 - 9 : exponent + 127 - 10) << 23);
    const u32 magnitude = from_float(F16{}, power * static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa));
    half |= ((code & 0x7f) == 0x7f ? 0x7fffu : magnitude | (code & 0x80) << 8) << (16 * i);
  }
  return half;
}
LADDER_DEVICE float exp2_approx(float x) { return emulator::runtime->exp2(x); }
LADDER_DEVICE float reciprocal_approx(float x) { return emulator::runtime->reciprocal(x); }
LADDER_DEVICE float error_function(float x) { return emulator::runtime->erf(x); }

}  // namespace ladder
