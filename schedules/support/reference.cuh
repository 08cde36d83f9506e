// The reference product: nothing shared with the schedules (natural layout, table decode, plain loops), so that a
// mistake in a layout or a decode can't cancel out.
#pragma once
#include "schedules/device/ptx.cuh"
#include "schedules/support/abi.cuh"

namespace ladder::support {

// Types by number: DataType.
inline constexpr int kTypeF16 = 1, kTypeBF16 = 2, kTypeF32 = 3, kTypeE5M2 = 6, kTypeI8 = 7;

LADDER_DEVICE float load_byte(int byte, int type) {
  if (type == kTypeI8) return static_cast<float>(byte - 2 * (byte & 0x80));
  if (type == kScaleE8M0) return byte == 0xff ? __int_as_float(0x7fffffff) : ldexpf(1.0f, byte - 127);
  if (type == kTypeE5M2) return to_float(F16{}, static_cast<u32>(byte) << 8);  // fp16's upper half
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  const float value = (byte & 0x7f) == 0x7f ? __int_as_float(0x7fffffff)
                      : exponent == 0       ? ldexpf(static_cast<float>(mantissa), -9)
                                            : ldexpf(static_cast<float>(8 + mantissa), exponent - 10);
  return byte & 0x80 ? -value : value;
}

LADDER_DEVICE float load_value(const void* data, i64 index, int type) {
  switch (type) {
    case kTypeF16:
      return to_float(F16{}, static_cast<const u16*>(data)[index]);
    case kTypeBF16:
      return to_float(BF16{}, static_cast<const u16*>(data)[index]);
    case kTypeF32:
      return static_cast<const float*>(data)[index];
    default:
      return load_byte(static_cast<const u8*>(data)[index], type);
  }
}

// Code `column` of a row of `columns`, bit by bit: nothing in common with how packing reads them.
LADDER_DEVICE u32 reference_code(const void* codes, int bits, i64 columns, i64 row, i64 column) {
  const u8* bytes = static_cast<const u8*>(codes) + row * ((columns * bits + 7) / 8);
  if (bits == 4) return bytes[column / 2] >> (4 * (column & 1)) & 0xf;
  u32 code = 0;
  for (int i = 0; i < bits; i++) {
    const i64 bit = column * bits + i;
    code |= (static_cast<u32>(bytes[bit / 8]) >> (bit % 8) & 1u) << i;
  }
  return code;
}

// One weight, exactly as long as fp32 holds code * scale (11 + 13 bits), else rounded once to fp32.
LADDER_DEVICE float reference_weight(const ReferenceArguments& p, const float* table, i64 row, i64 column) {
  const float value = p.plain != 0 ? load_value(p.codes, row * p.k + column, p.plain)
                                   : table[reference_code(p.codes, p.bits, p.k, row, column)];
  if (p.group == 0) return value;
  const i64 groups = p.k / p.group;
  const i64 group = static_cast<u32>(column) / static_cast<u32>(p.group);
  const float scale = load_value(p.scales, row * groups + group, p.scale);
  if (p.zero_mode == 0) return value * scale;
  if (p.zero_mode == 3) {
    return (value - static_cast<float>(reference_code(p.zeros, p.bits, groups, row, group))) * scale;
  }
  const float zero = load_value(p.zeros, row * groups + group, p.scale);
  return p.zero_mode == 1 ? (value - zero) * scale : __fmaf_rn(value, scale, -zero);
}

// The scale of element `index` of x, whose rows have whole groups, so that its elements count through them: a power of
// two, whose product with a code is exact, or an fp32 number, whose product is rounded once to fp32.
LADDER_DEVICE float reference_x_scale(const ReferenceArguments& p, i64 index) {
  const i64 at = index >> (p.x_group & 255);
  if (p.x_group >> 8 == kScaleF32) return static_cast<const float*>(p.row_scale)[at];
  const u32 code = static_cast<const u8*>(p.row_scale)[at];
  return __uint_as_float(code == 0 ? 0x00400000u : code == 0xff ? 0x7fffffffu : code << 23);
}

inline constexpr int kReferenceSwiglu = 4;

LADDER_DEVICE double reference_act(int act, double z) {
  switch (act) {
    case 1:
    case kReferenceSwiglu:
      return z / (1 + exp(-z));
    case 2:
      return 0.5 * z * erfc(-z * 0.70710678118654752);
    case 3:
      return 0.5 * z * (1 + tanh(0.79788456080286536 * (z + 0.044715 * z * z * z)));
    default:
      return z;
  }
}

LADDER_DEVICE float reference_bias(const ReferenceArguments& p, i64 n) {
  return p.bias != nullptr ? load_value(p.bias, n, p.bias_type) : 0.0f;
}

// Writes output (m, column) and its magnitude, from the sum of that row of W or, with swiglu, from those of the gate
// row and of the up row half of N further on.
// Called, not inlined: sixteen copies of the activation functions in fp64 would push the sums out of the registers.
static __device__ __noinline__ void reference_finish(const ReferenceArguments& p, i64 m, i64 column, double sum,
                                                     float magnitude, double up, float up_magnitude) {
  const bool gated = p.act == kReferenceSwiglu;
  const i64 columns = gated ? p.n / 2 : p.n;
  const bool by_row = p.row_scale != nullptr && p.x_group == 0;
  const float scale = p.sum_scale * (by_row ? static_cast<const float*>(p.row_scale)[m] : 1.0f);
  sum *= static_cast<double>(scale);
  up *= static_cast<double>(scale);
  magnitude *= fabsf(scale);
  up_magnitude *= fabsf(scale);
  const float bias = reference_bias(p, column);
  double value = reference_act(p.act, sum + static_cast<double>(bias));
  float bound = magnitude + fabsf(bias);
  if (gated) {
    const float up_bias = reference_bias(p, columns + column);
    up += static_cast<double>(up_bias);
    up_magnitude += fabsf(up_bias);
    bound = static_cast<float>(fabs(up)) * bound + static_cast<float>(fabs(value)) * up_magnitude +
            p.product_error * bound * up_magnitude;
    value *= up;
  }
  value *= static_cast<double>(p.output_scale);
  const i64 index = m * columns + column;
  if (p.residual != nullptr) {
    value += static_cast<double>(load_value(p.residual, index, p.out));
  }
  p.reference[index] = static_cast<float>(value);
  p.magnitude[index] = bound * fabsf(p.output_scale);
}

}  // namespace ladder::support

