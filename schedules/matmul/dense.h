// fp16/bf16 weights, not packed, by mma.sync: any M, N and K on sm_80 and up.
#ifndef LADDER_SCHEDULES_MATMUL_DENSE_H_
#define LADDER_SCHEDULES_MATMUL_DENSE_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "dense".
std::unique_ptr<const Schedule> MakeDenseSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_DENSE_H_
