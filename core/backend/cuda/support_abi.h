// Host mirror of the device argument structs: schedules/device/types.cuh (every matmul kernel) and
// schedules/support/abi.cuh (support kernels). core can't include schedules; tests/gpu holds the two equal, field by
// field.
#ifndef LADDER_CORE_BACKEND_CUDA_SUPPORT_ABI_H_
#define LADDER_CORE_BACKEND_CUDA_SUPPORT_ABI_H_

#include <cstdint>

namespace ladder::cuda {

using DevicePointer = uint64_t;

struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

struct alignas(64) MatmulArguments {
  DevicePointer x, w, scale, zero, bias, y, workspace;
  int32_t m;
  float output_scale;
  DevicePointer residual, row_scale;
  float sum_scale;
};

struct alignas(64) MatmulTmaArguments {
  MatmulArguments base;
  TensorMap x_map;
  TensorMap w_map;
  TensorMap x_tail_map;
};

inline constexpr int kSupportThreads = 256;
inline constexpr double kNotFiniteRatio = 1e30;

struct PackArguments {
  DevicePointer codes, scales, zeros, packed, packed_scales, packed_zeros;
  int64_t n, k, groups;
  int32_t placement, bits, offset_binary, zero_mode, gated, scale_type;
};

enum RandomKind : int32_t {
  kRandomF16 = 1,
  kRandomBF16 = 2,
  kRandomF32 = 3,
  kRandomCodes = 4,
  kRandomBytes = 5,
  kRandomE4M3 = 6,
  kRandomE8M0 = 7,
  kRandomSmallI8 = 8,
  kRandomSmallE4M3 = 9,
  kRandomSmallE5M2 = 10,
  kRandomScaleE4M3 = 11,
};

struct RandomArguments {
  DevicePointer out;
  int64_t rows, columns;
  uint64_t seed;
  float low, high;
  int32_t kind, bits;
};

struct ReferenceArguments {
  DevicePointer x, codes, scales, zeros, bias, reference, magnitude;
  int64_t m, n, k, group;
  float table[256];
  int32_t activation, scale, plain, zero_mode;
  int32_t act, out;
  DevicePointer residual;
  float output_scale, product_error;
  DevicePointer row_scale;
  float sum_scale;
  int32_t bias_type;
  int32_t bits, x_group;
};

struct CompareResult {
  uint64_t wrong, first_wrong, worst_ratio_bits;
  double squared_error, squared_reference;
};

struct CompareArguments {
  DevicePointer y, reference, magnitude, result;
  int64_t count, first_index;
  double relative, absolute, tiny;
  int32_t out, unused;
};

struct HashArguments {
  DevicePointer data;
  int64_t bytes;
  DevicePointer result;
};

struct ReadArguments {
  DevicePointer data;
  int64_t bytes;
  DevicePointer sink;
};

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_SUPPORT_ABI_H_
