// What the support kernels need of ptx.cuh, on AMD's CDNA GPUs (hipRTC, gfx9: waves of 64 lanes). The functions that
// matmul schedules use are missing on purpose: no schedule serves AMD, and a kernel that needs them must not compile.
#pragma once
#include "schedules/device/types.cuh"

namespace ladder {

// --- identity
LADDER_DEVICE u32 thread_id() { return threadIdx.x; }
LADDER_DEVICE u32 block_id() { return blockIdx.x; }
LADDER_DEVICE u32 block_count() { return gridDim.x; }

// --- shuffles: all lanes of the wave take part, so that there is no mask
#ifdef __HIP_DEVICE_COMPILE__
static_assert(__AMDGCN_WAVEFRONT_SIZE == 64, "reductions below are written for waves of 64 lanes");
#endif
inline constexpr int kWarpLanes = 64;
LADDER_DEVICE u32 lane_id() { return threadIdx.x & (kWarpLanes - 1); }
template <class T>
LADDER_DEVICE T shuffle_down(T value, int lanes) {
  return __shfl_down(value, static_cast<unsigned>(lanes), kWarpLanes);
}

// --- global memory
// A vector of the compiler's own, which a non-temporal load may return.
using Words4 = u32 __attribute__((ext_vector_type(4)));
LADDER_DEVICE Vec4 load_stream(const void* p) {
  const Words4 v = __builtin_nontemporal_load(static_cast<const Words4*>(p));
  return Vec4{v.x, v.y, v.z, v.w};
}
LADDER_DEVICE void store_global_v4(void* p, Vec4 v) { *static_cast<Vec4*>(p) = v; }

// --- programmatic dependent launch: nothing here starts before the kernel before it has ended
LADDER_DEVICE void launch_dependents() {}
LADDER_DEVICE void wait_for_previous() {}

// --- 16-bit values
LADDER_DEVICE float bits_float(u32 u) { return __uint_as_float(u); }
LADDER_DEVICE u32 float_bits(float f) { return __float_as_uint(f); }
LADDER_DEVICE float to_float(F16, u32 bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, static_cast<u16>(bits)));
}
LADDER_DEVICE float to_float(BF16, u32 bits) { return bits_float(bits << 16); }
LADDER_DEVICE u32 from_float(F16, float f) { return __builtin_bit_cast(u16, static_cast<_Float16>(f)); }
// To nearest, ties to even; a NaN becomes the one that NVIDIA's conversion gives.
LADDER_DEVICE u32 from_float(BF16, float f) {
  const u32 bits = float_bits(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

}  // namespace ladder
