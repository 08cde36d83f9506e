// The hardware primitives: everything a schedule does that C++ can't say. A schedule contains no inline assembly of its
// own, so the emulator needs host versions of these functions only (tests/emulator/primitives.h declares the same
// names). Shared memory is addressed by u32 (the shared window), as PTX does. Types are those of types.cuh.
#pragma once
#include "schedules/device/types.cuh"

namespace ladder {
// Whether there is e4m3_to_half2.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
inline constexpr bool kConvertsE4M3 = true;
#else
inline constexpr bool kConvertsE4M3 = false;
#endif
}  // namespace ladder

#if defined(__HIP__)
#include "schedules/device/hip.cuh"
#elif !defined(LADDER_EMULATOR)
namespace ladder {

// --- identity -------------------------------------------------------------------------------------------------------
LADDER_DEVICE u32 thread_id() { return threadIdx.x; }
LADDER_DEVICE u32 block_id() { return blockIdx.x; }
LADDER_DEVICE u32 block_count() { return gridDim.x; }
LADDER_DEVICE u32 lane_id() { return threadIdx.x & 31; }

// Start of dynamic shared memory in the shared window. Aligned to 16 bytes; align further by hand.
LADDER_DEVICE u32 dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char ladder_dynamic_shared[];
  return static_cast<u32>(__cvta_generic_to_shared(ladder_dynamic_shared));
}

// --- barriers and shuffles ------------------------------------------------------------------------------------------
LADDER_DEVICE void block_sync() { asm volatile("bar.sync 0;" ::: "memory"); }
// Named barrier `id` (1..15) among `threads` threads (a multiple of 32).
LADDER_DEVICE void named_sync(u32 id, u32 threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
LADDER_DEVICE void named_arrive(u32 id, u32 threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
LADDER_DEVICE void warp_sync() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }
LADDER_DEVICE u32 shuffle(u32 value, u32 lane) {
  u32 r;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(r) : "r"(value), "r"(lane));
  return r;
}
LADDER_DEVICE u32 shuffle_xor(u32 value, u32 mask) {
  u32 r;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(r) : "r"(value), "r"(mask));
  return r;
}
// The lanes that shuffle with each other, and the value of the lane so many further on: for reductions of any type to
// lane 0, by halves of kWarpLanes.
inline constexpr int kWarpLanes = 32;
template <class T>
LADDER_DEVICE T shuffle_down(T value, int lanes) {
  return __shfl_down_sync(0xffffffffu, value, lanes);
}
// True in exactly one lane of a converged warp.
LADDER_DEVICE bool elect_one() {
  u32 r;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(r));
  return r != 0;
}

