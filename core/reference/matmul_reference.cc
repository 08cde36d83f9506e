#include "core/reference/matmul_reference.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "core/layout/natural_code.h"

namespace ladder {
void ReferenceWeightRow(const NormalizedOperator& op, int64_t row, std::span<const uint8_t> codes,
                        std::span<const uint8_t> scales, std::span<const uint8_t> zeros, std::span<double> out) {
  const WeightType& type = op.weight();
  const int64_t groups = type.has_scale ? op.k() / type.group : 0;
  for (int64_t k = 0; k < op.k(); k++) {
    const uint32_t code = NaturalCode(codes, type.element.bits, op.k(), row, k);
    double scale = 1;
    double zero = 0;
    if (type.has_scale) {
      const int64_t group = k / type.group;
      scale = LoadElement(type.scale, scales.data(), row * groups + group);
      if (type.zeros == ZeroMode::kQuantized) {
        zero = NaturalCode(zeros, type.element.bits, groups, row, group);
      } else if (type.zeros != ZeroMode::kNone) {
        zero = LoadElement(type.scale, zeros.data(), row * groups + group);
      }
    }
    out[k] = WeightValue(type, code, scale, zero);
  }
}

void ReferenceMatmul(const NormalizedOperator& op, int64_t m, std::span<const uint8_t> x,
                     std::span<const uint8_t> codes, std::span<const uint8_t> scales, std::span<const uint8_t> zeros,
                     std::span<const uint8_t> bias, const SumScales& scales_of_sums, std::span<double> y,
                     std::span<double> abs_sum) {
  std::vector<double> activations(m * op.k());
  for (int64_t i = 0; i < m * op.k(); i++) activations[i] = LoadElement(op.activation(), x.data(), i);
  if (const int64_t group = op.activation_group(); group != 0) {
    for (int64_t i = 0; i < m * op.k(); i++) {
      activations[i] *= LoadExact(op.activation_scale_type(), scales_of_sums.groups.data(), i / group);
    }
  }
  std::vector<double> weights(op.k());
  for (int64_t n = 0; n < op.n(); n++) {
    ReferenceWeightRow(op, n, codes, scales, zeros, weights);
    const double b = bias.empty() ? 0 : LoadElement(op.bias_type(), bias.data(), n);
    for (int64_t row = 0; row < m; row++) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t k = 0; k < op.k(); k++) {
        const double product = activations[row * op.k() + k] * weights[k];
        sum += product;
        magnitude += std::fabs(product);
      }
      const double of_row = scales_of_sums.rows.empty() ? 1 : scales_of_sums.rows[row];
      const double scale = scales_of_sums.all * of_row;
      y[row * op.n() + n] = sum * scale + b;
      abs_sum[row * op.n() + n] = magnitude * std::fabs(scale) + std::fabs(b);
    }
  }
}

double ReferenceAct(ActivationFunction act, double z) {
  switch (act) {
    case ActivationFunction::kNone:
      return z;
    case ActivationFunction::kSilu:
    case ActivationFunction::kSwiglu:
      return z / (1 + std::exp(-z));
    case ActivationFunction::kGelu:
      return 0.5 * z * std::erfc(-z / std::numbers::sqrt2);
    case ActivationFunction::kGeluTanh:
      return 0.5 * z * (1 + std::tanh(std::sqrt(2 * std::numbers::inv_pi) * (z + 0.044715 * z * z * z)));
  }
  return z;
}

void ReferenceEpilogue(const NormalizedOperator& op, std::span<const double> sums, std::span<const double> abs_sums,
                       float output_scale, std::span<const uint8_t> residual, double product_error, std::span<double> y,
                       std::span<double> magnitude) {
  const bool gated = op.act() == ActivationFunction::kSwiglu;
  for (size_t i = 0; i < y.size(); i++) {
    const size_t row = i / op.columns(), column = i % op.columns();
    const size_t at = row * op.n() + column;
    double value = ReferenceAct(op.act(), sums[at]);
    double bound = abs_sums[at];
    if (gated) {
      const double up = sums[at + op.columns()], abs_up = abs_sums[at + op.columns()];
      bound = std::fabs(up) * bound + std::fabs(value) * abs_up + product_error * bound * abs_up;
      value *= up;
    }
    y[i] = value * output_scale;
    if (!residual.empty()) y[i] += LoadElement(op.out(), residual.data(), static_cast<int64_t>(i));
    magnitude[i] = bound * std::fabs(output_scale);
  }
}

}  // namespace ladder
