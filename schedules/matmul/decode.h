// Decode: up to 16 activation rows against quantised weights, at the speed of reading them. See decode.cuh.
#ifndef LADDER_SCHEDULES_MATMUL_DECODE_H_
#define LADDER_SCHEDULES_MATMUL_DECODE_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// Parameters: rows (activation rows a launch takes: 1, 2, 4, 8, 16), row_tiles (of 16 weight rows per warp), row_warps,
// warps (along K), unit (64-column blocks per turn), loads (units in flight), splits (of K over blocks), pair_table
// (tables: lookup in shared memory, else byte permutes).
std::unique_ptr<const Schedule> MakeDecodeSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_DECODE_H_
