// How the operands are drawn that kernels are verified on, where any numbers would not do.
#ifndef LADDER_CORE_REFERENCE_OPERAND_DRAW_H_
#define LADDER_CORE_REFERENCE_OPERAND_DRAW_H_

#include "core/operator/operator.h"

namespace ladder {

// Operands of 8-bit activations. Small: integers of magnitude at most kSmallOperand, which every 8-bit type holds. So
// are fp8 operands, whose sums of 128 products then have 14 bits, what tensor cores keep of them
// (core/tuning/error_bound.cc); and int8 ones where their sums would overflow an fp16 result. Other int8 operands take
// all codes.
inline constexpr int kSmallOperand = 8;
struct OperandDraw {
  bool small_x = false;
  bool small_w = false;
  // Of fp32 factors at launch, by row or for all. Sums of int8 are about 128 times as large as of others.
  float least_scale = 0.004f, greatest_scale = 0.012f;
};

inline OperandDraw DrawFor(const NormalizedOperator& op) {
  OperandDraw draw;
  const bool fp8 = op.activation() != DataType::kI8;
  const bool narrow = op.out() == DataType::kF16;
  const bool x_scaled = op.activation_scale() != ActivationScale::kNone;
  const bool w_scaled = op.weight().has_scale || op.weight().tensor_scale;
  draw.small_x = fp8 || (narrow && !x_scaled);
  draw.small_w = fp8 || (narrow && !w_scaled);
  return draw;
}

// Codes of a float with infinities or NaNs are drawn below 2, without the highest bit of the exponent, so without
// those. REQUIRES: such a float has 8 bits, as fp8 has.
inline bool DrawsBelowTwo(const ElementType& element) {
  return element.kind == ElementKind::kFloat && element.format.specials != FloatSpecials::kNone;
}

}  // namespace ladder

#endif  // LADDER_CORE_REFERENCE_OPERAND_DRAW_H_
