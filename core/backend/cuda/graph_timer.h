// Times work by replaying graphs of many launches.
#ifndef LADDER_CORE_BACKEND_CUDA_GRAPH_TIMER_H_
#define LADDER_CORE_BACKEND_CUDA_GRAPH_TIMER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/device.h"

namespace ladder::cuda {

// Puts call number `index` of one kernel on the stream (the caller rotates its weights by it); index 0 follows nothing.
using EnqueueCall = std::function<absl::Status(int index, const Stream& stream)>;

// Median microseconds per call, one result per kernel. Each graph holds at least `rotation` calls; replays of different
// kernels are interleaved, so that clocks and temperature drift over all of them alike.
absl::StatusOr<std::vector<Measurement>> TimeInterleaved(const std::vector<EnqueueCall>& kernels, int rotation,
                                                         const ProfilePolicy& policy, const std::string& uuid,
                                                         const Stream& stream);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_GRAPH_TIMER_H_