// --- global memory --------------------------------------------------------------------------------------------------
// Weights: read once, so not kept in L1. `p` is 16-byte aligned. Not a .nc load, although weights are constant: ptxas
// is free to sink those below griddepcontrol.wait, and did, which gave away what issuing them before it gains.
LADDER_DEVICE Vec4 load_stream(const void* p) {
  Vec4 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
// The same for 8 and for 4 bytes.
LADDER_DEVICE Vec2 load_stream_v2(const void* p) {
  Vec2 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_stream_u32(const void* p) {
  u32 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
LADDER_DEVICE Vec4 load_global_v4(const void* p) {
  Vec4 v;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_global_u32(const void* p) {
  u32 v;
  asm volatile("ld.global.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_global_u16(const void* p) {
  u16 v;
  asm volatile("ld.global.u16 %0, [%1];" : "=h"(v) : "l"(p));
  return v;
}
// Read-only for the whole kernel (scales, zeros): may be hoisted and cached.
LADDER_DEVICE u32 load_constant_u32(const void* p) {
  u32 v;
  asm("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_constant_u16(const void* p) {
  u16 v;
  asm("ld.global.nc.u16 %0, [%1];" : "=h"(v) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_constant_u8(const void* p) {
  u32 v;
  asm("ld.global.nc.u8 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
LADDER_DEVICE u32 load_global_u8(const void* p) {
  u32 v;
  asm volatile("ld.global.u8 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
LADDER_DEVICE float load_constant_f32(const void* p) {
  float v;
  asm("ld.global.nc.f32 %0, [%1];" : "=f"(v) : "l"(p));
  return v;
}
LADDER_DEVICE void store_global_u16(void* p, u32 v) {
  asm volatile("st.global.u16 [%0], %1;" ::"l"(p), "h"((u16)v) : "memory");
}
LADDER_DEVICE void store_global_u32(void* p, u32 v) {
  asm volatile("st.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
LADDER_DEVICE void store_global_v4(void* p, Vec4 v) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
LADDER_DEVICE float load_global_f32(const void* p) {
  float v;
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(v) : "l"(p));
  return v;
}
LADDER_DEVICE void store_global_f32(void* p, float v) {
  asm volatile("st.global.f32 [%0], %1;" ::"l"(p), "f"(v) : "memory");
}
// Makes this thread's earlier global writes visible to the device before its later ones.
LADDER_DEVICE void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }
// Adds 1, returns the old value; ordered like a release of what came before and an acquire for what follows.
LADDER_DEVICE u32 atomic_increment(void* counter) {
  u32 old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(old) : "l"(counter) : "memory");
  return old;
}

// --- shared memory --------------------------------------------------------------------------------------------------
LADDER_DEVICE Vec4 load_shared_v4(u32 a) {
  Vec4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(a));
  return v;
}
LADDER_DEVICE Vec2 load_shared_v2(u32 a) {
  Vec2 v;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(a));
  return v;
}
LADDER_DEVICE u32 load_shared_u32(u32 a) {
  u32 v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(a));
  return v;
}
LADDER_DEVICE u32 load_shared_u16(u32 a) {
  u16 v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(a));
  return v;
}
LADDER_DEVICE u32 load_shared_u8(u32 a) {
  u32 v;
  asm volatile("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(a));
  return v;
}
LADDER_DEVICE float load_shared_f32(u32 a) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(a));
  return v;
}
LADDER_DEVICE void store_shared_v4(u32 a, Vec4 v) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(a), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
LADDER_DEVICE void store_shared_u32(u32 a, u32 v) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(a), "r"(v) : "memory");
}
LADDER_DEVICE void store_shared_u16(u32 a, u32 v) {
  asm volatile("st.shared.u16 [%0], %1;" ::"r"(a), "h"((u16)v) : "memory");
}
LADDER_DEVICE void store_shared_u8(u32 a, u32 v) { asm volatile("st.shared.u8 [%0], %1;" ::"r"(a), "r"(v) : "memory"); }
LADDER_DEVICE void store_shared_f32(u32 a, float v) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(a), "f"(v) : "memory");
}

// --- asynchronous copies, sm_80 -------------------------------------------------------------------------------------
// 16 bytes from global to shared; the last 16 - `bytes` are filled with zeros (bytes 0 or 16 here).
LADDER_DEVICE void copy_async_16(u32 shared, const void* global, u32 bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}
LADDER_DEVICE void copy_async_4(u32 shared, const void* global, u32 bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}
LADDER_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
LADDER_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// --- warp matrix, sm_80 ---------------------------------------------------------------------------------------------
// Four 8x8 matrices of 16-bit values; lane l gives the address of row l%8 of matrix l/8 (16-byte aligned).
LADDER_DEVICE void load_matrix_x4(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
LADDER_DEVICE void load_matrix_x2(u32 (&r)[2], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(address)
               : "memory");
}
// c[16x8] += a[16x16] * b[16x8], fp32 accumulation. Fragments as in the PTX manual, mma.m16n8k16.
LADDER_DEVICE void mma_16816(F16, float (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
LADDER_DEVICE void mma_16816(BF16, float (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// c[16x8] += a[16x32] * b[32x8] of 8-bit values: the same fragments in bytes, lanes holding four columns where those of
// 16 bits hold two. fp8 needs sm_89.
LADDER_DEVICE void mma_16832(I8, I8, int (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
LADDER_DEVICE void mma_16832(U8, I8, int (&c)[4], const u32 (&a)[4], const u32 b0, const u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#define LADDER_MMA_FP8(A, B, a_name, b_name)                                                       \
  LADDER_DEVICE void mma_16832(A, B, float(&c)[4], const u32(&a)[4], const u32 b0, const u32 b1) { \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.f32." a_name "." b_name                        \
                 ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                      \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                  \
  }
LADDER_MMA_FP8(E4M3, E4M3, "e4m3", "e4m3")
LADDER_MMA_FP8(E4M3, E5M2, "e4m3", "e5m2")
LADDER_MMA_FP8(E5M2, E4M3, "e5m2", "e4m3")
LADDER_MMA_FP8(E5M2, E5M2, "e5m2", "e5m2")
#undef LADDER_MMA_FP8

// --- mbarrier, bulk copies and TMA, sm_90 ---------------------------------------------------------------------------
LADDER_DEVICE void barrier_init(u32 barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
LADDER_DEVICE void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
LADDER_DEVICE void barrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives and announces `bytes` that asynchronous copies will deliver in this phase.
LADDER_DEVICE void barrier_arrive_expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Waits until the phase of that parity has completed. A fresh barrier passes a wait for parity 1 at once.
LADDER_DEVICE void barrier_wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n.reg .pred p;\nLADDER_WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra LADDER_DONE;\n"
      "bra LADDER_WAIT;\nLADDER_DONE:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
// Contiguous bytes from global to shared, signalled on the barrier; all three multiples of 16. Streamed through L2.
LADDER_DEVICE void copy_bulk(u32 shared, const void* global, u32 bytes, u32 barrier) {
  u64 policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::
          "r"(shared),
      "l"(global), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}
// The same for data that other blocks read again (scales).
LADDER_DEVICE void copy_bulk_keep(u32 shared, const void* global, u32 bytes, u32 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}
// A box of the tensor map at (column, row), zeros outside the tensor; the box's whole size counts on the barrier.
LADDER_DEVICE void copy_tensor_2d(u32 shared, const TensorMap* map, u32 barrier, int column, int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          shared),
      "l"(map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}
LADDER_DEVICE void prefetch_tensor_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// --- clusters, sm_90: blocks that run together and read each other's shared memory -----------------------------------
// This block's number within its cluster.
LADDER_DEVICE u32 cluster_rank() {
  u32 r;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}
// A barrier among all threads of the cluster that have not returned, in two halves: what a thread wrote before it
// arrived is seen by every thread after its wait. Also needed before a block returns whose memory others read.
LADDER_DEVICE void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }
LADDER_DEVICE void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
// What lies at this shared address in block `rank` of the cluster.
LADDER_DEVICE Vec4 load_cluster_v4(u32 a, u32 rank) {
  Vec4 v;
  asm volatile(
      "{\n.reg .u32 there;\nmapa.shared::cluster.u32 there, %4, %5;\n"
      "ld.shared::cluster.v4.u32 {%0, %1, %2, %3}, [there];\n}"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "r"(a), "r"(rank));
  return v;
}

// Orders this thread's ordinary shared-memory accesses before later asynchronous ones (TMA, wgmma).
LADDER_DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// --- warp group matrix, sm_90a --------------------------------------------------------------------------------------
// The multiplying instruction itself depends on N and comes with the generated source: see
// schedules/matmul/wgmma_instruction.h.
LADDER_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
LADDER_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
LADDER_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
template <int kRegisters>
LADDER_DEVICE void registers_increase() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
LADDER_DEVICE void registers_decrease() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// --- programmatic dependent launch, sm_90 (nothing elsewhere) -------------------------------------------------------
// The next kernel of the stream may start; what it may not touch yet is behind its own wait.
LADDER_DEVICE void launch_dependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Everything the kernels before wrote is visible after this. Weights, scales and zeros are constants and may be read
// earlier.
LADDER_DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// --- bits and 16-bit arithmetic -------------------------------------------------------------------------------------
// (a & mask) | bits in one instruction.
template <u32 kMask, u32 kBits>
LADDER_DEVICE u32 and_or(u32 a) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(a), "n"(kMask), "n"(kBits));
  return r;
}
// The same with what only the optimiser knows to be constant, and (a & mask) ^ bits. In C++ each became two operations
// where both are constants, as an instruction takes one immediate.
LADDER_DEVICE u32 and_or(u32 a, u32 mask, u32 bits) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(a), "r"(mask), "r"(bits));
  return r;
}
LADDER_DEVICE u32 and_xor(u32 a, u32 mask, u32 bits) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(r) : "r"(a), "r"(mask), "r"(bits));
  return r;
}
LADDER_DEVICE u32 byte_permute(u32 a, u32 b, u32 selector) {
  u32 r;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
  return r;
}
LADDER_DEVICE u32 sub2(F16, u32 a, u32 b) {
  u32 r;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
// bf16x2 add and multiply need sm_90; sm_80 has the fused form only, which rounds the same when one step is exact.
LADDER_DEVICE u32 fma2(F16, u32 a, u32 b, u32 c) {
  u32 r;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
LADDER_DEVICE u32 fma2(BF16, u32 a, u32 b, u32 c) {
  u32 r;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
LADDER_DEVICE u32 sub2(BF16, u32 a, u32 b) { return fma2(BF16{}, b, 0xbf80bf80u, a); }  // a - 1 * b
LADDER_DEVICE u32 mul2(F16, u32 a, u32 b) {
  u32 r;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
LADDER_DEVICE u32 mul2(BF16, u32 a, u32 b) { return fma2(BF16{}, a, b, 0x80008000u); }  // a * b + -0
LADDER_DEVICE float to_float(F16, u32 bits) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"((u16)bits));
  return f;
}
LADDER_DEVICE float to_float(BF16, u32 bits) { return __uint_as_float(bits << 16); }
LADDER_DEVICE u32 from_float(F16, float f) {
  u16 r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(f));
  return r;
}
LADDER_DEVICE u32 from_float(BF16, float f) {
  u16 r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(f));
  return r;
}
LADDER_DEVICE u32 from_float2(F16, float low, float high) {
  u32 r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
LADDER_DEVICE u32 from_float2(BF16, float low, float high) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// The two e4m3 values of the lower half, the first in the lowest byte, as fp16: exact. sm_89.
LADDER_DEVICE u32 e4m3_to_half2(u32 pair) {
  u32 r;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(r) : "h"((u16)pair));
  return r;
}
// 2^x: relative error at most 2^-22, subnormal results flushed to zero (PTX manual, ex2.approx.ftz.f32).
LADDER_DEVICE float exp2_approx(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
// 1 / x: at most 1 ulp, a relative error of 2^-23; infinity gives zero (PTX manual, rcp.approx.ftz.f32).
LADDER_DEVICE float reciprocal_approx(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
// The error function: at most 2 ulp (CUDA C++ Programming Guide, erff).
LADDER_DEVICE float error_function(float x) { return erff(x); }
LADDER_DEVICE u32 float_bits(float f) { return __float_as_uint(f); }
LADDER_DEVICE float bits_float(u32 u) { return __uint_as_float(u); }

}  // namespace ladder
#endif  // __HIP__, LADDER_EMULATOR
