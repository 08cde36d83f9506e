// What every schedule does with a finished fp32 sum: bias, conversion to the output type, store.
#pragma once
#include "schedules/device/decode.cuh"

namespace ladder {

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

// bias[n] in fp32, 0 without a bias or beyond N (rows that pad N to 64).
template <class Config>
LADDER_DEVICE float load_bias(const void* bias, int n) {
  if constexpr (Config::kBias) {
    if (n < Config::kN) {
      return to_float(typename Config::Compute{}, load_constant_u16(static_cast<const u16*>(bias) + n));
    }
  }
  return 0.0f;
}

}  // namespace ladder
