// fp16/bf16 weights, not packed, by the warp group matrix instruction with both operands in shared memory.
#ifndef LADDER_SCHEDULES_MATMUL_DENSE_WGMMA_H_
#define LADDER_SCHEDULES_MATMUL_DENSE_WGMMA_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "dense_wgmma": sm_90a, K a multiple of 8 (TMA reads rows of 16 bytes).
std::unique_ptr<const Schedule> MakeDenseWgmmaSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_DENSE_WGMMA_H_