// A block computes 64 x 64 outputs, a thread 4 x 4; with swiglu the gate rows' sums first, then the up rows'. Each 16
// products of an output are summed in fp32 (relative error 16 * 2^-24 of sum |x w|, well under any kernel's bound), the
// sums in fp64.
LADDER_KERNEL void __launch_bounds__(256) ladder_reference(const ladder::support::ReferenceArguments p) {
  using namespace ladder;
  using namespace ladder::support;
  constexpr int kTile = 64, kDepth = 16, kPitch = kTile + 4;
  __shared__ __align__(16) float x_tile[kDepth][kPitch];
  __shared__ __align__(16) float w_tile[kDepth][kPitch];
  __shared__ float table[256];
  const int thread = static_cast<int>(thread_id());
  table[thread] = p.table[thread];
  __syncthreads();

  const int lane_n = thread % 16 * 4, lane_m = thread / 16 * 4;
  const int fill_row = thread / 4, fill_k = thread % 4 * 4;
  const bool gated = p.act == kReferenceSwiglu;
  const i64 columns = gated ? p.n / 2 : p.n;
  const i64 tiles_n = (columns + kTile - 1) / kTile, tiles_m = (p.m + kTile - 1) / kTile;
  for (i64 tile = block_id(); tile < tiles_n * tiles_m; tile += block_count()) {
    const i64 n0 = tile % tiles_n * kTile, m0 = tile / tiles_n * kTile;
    double sum[4][4], gate[4][4] = {};
    float magnitude[4][4], gate_magnitude[4][4] = {};
#pragma unroll 1
    for (i64 first_row = 0; first_row < p.n; first_row += columns) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          if (first_row > 0) {
            gate[i][j] = sum[i][j];
            gate_magnitude[i][j] = magnitude[i][j];
          }
          sum[i][j] = 0;
          magnitude[i][j] = 0;
        }
      }
      for (i64 k0 = 0; k0 < p.k; k0 += kDepth) {
#pragma unroll 1  // four copies of every type's decode would not fit the registers
        for (int j = 0; j < 4; j++) {
          const i64 k = k0 + fill_k + j, m = m0 + fill_row, n = n0 + fill_row;
          x_tile[fill_k + j][fill_row] = m < p.m && k < p.k ? load_value(p.x, m * p.k + k, p.activation) : 0.0f;
          w_tile[fill_k + j][fill_row] = n < columns && k < p.k ? reference_weight(p, table, first_row + n, k) : 0.0f;
        }
        if (p.x_group != 0 && m0 + fill_row < p.m) {
#pragma unroll 1
          for (int j = 0; j < 4; j++) {
            const i64 k = k0 + fill_k + j;
            if (k < p.k) x_tile[fill_k + j][fill_row] *= reference_x_scale(p, (m0 + fill_row) * p.k + k);
          }
        }
        __syncthreads();
        float part[4][4] = {};
#pragma unroll
        for (int k = 0; k < kDepth; k++) {
          float x[4], w[4];
#pragma unroll
          for (int i = 0; i < 4; i++) {
            x[i] = x_tile[k][lane_m + i];
            w[i] = w_tile[k][lane_n + i];
          }
#pragma unroll
          for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
              part[i][j] = __fmaf_rn(x[i], w[j], part[i][j]);
              magnitude[i][j] = __fmaf_rn(fabsf(x[i]), fabsf(w[j]), magnitude[i][j]);
            }
          }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] += static_cast<double>(part[i][j]);
        }
        __syncthreads();
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const i64 m = m0 + lane_m + i, column = n0 + lane_n + j;
        if (m >= p.m || column >= columns) continue;
        if (gated) {
          reference_finish(p, m, column, gate[i][j], gate_magnitude[i][j], sum[i][j], magnitude[i][j]);
        } else {
          reference_finish(p, m, column, sum[i][j], magnitude[i][j], 0, 0);
        }
      }
    }
  }
}
