// Pipelined: any number of activation rows against quantised weights by mma.sync, sm_80 and up. See pipelined.cuh.
#ifndef LADDER_SCHEDULES_MATMUL_PIPELINED_H_
#define LADDER_SCHEDULES_MATMUL_PIPELINED_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// Parameters: bm (tokens a block), bn (weight rows a block), bk (columns a stage), stages, row_tiles (of 16 rows a
// warp), token_warps (warps that share rows), depth_warps (warps that share outputs and split each stage), splits (of K
// over blocks), raster (token tiles in a band), pair_table (tables: lookup in shared memory, else byte permutes),
// scale_in_weights (else on fp32 sums).
std::unique_ptr<const Schedule> MakePipelinedSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_PIPELINED_H_
