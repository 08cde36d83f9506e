// Integer names, function qualifiers and the arguments every matmul kernel takes. Device sources include no CUDA
// header: NVRTC then needs no header path, and the emulator can compile the same files with the host compiler.
#pragma once

#ifndef LADDER_EMULATOR
#define LADDER_DEVICE __device__ __forceinline__
#define LADDER_KERNEL extern "C" __global__
#define LADDER_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define LADDER_GRID_CONSTANT __grid_constant__
#define LADDER_CONSTANT __constant__
#endif

namespace ladder {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

// The 16-bit arithmetic types. Values travel as bits: u16 alone, u32 as a pair (low half first).
struct F16 {};
struct BF16 {};
struct F32 {};
// And those of 8 bits, four to a u32, the first in the lowest byte.
struct E4M3 {};
struct E5M2 {};
struct I8 {};
struct U8 {};    // of weights only
struct E8M0 {};  // of scales only: a power of two

// Bytes of an element, and what products of two elements are summed in.
template <class Type>
inline constexpr int kBytesOf = 2;
template <>
inline constexpr int kBytesOf<F32> = 4;
template <>
inline constexpr int kBytesOf<E4M3> = 1;
template <>
inline constexpr int kBytesOf<E5M2> = 1;
template <>
inline constexpr int kBytesOf<I8> = 1;
template <>
inline constexpr int kBytesOf<U8> = 1;
template <>
inline constexpr int kBytesOf<E8M0> = 1;
template <class Compute>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<I8> {
  using Type = int;
};

// What a 16-byte load or store moves.
struct alignas(16) Vec4 {
  u32 x, y, z, w;
};

// What an 8-byte load moves.
struct alignas(8) Vec2 {
  u32 x, y;
};

// A CUtensorMap by another name: opaque to the kernel, built by the launcher.
struct alignas(64) TensorMap {
  u64 opaque[16];
};

// Arguments of every matmul kernel: Y[m, N] = act(s * X[m, K] * W[N, K]^T + bias) * output_scale + residual, where s is
// what scales sums of 8-bit activations: scale[n], row_scale[m], sum_scale. N, K and which of these terms there are are
// compile-time constants. x is row-major, contiguous, 16-byte aligned; y and residual likewise. 128 bytes; a kernel
// without tensor maps passes no more.
struct alignas(64) MatmulArguments {
  const void* x;
  const void* w;      // packed layout (quantised) or row-major N x K (dense)
  const void* scale;  // [ceil(N/64)][K/g][64]; of weights of 8 bits that are not packed [N]
  const void* zero;   // as scale; 4-bit zeros: 32 bytes per 64 rows, byte 8*tile + r holds rows r (low) and r + 8
  const void* bias;   // [N] in the activation type (the output type where that has 8 bits), or null
  void* y;
  void* workspace;        // starts with zeroed counters; a kernel leaves them zero. See LaunchSpec.
  int m;                  // 1 .. LaunchSpec::max_m
  float output_scale;     // of kernels that have one
  const void* residual;   // [m, N] in the output type, or null; may be y
  const void* row_scale;  // [m] in fp32; or of x in groups [m, K / group]; or null
  float sum_scale;        // of kernels that have one
};

// The same plus tensor maps, for kernels whose LaunchSpec asks for them.
struct alignas(64) MatmulTmaArguments {
  MatmulArguments base;
  TensorMap x_map;
  TensorMap w_map;
  TensorMap x_tail_map;  // of X, with a box of the rows beyond the last whole box of x_map
};

}  // namespace ladder

#ifdef LADDER_EMULATOR
#include LADDER_EMULATOR  // tests/emulator/primitives.h: qualifiers and host versions of everything in ptx.cuh
#endif
