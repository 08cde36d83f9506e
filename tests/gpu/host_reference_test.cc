// What the GPU's reference does with finished sums, run by the host: the same as core's epilogue, for every activation
// function with every factor.
#define LADDER_EMULATOR "tests/gpu/single_thread.h"
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "core/operator/operator.h"
#include "core/reference/matmul_reference.h"
#include "core/tuning/error_bound.h"
#include "schedules/device/ptx.cuh"
#include "schedules/support/abi.cuh"

namespace ladder {
// What the device language has besides, as far as the reference uses it.
static float to_float(F16, u32 bits) { return HalfToFloat(static_cast<uint16_t>(bits)); }
static float to_float(BF16, u32 bits) { return BFloat16ToFloat(static_cast<uint16_t>(bits)); }
}  // namespace ladder
// The device language's own names. NOLINTBEGIN(bugprone-reserved-identifier)
static float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
static float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
static void __syncthreads() {}
#define __shared__ static
#define __align__(bytes)
#define __device__
#define __noinline__
// NOLINTEND(bugprone-reserved-identifier)
#include "schedules/support/reference.cuh"
#undef __noinline__
#undef __device__
#undef __align__
#undef __shared__

namespace ladder {
namespace {

TEST(HostReference, FinishesSumsAsTheEpilogueDoes) {
  constexpr int64_t kRows = 3, kN = 32;
  const float row_scale[kRows] = {0.5f, -0.031f, 2};
  int cases = 0;
  for (const std::string& act : ActivationFunctionNames()) {
    for (const char* a_scale : {"none", "tensor", "row"}) {
      for (const bool bias : {false, true}) {
        for (const bool residual : {false, true}) {
          const NormalizedOperator op = *Normalize({.a = "int8",
                                                    .w = "int4",
                                                    .a_scale = a_scale,
                                                    .out = "fp32",
                                                    .bias = bias,
                                                    .act = act,
                                                    .output_scale = residual,
                                                    .residual = residual,
                                                    .n = kN,
                                                    .k = 64});
          const float sum_scale = op.scales_sums() ? 0.7f : 1.0f, output_scale = op.output_scale() ? -1.5f : 1.0f;
          std::vector<double> raw(kRows * kN), sums(raw.size()), magnitudes(raw.size());
          std::vector<float> raw_magnitudes(raw.size()), bias_values(kN), residual_values(kRows * op.columns());
          for (int64_t i = 0; i < kN; i++) bias_values[i] = bias ? 0.1f * static_cast<float>(i) - 1 : 0;
          for (size_t i = 0; i < residual_values.size(); i++) residual_values[i] = 0.3f * static_cast<float>(i % 7);
          for (int64_t i = 0; i < kRows * kN; i++) {
            raw[i] = std::sin(static_cast<double>(i)) * 4;
            raw_magnitudes[i] = static_cast<float>(std::fabs(raw[i]) + 1);
            const float factor = sum_scale * (op.activation_scale() == ActivationScale::kRow ? row_scale[i / kN] : 1);
            sums[i] = raw[i] * static_cast<double>(factor) + static_cast<double>(bias_values[i % kN]);
            magnitudes[i] = static_cast<double>(raw_magnitudes[i] * std::fabs(factor) + std::fabs(bias_values[i % kN]));
          }
          std::vector<double> expected(kRows * op.columns()), expected_magnitude(expected.size());
          const auto* bytes = reinterpret_cast<const uint8_t*>(residual_values.data());
          ReferenceEpilogue(op, sums, magnitudes, output_scale,
                            {bytes, residual ? residual_values.size() * sizeof(float) : 0}, ProductError(op), expected,
                            expected_magnitude);

          std::vector<float> got(expected.size()), got_magnitude(expected.size());
          support::ReferenceArguments p = {};
          p.reference = got.data();
          p.magnitude = got_magnitude.data();
          p.n = kN;
          p.act = static_cast<int>(op.act());
          p.out = p.bias_type = static_cast<int>(DataType::kF32);
          p.bias = bias ? bias_values.data() : nullptr;
          p.residual = residual ? residual_values.data() : nullptr;
          p.output_scale = output_scale;
          p.sum_scale = sum_scale;
          p.row_scale = op.activation_scale() == ActivationScale::kRow ? row_scale : nullptr;
          p.product_error = static_cast<float>(ProductError(op));
          for (int64_t m = 0; m < kRows; m++) {
            for (int64_t column = 0; column < op.columns(); column++) {
              const int64_t gate = m * kN + column, up = gate + op.columns();
              const bool gated = op.act() == ActivationFunction::kSwiglu;
              support::reference_finish(p, m, column, raw[gate], raw_magnitudes[gate], gated ? raw[up] : 0,
                                        gated ? raw_magnitudes[up] : 0);
            }
          }
          // A rounding to fp32 of the result; of magnitudes one for each of some ten operations.
          for (size_t i = 0; i < expected.size(); i++) {
            ASSERT_NEAR(got[i], expected[i], 0x1p-23 * std::fabs(expected[i]) + 1e-12) << op.ToString() << " " << i;
            ASSERT_NEAR(got_magnitude[i], expected_magnitude[i], 0x1p-20 * expected_magnitude[i]) << op.ToString();
          }
          cases++;
        }
      }
    }
  }
  EXPECT_EQ(cases, 60);
}

}  // namespace
}  // namespace ladder
