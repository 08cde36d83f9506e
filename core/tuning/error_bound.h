// The elementwise error bound that every kernel is held to (design: Numerics).
#ifndef LADDER_CORE_TUNING_ERROR_BOUND_H_
#define LADDER_CORE_TUNING_ERROR_BOUND_H_

#include "core/operator/operator.h"
#include "core/schedule/schedule.h"

namespace ladder {

// |y - ref| <= relative * |ref| + absolute * magnitude + tiny, where ref is exact and
// magnitude = S * |output_scale|, S = sum_k |x_k| |w_k s| + |bias|. With swiglu, of a gate sum g and an up sum u,
// magnitude = (|u| S_g + |silu(g)| S_u + ProductError * S_g S_u) * |output_scale|.
struct ErrorBound {
  double relative = 0;  // u_out: the store's rounding, and the residual's addition
  double absolute = 0;  // u_dec + u_scale + gamma_K: decode, scaling and accumulation, through the activation function
  double tiny = 0;      // half the smallest subnormal of the output type
};

// What an activation function makes of an error e of its argument z: at most slope * |e| + evaluation * |z|.
struct ActivationError {
  double slope = 1;       // its Lipschitz constant
  double evaluation = 0;  // the device's evaluation; see the .cc
};
ActivationError ErrorOf(ActivationFunction act);

// The constants of the path a kernel takes: u_dec is 0 for exact decodes and u_compute for tables that round and
// fractional zeros, u_scale is u_compute when w * s is rounded to the compute type. gamma_K for fp32 accumulation: see
// the .cc.
ErrorBound BoundFor(const NormalizedOperator& op, const NumericsSpec& numerics);

// `absolute` of the path with the most roundings.
double ProductError(const NormalizedOperator& op);

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_ERROR_BOUND_H_
