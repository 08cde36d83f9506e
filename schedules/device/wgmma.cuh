// Shared-memory descriptors of the warp group matrix instructions.
//
// Operands are K-major tiles of 128 bytes a row (64 columns of 16 bits, 128 of 8) with the 128-byte swizzle that TMA
// writes: the 16-byte chunk c of row r lies at r * 128 + ((c ^ (r & 7)) << 4). A tile starts at a multiple of 1,024
// bytes; the swizzle is a function of the address, so the next step (k16, or k32 of 8 bits) is the start address + 32
// and the next 64 rows are + 8,192.
#pragma once
#include "schedules/device/ptx.cuh"

namespace ladder {

// Descriptor fields: bits 0-13 address >> 4; 16-29 leading offset >> 4 (1: unused when swizzled); 32-45 stride between
// groups of 8 rows >> 4 (1,024 bytes); 62-63 swizzle (1: 128 bytes).
LADDER_DEVICE u32 wgmma_descriptor_low(u32 shared) { return ((shared & 0x3ffffu) >> 4) | (1u << 16); }
// From the low half, which alone depends on the address: moving it is one 32-bit addition.
LADDER_DEVICE u64 wgmma_descriptor_of(u32 low) { return static_cast<u64>(low) | (64ull << 32) | (1ull << 62); }
LADDER_DEVICE u64 wgmma_descriptor(u32 shared) { return wgmma_descriptor_of(wgmma_descriptor_low(shared)); }

// What to add to a descriptor to move by `bytes` (a multiple of 16) inside shared memory.
LADDER_DEVICE constexpr u32 wgmma_descriptor_step(u32 bytes) { return bytes >> 4; }

// Ties accumulators to the point of the wait before it: the compiler sees no connection between a wait and the
// registers it is for, and may otherwise copy them while the product still runs.
template <int kCount>
LADDER_DEVICE void wgmma_settle(float (&acc)[kCount]) {
#ifndef LADDER_EMULATOR
#pragma unroll
  for (int i = 0; i < kCount; i++) asm volatile("" : "+f"(acc[i])::"memory");
#else
  static_cast<void>(acc);
#endif
}
template <int kCount>
LADDER_DEVICE void wgmma_settle(int (&acc)[kCount]) {
#ifndef LADDER_EMULATOR
#pragma unroll
  for (int i = 0; i < kCount; i++) asm volatile("" : "+r"(acc[i])::"memory");
#else
  static_cast<void>(acc);
#endif
}

// Ties registers of operand A to the point before the fence that precedes their product: the compiler may otherwise
// move the last steps of a short decode behind it.
LADDER_DEVICE void wgmma_ready(u32 (&a)[4]) {
#ifndef LADDER_EMULATOR
#pragma unroll
  for (int i = 0; i < 4; i++) asm volatile("" : "+r"(a[i])::"memory");
#else
  static_cast<void>(a);
#endif
}

}  // namespace ladder
