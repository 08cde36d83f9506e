// The warp group matrix instruction with its operands from registers and from shared memory, four k16 steps in two
// groups. x: 64 x 64 values, w: kN x 64 values, row-major. kN / 2 floats out a thread.
#pragma once
#include "ladder/wgmma_instruction.cuh"
#include "tests/emulator/primitive_kernels.cuh"

namespace ladder {

template <class T, int kN, bool kRegisters>
LADDER_DEVICE void wgmma_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 tile_a = (dynamic_shared() + 1023) & ~1023u, tile_b = tile_a + 8192;
  stage_tile(tile_a, p.x, 64);
  stage_tile(tile_b, p.w, kN);
  fence_async_proxy();
  block_sync();
  u32 a[4][4];
#pragma unroll
  for (int s = 0; s < 4; s++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const u32 row = 16 * (t / 32) + t % 32 / 4 + 8 * (i & 1), column = 16 * s + 2 * (t % 4) + 8 * (i >> 1);
      a[s][i] = load_global_u32(words(p.x) + (row * 64 + column) / 2);
    }
  }
  float acc[kN / 2];
  wgmma_fence();
#pragma unroll
  for (int s = 0; s < 4; s++) {
    const u64 b = wgmma_descriptor(tile_b) + wgmma_descriptor_step(32 * s);
    if constexpr (kRegisters) {
      wgmma_rs<T, kN>(acc, a[s], b, s > 0);
    } else {
      wgmma_ss<T, T, kN>(acc, wgmma_descriptor(tile_a) + wgmma_descriptor_step(32 * s), b, s > 0);
    }
    if (s % 2) wgmma_commit();
  }
  wgmma_wait<0>();
  put_accumulators<kN>(p, acc);
}

// The same of 8-bit types: 64 x 128 and kN x 128 values.
template <class A, class B, int kN, bool kRegisters>
LADDER_DEVICE void wgmma8_kernel(const MatmulArguments& p) {
  const u32 tile_a = (dynamic_shared() + 1023) & ~1023u, tile_b = tile_a + 8192;
  stage_tile(tile_a, p.x, 64);
  stage_tile(tile_b, p.w, kN);
  fence_async_proxy();
  block_sync();
  const u32 t = thread_id();
  u32 a[4][4];
#pragma unroll
  for (int s = 0; s < 4; s++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const u32 row = 16 * (t / 32) + t % 32 / 4 + 8 * (i & 1), column = 32 * s + 4 * (t % 4) + 16 * (i >> 1);
      a[s][i] = load_global_u32(words(p.x) + (row * 128 + column) / 4);
    }
  }
  typename SumOf<B>::Type acc[kN / 2];
  wgmma_fence();
#pragma unroll
  for (int s = 0; s < 4; s++) {
    const u64 b = wgmma_descriptor(tile_b) + wgmma_descriptor_step(32 * s);
    if constexpr (kRegisters) {
      wgmma_rs<A, B, kN>(acc, a[s], b, s > 0);
    } else {
      wgmma_ss<A, B, kN>(acc, wgmma_descriptor(tile_a) + wgmma_descriptor_step(32 * s), b, s > 0);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
  put_accumulators<kN>(p, acc);
}

}  // namespace ladder
