// Packed weights with activations of 8 bits, decoded into the registers of the warp group matrix instruction; from 8 to
// many thousands of rows.
#ifndef LADDER_SCHEDULES_MATMUL_WGMMA_BYTES_H_
#define LADDER_SCHEDULES_MATMUL_WGMMA_BYTES_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "wgmma_bytes": sm_90a, what SupportsByteWeight (config.h) allows with groups of 32, 64, multiples of 128 or K, K a
// multiple of 16 (TMA reads x in rows of 16 bytes).
std::unique_ptr<const Schedule> MakeWgmmaBytesSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WGMMA_BYTES_H_
