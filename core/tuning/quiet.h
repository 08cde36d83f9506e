// Whether a GPU is fit to be timed on, and what else uses it.
#ifndef LADDER_CORE_TUNING_QUIET_H_
#define LADDER_CORE_TUNING_QUIET_H_

#include <string>

#include "absl/status/status.h"
#include "core/backend/device.h"

namespace ladder {

// Whether other processes use the GPU: they would feel a tune.
bool IsShared(const DeviceConditions& conditions);
// FailedPrecondition naming options.share_gpu and what was seen.
absl::Status RefuseToShare(const DeviceConditions& conditions);

// What would spoil a time now, for people; empty: nothing is known to.
std::string Disturbance(const DeviceConditions& conditions);
// What spoiled this one; empty: nothing is known to have.
std::string Disturbance(const Measurement& measurement);

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_QUIET_H_
