// How the operands are drawn that kernels are verified on, where any numbers would not do.
#ifndef LADDER_CORE_REFERENCE_OPERAND_DRAW_H_
#define LADDER_CORE_REFERENCE_OPERAND_DRAW_H_

#include <algorithm>
#include <cmath>

#include "core/operator/operator.h"

namespace ladder {

// Operands of 8-bit activations. Small: integers of magnitude at most kSmallOperand, which every 8-bit type holds. So
// are fp8 operands, whose sums of 128 products then have 14 bits, what tensor cores keep of them
// (core/tuning/error_bound.cc); and int8 ones where their sums would overflow an fp16 result. Other int8 operands take
// all codes, and so do weights of other widths.
inline constexpr int kSmallOperand = 8;
struct OperandDraw {
  int small_x = 0;  // the greatest magnitude; 0: all codes
  bool small_w = false;
  // Of fp32 factors at launch, by row or for all. Sums of int8 are about 128 times as large as of others.
  float least_scale = 0.004f, greatest_scale = 0.012f;
};

// The greatest of an element's magnitudes over the greatest power of two that all its values are multiples of.
// Infinity where a value is no finite number.
inline double Span(const ElementType& element) {
  double greatest = 0, step = HUGE_VAL;
  for (const double value : element.Values()) {
    if (!std::isfinite(value)) return HUGE_VAL;
    if (value == 0) continue;
    greatest = std::max(greatest, std::fabs(value));
    int exponent = 0;
    double odd = std::frexp(std::fabs(value), &exponent);
    while (odd != std::floor(odd)) odd *= 2, exponent--;
    step = std::min(step, std::ldexp(1.0, exponent));
  }
  return greatest == 0 ? 0 : greatest / step;
}

// Sums of 128 products of fp8 activations of magnitude 1 with weights of at most this span have 14 bits, but for one
// draw in thousands: their root mean square is at most 512 times the root of 128 * 2 / 3.
inline constexpr double kGreatestSpan = 512;

inline OperandDraw DrawFor(const NormalizedOperator& op) {
  const ElementType& element = op.weight().element;
  OperandDraw draw;
  if (Bytes(op.activation()) != 1) return draw;
  const bool fp8 = op.activation() != DataType::kI8;
  const bool narrow = op.out() == DataType::kF16;
  const bool x_scaled = op.activation_scale() != ActivationScale::kNone;
  if (op.widens()) {  // products of 16 bits keep what any operands have, and sums what fp32 holds
    draw.small_x = !fp8 && narrow && !x_scaled ? kSmallOperand : 0;
    return draw;
  }
  const bool w_scaled = op.weight().has_scale || op.weight().tensor_scale;
  const bool own_type = element.bits == 8 && element.kind != ElementKind::kUnsigned;  // drawn as small integers
  draw.small_w = own_type && (fp8 || (narrow && !w_scaled));
  if (fp8 && !own_type && Span(element) > 16) {
    draw.small_x = 1;
  } else if (fp8 || (narrow && !x_scaled)) {
    draw.small_x = kSmallOperand;
  }
  return draw;
}

// Codes of a float with infinities or NaNs are drawn below 2, without the highest bit of the exponent, so without
// those. REQUIRES: such a float has 8 bits, as fp8 has.
inline bool DrawsBelowTwo(const ElementType& element) {
  return element.kind == ElementKind::kFloat && element.format.specials != FloatSpecials::kNone;
}

// By which power of two weight scales whose root mean square would be `scales` are drawn smaller, so that an fp16
// result does not overflow: sums of wide codes over a deep K do, and sooner where two of them are multiplied (swiglu).
// The limit of a sum's root mean square leaves factors at launch of up to 2 and 16 deviations of a sum, or 32 variances
// of a product, which one in e^32 exceeds.
inline int ScaleShift(const NormalizedOperator& op, double scales) {
  if (op.out() != DataType::kF16) return 0;
  const OperandDraw draw = DrawFor(op);
  const auto whole = [](int magnitude) { return magnitude * (magnitude + 1) / 3.0; };  // mean square of such integers
  double squares = 1.0 / 3;                                                            // of x, uniform in [-1, 1)
  if (op.activation() == DataType::kI8 || draw.small_x != 0) squares = whole(draw.small_x != 0 ? draw.small_x : 127);
  const bool powers = op.activation_group() != 0 && op.activation_scale_type() == DataType::kE8M0;
  if (powers) squares *= 2;  // the mean square of those up to 2^3
  if ((op.activation_scale() != ActivationScale::kNone && !powers) || op.scales_sums()) {
    squares *= draw.greatest_scale * draw.greatest_scale;
  }
  double values = 0, count = 0;
  for (const double value : op.weight().element.Values()) {
    if (!std::isfinite(value) || (DrawsBelowTwo(op.weight().element) && std::fabs(value) >= 2)) continue;
    values += value * value;
    count++;
  }
  squares *= draw.small_w ? whole(kSmallOperand) : values / count;
  const double sum = std::sqrt(squares * static_cast<double>(op.k())) * scales;
  const double limit = op.act() == ActivationFunction::kSwiglu ? 32 : 2048;
  return sum > limit ? static_cast<int>(std::ceil(std::log2(sum / limit))) : 0;
}

}  // namespace ladder

#endif  // LADDER_CORE_REFERENCE_OPERAND_DRAW_H_
