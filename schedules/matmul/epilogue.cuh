// What every schedule does with a finished fp32 sum: scales of 8-bit operands, bias, activation function, output scale,
// residual, conversion to the output type, store. core/tuning/error_bound.cc counts every rounding made here.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

// core's ActivationFunction, as Config names it.
enum class Act { kNone, kSilu, kGelu, kGeluTanh, kSwiglu };

template <class Output>
struct OutputBytes {
  static constexpr int value = 2;
};
template <>
struct OutputBytes<F32> {
  static constexpr int value = 4;
};

// The bits of one output element, in the low half for 16-bit types.
template <class Output>
LADDER_DEVICE u32 output_bits(Output, float value) {
  return from_float(Output{}, value);
}
LADDER_DEVICE u32 output_bits(F32, float value) { return float_bits(value); }

// y[index] = value rounded once. `index` counts elements of the whole matrix, so it is 64-bit.
template <class Output>
LADDER_DEVICE void store_output(Output, void* y, i64 index, float value) {
  store_global_u16(static_cast<u16*>(y) + index, from_float(Output{}, value));
}
LADDER_DEVICE void store_output(F32, void* y, i64 index, float value) {
  store_global_f32(static_cast<float*>(y) + index, value);
}

// y[index], y[index + 1]. REQUIRES: index is even and so is the row length.
template <class Output>
LADDER_DEVICE void store_output_pair(Output, void* y, i64 index, float low, float high) {
  store_global_u32(static_cast<u16*>(y) + index, from_float2(Output{}, low, high));
}
LADDER_DEVICE void store_output_pair(F32, void* y, i64 index, float low, float high) {
  store_global_f32(static_cast<float*>(y) + index, low);
  store_global_f32(static_cast<float*>(y) + index + 1, high);
}

// 1 / (1 + exp(-v)). Where exp(-v) overflows the result is zero.
LADDER_DEVICE float logistic(float v) {
  constexpr float kLog2E = 1.44269504f;
  return reciprocal_approx(1.0f + exp2_approx(-kLog2E * v));
}

// Every function is z times a factor between 0 and 1.
template <Act kAct>
LADDER_DEVICE float apply_act(float z) {
  if constexpr (kAct == Act::kSilu) {
    return z * logistic(z);
  } else if constexpr (kAct == Act::kGelu) {
    return z * (0.5f + 0.5f * error_function(0.707106781f * z));
  } else if constexpr (kAct == Act::kGeluTanh) {
    // (1 + tanh(u)) / 2 = logistic(2 u), u = sqrt(2 / pi) * (z + 0.044715 z^3)
    return z * logistic(z * (1.59576912f + 0.0713548163f * (z * z)));
  } else {
    return z;
  }
}

// y[index] as it was stored, in fp32.
template <class Output>
LADDER_DEVICE float load_output(Output, const void* y, i64 index) {
  return to_float(Output{}, load_global_u16(static_cast<const u16*>(y) + index));
}
LADDER_DEVICE float load_output(F32, const void* y, i64 index) {
  return load_global_f32(static_cast<const float*>(y) + index);
}

// With swiglu a gate row of the packed weight and the up row 8 after it make one column of y.
template <class Config>
inline constexpr bool kGated = Config::kAct == Act::kSwiglu;
// Columns of y that `rows` rows of the weight make, beginning at a row tile.
template <class Config>
LADDER_DEVICE constexpr int columns_of(int rows) {
  return kGated<Config> ? rows / 2 : rows;
}
template <class Config>
inline constexpr int kColumns = kGated<Config> ? Config::kN / 2 : Config::kN;

// Element `index` of a plane that is constant for the whole kernel, in fp32.
template <class Type>
LADDER_DEVICE float load_constant(Type, const void* plane, i64 index) {
  return to_float(Type{}, load_constant_u16(static_cast<const u16*>(plane) + index));
}
LADDER_DEVICE float load_constant(F32, const void* plane, i64 index) {
  return load_constant_f32(static_cast<const float*>(plane) + index);
}

// bias[n] in fp32, 0 without a bias or beyond N (rows that pad N to 64). n is a row of the packed weight; the bias is
// in natural order.
template <class Config>
LADDER_DEVICE float load_bias(const void* bias, int n) {
  if constexpr (Config::kBias) {
    if (n < Config::kN) {
      const int natural = kGated<Config> ? n % 16 / 8 * (Config::kN / 2) + n / 16 * 8 + n % 8 : n;
      return load_constant(typename Config::Bias{}, bias, natural);
    }
  }
  return 0.0f;
}

