// Whether a GPU is fit to be timed on, and what else uses it.
#ifndef LADDER_CORE_TUNING_QUIET_H_
#define LADDER_CORE_TUNING_QUIET_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/backend/device.h"

namespace ladder {

// Whether other processes use the GPU: they would feel a tune.
bool IsShared(const DeviceConditions& conditions);
// FailedPrecondition naming what was seen and the field of the request that would allow it.
absl::Status RefuseToShare(const DeviceConditions& conditions, absl::string_view field);

// What would spoil a time now, for people; empty: nothing is known to.
std::string Disturbance(const DeviceConditions& conditions);
// What spoiled this one; empty: nothing is known to have.
std::string Disturbance(const Measurement& measurement);

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_QUIET_H_
