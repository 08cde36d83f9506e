// What kernels take: the client's own copy of the structs in schedules/device/types.cuh and of PackArguments in
// schedules/support/abi.cuh, which it may not include. A test includes both and holds every size and offset equal.
#ifndef LADDER_CLIENT_KERNEL_ARGUMENTS_H_
#define LADDER_CLIENT_KERNEL_ARGUMENTS_H_

#include <cstdint>

#include "client/cuda_driver.h"

namespace ladder::client {

struct alignas(64) MatmulArguments {
  const void* x = nullptr;
  const void* w = nullptr;
  const void* scale = nullptr;
  const void* zero = nullptr;
  const void* bias = nullptr;
  void* y = nullptr;
  void* workspace = nullptr;
  int m = 0;
  float output_scale = 1;
  const void* residual = nullptr;
  const void* row_scale = nullptr;
  float sum_scale = 1;
};

struct alignas(64) MatmulTmaArguments {
  MatmulArguments base;
  CuTensorMap x_map;
  CuTensorMap w_map;
  CuTensorMap x_tail_map;
};

// ladder_pack and ladder_unpack; blocks of kSupportThreads, any 1-D grid.
inline constexpr int kSupportThreads = 256;
struct PackArguments {
  void* codes = nullptr;
  void* scales = nullptr;
  void* zeros = nullptr;
  void* packed = nullptr;
  void* packed_scales = nullptr;
  void* packed_zeros = nullptr;
  int64_t n = 0;
  int64_t k = 0;
  int64_t groups = 0;  // 0: no scales
  int placement = 0;   // 0: copied, 1: integers, 2: tables, 3: bytes, 4: tables of bytes
  int bits = 16;
  int offset_binary = 0;
  int zero_mode = 0;   // none, original, rescale, quantized
  int gated = 0;       // gate and up rows, interleaved
  int scale_type = 0;  // of natural scales: 0 as packed, 3 fp32, 4 e4m3, 5 e8m0
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_KERNEL_ARGUMENTS_H_