// y[token, column] before its conversion, from what the activation function gave. The residual may be y itself: a block
// calls this for an element once, before it stores it. Values beyond M and N, which are never stored, may be anything.
template <class Config>
LADDER_DEVICE float finish_value(const MatmulArguments& p, float value, int token, int column) {
  if constexpr (Config::kOutputScale) value *= p.output_scale;
  if constexpr (Config::kResidual) {
    if (token < p.m && column < kColumns<Config>) {
      value += load_output(typename Config::Output{}, p.residual, static_cast<i64>(token) * kColumns<Config> + column);
    }
  }
  return value;
}

// One value of y from the sum of row n, or with swiglu from those of gate row n and up row n + 8.
template <class Config>
LADDER_DEVICE float finish_sum(const MatmulArguments& p, float sum, float up, float bias, float up_bias, int token,
                               int column) {
  if constexpr (kGated<Config>) {
    return finish_value<Config>(p, apply_act<Act::kSilu>(sum + bias) * (up + up_bias), token, column);
  } else {
    return finish_value<Config>(p, apply_act<Config::kAct>(sum + bias), token, column);
  }
}

// 2^exponent, of a normal number.
LADDER_DEVICE float power_of_two(int exponent) { return bits_float(static_cast<u32>(exponent + 127) << 23); }

// What scales the sums of activation row `token` < m.
template <class Config>
LADDER_DEVICE float token_factor(const MatmulArguments& p, int token) {
  float factor = Config::kSumScale ? p.sum_scale : 1.0f;
  if constexpr (Config::kRowScale) factor *= load_global_f32(static_cast<const float*>(p.row_scale) + token);
  return factor;
}

// Sums of 8-bit operands times what scales them: of row `row` and of the row 8 further, for tokens `token` and `token`
// +
// 1. What lies beyond M and N, and is never stored, keeps a factor of 1. Constant planes are loaded here and not once
// for a row, so that no schedule carries them: the compiler hoists the loads.
template <class Config>
LADDER_DEVICE void scale_sums(const MatmulArguments& p, const float (&sums)[4], int token, int row,
                              float (&scaled)[4]) {
  float of_row[2] = {1.0f, 1.0f}, of_token[2] = {1.0f, 1.0f};
#pragma unroll
  for (int i = 0; i < 2; i++) {
    if constexpr (Config::kChannelScale) {
      if (row + 8 * i < Config::kN) of_row[i] = load_constant(typename Config::Scale{}, p.scale, row + 8 * i);
    }
    if constexpr (Config::kRowScale) {
      if (token + i < p.m) of_token[i] = load_global_f32(static_cast<const float*>(p.row_scale) + token + i);
    }
    if constexpr (Config::kSumScale) of_token[i] *= p.sum_scale;
  }
#pragma unroll
  for (int i = 0; i < 4; i++) scaled[i] = sums[i] * of_row[i >> 1] * of_token[i & 1];
}

// Finishes what a lane holds of a 16 x 8 fragment whose first row is `first_row`, a multiple of 16: sums[e] of its row
// r = lane / 4 and sums[2 + e] of row r + 8, for tokens `token` + e. Calls put(e, column, value), `column` counted from
// the first that first_row makes.
template <class Config, class Put>
LADDER_DEVICE void finish_fragment(const MatmulArguments& p, const float (&raw)[4], float bias0, float bias1, int token,
                                   int first_row, const Put& put) {
  const int row = static_cast<int>(lane_id()) / 4;
  float sums[4];
  if constexpr (Config::kChannelScale || Config::kRowScale || Config::kSumScale) {
    scale_sums<Config>(p, raw, token, first_row + row, sums);
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) sums[i] = raw[i];
  }
  const int column = columns_of<Config>(first_row) + row;
#pragma unroll
  for (int e = 0; e < 2; e++) {
    put(e, row, finish_sum<Config>(p, sums[e], sums[2 + e], bias0, bias1, token + e, column));
    if constexpr (!kGated<Config>) {
      put(e, row + 8, finish_sum<Config>(p, sums[2 + e], 0, bias1, 0, token + e, column + 8));
    }
  }
}

}  // namespace ladder
