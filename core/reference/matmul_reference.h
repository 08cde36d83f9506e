// The float64 product that everything is compared with.
#ifndef LADDER_CORE_REFERENCE_MATMUL_REFERENCE_H_
#define LADDER_CORE_REFERENCE_MATMUL_REFERENCE_H_

#include <cstdint>
#include <span>

#include "core/operator/operator.h"

namespace ladder {

// Factors of 8-bit activations: one of all sums, one of those of each row of X or none; and of operators that have
// them, those of groups of codes, [m][K / group] of activation_scale_type.
struct SumScales {
  double all = 1;
  std::span<const float> rows;
  std::span<const uint8_t> groups;
};

// y[m, n] = s[m] * sum_k x[m, k] * w[n, k] + bias[n] and abs_sum[m, n] = |s[m]| * sum_k |x[m, k] * w[n, k]| +
// |bias[n]|, exact tables, float64. Inputs in the natural form (core/layout/packed_layout.h); the bias may be empty. s:
// the activation scales, of which there are none, one for all or one for each row, as the operator says. Not rounded to
// the output type. O(M * N * K): for small shapes.
void ReferenceMatmul(const NormalizedOperator& op, int64_t m, std::span<const uint8_t> x,
                     std::span<const uint8_t> codes, std::span<const uint8_t> scales, std::span<const uint8_t> zeros,
                     std::span<const uint8_t> bias, const SumScales& scales_of_sums, std::span<double> y,
                     std::span<double> abs_sum);

// What follows the product, in float64 and not rounded: y = act(sums) * output_scale + residual, and the magnitude that
// an error bound multiplies (core/tuning/error_bound.h; product_error is its second-order term). sums and abs_sums are
// [m, N], y and magnitude [m, columns]; without swiglu they may be the same. The residual, of the output's type, may be
// empty; output_scale is 1 without one.
void ReferenceEpilogue(const NormalizedOperator& op, std::span<const double> sums, std::span<const double> abs_sums,
                       float output_scale, std::span<const uint8_t> residual, double product_error, std::span<double> y,
                       std::span<double> magnitude);

// The activation function; of swiglu that of the gate.
double ReferenceAct(ActivationFunction act, double z);

// One decoded row of the weight, K values.
void ReferenceWeightRow(const NormalizedOperator& op, int64_t row, std::span<const uint8_t> codes,
                        std::span<const uint8_t> scales, std::span<const uint8_t> zeros, std::span<double> out);

}  // namespace ladder

#endif  // LADDER_CORE_REFERENCE_MATMUL_REFERENCE_H_
