#include "core/tuning/error_bound.h"

#include <cmath>
#include <numeric>

#include "core/layout/packed_layout.h"

namespace ladder {
namespace {

constexpr double kFloatRoundoff = 0x1p-24;

// Accumulation in the tensor cores and after. One m16n8k16 step aligns its 16 products and the accumulator to the
// largest exponent, keeps two extra bits and truncates (Fasi, Higham, Mikaitis, Pranesh: Numerical behavior of NVIDIA
// tensor cores, 2021): at most 17/4 + 1 < 5.5 units of 2^-23 of the largest magnitude met; older cores take two steps
// of 9 terms, 2 * (9/4 + 1) = 6.5. The absolute sum so far bounds that magnitude, and over random inputs it grows
// linearly, so the steps together cost half of 6.5 units of the whole sum each; 4 leaves a quarter for the sum's
// fluctuation. Group scales on fp32 partial sums (at most one rounding per 16 columns) and reductions across warps and
// splits (at most 64) come on top, each 2^-24.
double Gamma(int64_t k) {
  const int64_t steps = (k + 15) / 16;
  return (4.5 * static_cast<double>(steps) + 64) * std::ldexp(1.0, -23);
}

// Of products of 8 bits. int8: sums of products are exact in int32 and rounded once to fp32, then again where splits
// are added. fp8: a tensor core keeps about 14 bits of the sum of its products (13 after the leading one; Hopper and
// Ada), so 128 columns are summed there, each of 4 steps truncating 32 products and the sum so far to a unit of 2^-13
// of the largest, and then added to an fp32 sum. In the worst case that is 4 * 33 * 2^-13 of sum |x w|, 1.6%; errors of
// unrelated truncations add up to about the root of their number, K * 1.03, times half a unit of a chunk's largest
// partial sum. Verification does not rest on either: it draws fp8 operands that are integers of magnitude at most 8
// (see core/reference/operand_draw.h), so that a chunk's sums are integers of at most 128 * 64 = 2^13 and no bit of
// them is lost, and the bound holds what is added in fp32 (an addition a chunk, each 2^-24 of the sum so far) and what
// splits add.
//
// Packed weights are summed in segments, the columns that share a group and a block of 128, or of fp8 128 columns: each
// is rounded to fp32 (int32 sums), scaled and added, and the sum so far is rounded once more for each.
double Gamma8(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  const bool groups = weight.has_scale && weight.group != op.k();
  const int64_t segment = groups ? std::gcd(weight.group, int64_t{128}) : 128;
  const bool promoted = groups || op.activation() != DataType::kI8;
  const int64_t additions = promoted ? (op.k() + segment - 1) / segment + 2 : 1;
  return static_cast<double>(additions + 64) * kFloatRoundoff;
}

// Factors of sums of 8-bit operands, each product rounded once: by channel, row, tensor. Scales of activations per
// group multiply the codes instead: WidenRoundoff.
double SumScaling(const NormalizedOperator& op) { return Bytes(op.activation()) == 1 ? 3 * kFloatRoundoff : 0; }

// A decode is exact for integers (with integer zeros) and for tables whose values the compute type holds (small
// floats), and rounded once to the compute type for other tables and for zeros that are numbers.
double DecodeRoundoff(const NormalizedOperator& op) {
  const WeightType& w = op.weight();
  if (Bytes(op.compute()) == 1) return 0;  // exactly, or nothing is decoded
  const bool rounded = (w.element.tabular() && !w.element.ExactIn(op.compute())) || w.zeros == ZeroMode::kOriginal;
  return rounded ? UnitRoundoff(op.compute()) : 0;
}

// An activation widened to the compute type times the fp32 scale of its group is rounded once (with a power of two it
// is exact).
double WidenRoundoff(const NormalizedOperator& op) {
  const bool rounds = op.widens() && op.activation_group() != 0 && op.activation_scale_type() == DataType::kF32;
  return rounds ? UnitRoundoff(op.compute()) : 0;
}

// Scales enter fp32 partial sums exactly, or the weight in the compute type: one rounding of the product, and one of
// the scale itself where its type is another. A rescaled zero is one fused multiply-add in the compute type.
double ScaleRoundoff(const NormalizedOperator& op, const NumericsSpec& numerics) {
  const WeightType& w = op.weight();
  if (!w.has_scale || !numerics.scale_in_weights || Bytes(op.compute()) == 1) return 0;
  return UnitRoundoff(op.compute()) * (PackedScaleType(w.scale) == op.compute() ? 1 : 2);
}

}  // namespace

// With u = 2^-24, every function is z g, g in [0, 1], the product rounded once (u). |z| is at most the sum of
// magnitudes.
//   silu       g = logistic(z). Its exponent -log2(e) z has two roundings, so exp has a relative error of 2 |z| u + 4 u
//              (ex2.approx: 2^-22), which 1 / (1 + e) passes on times g (1 - g): at most 2 * 0.23 u + u, as
//              |z| g (1 - g) < 0.23. The addition and rcp.approx (2^-23) cost 3 u of g. In all 1.5 + 3 + 1 < 6 u.
//   gelu_tanh  g = logistic(v), v = z (c + d z^2) with 5 roundings, all of one sign: 7 |v| u in place of 2 |z| u, so
//              7 * 0.23 + 1 + 3 + 1 < 7 u.
//   gelu       g = (1 + erf(z / sqrt 2)) / 2. erff has 2 ulp, 4 u; its argument's two roundings shift erf by at most
//              2 u max |x erf'(x)| = 2 u * 0.49; halved, 2.5 u, the addition u, in all less than 5 u.
ActivationError ErrorOf(ActivationFunction act) {
  switch (act) {
    case ActivationFunction::kNone:
      break;
    case ActivationFunction::kSilu:
      return {1.0999, 6 * kFloatRoundoff};  // at z = 2.3994
    case ActivationFunction::kGelu:
      return {1.1290, 5 * kFloatRoundoff};  // at z = sqrt 2
    case ActivationFunction::kGeluTanh:
      return {1.1290, 7 * kFloatRoundoff};
    case ActivationFunction::kSwiglu:
      return {1.0999, 7 * kFloatRoundoff};  // silu's, and the product with u
  }
  return {};
}

ErrorBound BoundFor(const NormalizedOperator& op, const NumericsSpec& numerics) {
  ErrorBound bound;
  bound.relative = UnitRoundoff(op.out());
  const ActivationError act = ErrorOf(op.act());
  // The product with the output scale and the tensor scale, of at most |z t|, is rounded once; so is the residual's
  // addition, of y itself.
  const double scaling = op.scales_output() ? kFloatRoundoff : 0;
  if (op.residual()) bound.relative += kFloatRoundoff;
  // Swiglu: the sums g and u are off by at most A S_g and A S_u, h = silu(g) so by at most B S_g with B = slope A +
  // evaluation >= A, and h u by |u'| B S_g + |h| A S_u, u' being the computed u, at most |u| + A S_u. That is B times
  // the magnitude in error_bound.h. The rounding of h u is at most one of |h| S_u.
  //
  // 1.01: second-order terms, each at most 2^-8 of a first-order one.
  const double gamma = Bytes(op.compute()) == 1 ? Gamma8(op) : Gamma(op.k());
  bound.absolute =
      1.01 *
      (act.slope * (DecodeRoundoff(op) + WidenRoundoff(op) + ScaleRoundoff(op, numerics) + gamma + SumScaling(op)) +
       act.evaluation + scaling);
  bound.tiny = op.out() == DataType::kF16 ? std::ldexp(1.0, -25) : std::ldexp(1.0, -134);
  return bound;
}

double ProductError(const NormalizedOperator& op) { return BoundFor(op, {.scale_in_weights = true}).absolute; }

}  // namespace ladder
