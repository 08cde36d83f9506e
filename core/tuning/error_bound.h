// The elementwise error bound that every kernel is held to (design: Numerics).
#ifndef LADDER_CORE_TUNING_ERROR_BOUND_H_
#define LADDER_CORE_TUNING_ERROR_BOUND_H_

#include "core/operator/operator.h"
#include "core/schedule/schedule.h"

namespace ladder {

// |y - ref| <= relative * |ref| + absolute * sum_k |x_k| |w_k s| + tiny, where ref and the sum are exact.
struct ErrorBound {
  double relative = 0;  // u_out: the store's rounding
  double absolute = 0;  // u_dec + u_scale + gamma_K: decode, scaling and accumulation
  double tiny = 0;      // half the smallest subnormal of the output type
};

// The constants of the path a kernel takes: u_dec is 0 for exact decodes and u_compute for tables and fractional zeros,
// u_scale is u_compute when w * s is rounded to the compute type. gamma_K for fp32 accumulation: see the .cc.
ErrorBound BoundFor(const NormalizedOperator& op, const NumericsSpec& numerics);

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_ERROR_BOUND_H_
