// Weights that are multiplied as they are (16 bits, or 8 with activations of 8), by mma.sync: any M, N and K on sm_80
// and up, fp8 on sm_89.
#ifndef LADDER_SCHEDULES_MATMUL_DENSE_H_
#define LADDER_SCHEDULES_MATMUL_DENSE_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "dense".
std::unique_ptr<const Schedule> MakeDenseSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_DENSE_H_
