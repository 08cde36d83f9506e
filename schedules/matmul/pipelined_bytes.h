// Packed weights with activations of 8 bits, decoded to bytes for mma.sync: any M and K on sm_80 and up, fp8 on sm_89.
#ifndef LADDER_SCHEDULES_MATMUL_PIPELINED_BYTES_H_
#define LADDER_SCHEDULES_MATMUL_PIPELINED_BYTES_H_

#include <memory>

#include "core/schedule/schedule.h"

namespace ladder {

// "pipelined_bytes": what SupportsByteWeight (config.h) allows, but for swiglu.
std::unique_ptr<const Schedule> MakePipelinedBytesSchedule();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_PIPELINED_BYTES_H_
