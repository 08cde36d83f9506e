// Quantised weights decoded into the registers of the warp group matrix instruction; from 8 to many thousands of rows.
#ifndef LADDER_SCHEDULES_MATMUL_WGMMA_H_
#define LADDER_SCHEDULES_MATMUL_WGMMA_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "wgmma": sm_90a, 4-bit weights in the packed layout, K a multiple of 8 (TMA reads x in rows of 16 bytes).
std::unique_ptr<const Schedule> MakeWgmmaSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WGMMA_H_
