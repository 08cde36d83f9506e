#include "core/tuning/quiet.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ladder {
namespace {

// Others that run kernels for less of the time than this shift a median by less than the noise.
constexpr int kBusyPercent = 10;
// Median absolute deviation of a time, as a share of it. A quiet GPU stays below 0.01; one that is shared in time
// slices lets some replays through alone and not others.
constexpr double kSpread = 0.05;
constexpr char kThrottled[] = "heat or a power brake lowers the GPU's clocks";

}  // namespace

bool IsShared(const DeviceConditions& conditions) {
  return conditions.other_processes.value_or(0) > 0 || conditions.other_memory_bytes > 0;
}

absl::Status RefuseToShare(const DeviceConditions& conditions, absl::string_view field) {
  std::string seen;
  if (const int others = conditions.other_processes.value_or(0); others > 0) {
    absl::StrAppend(&seen, others, others == 1 ? " other process has" : " other processes have", " a context on it");
  }
  if (conditions.other_memory_bytes > 0) {
    absl::StrAppend(&seen, seen.empty() ? "" : ", ", "others hold at least ", conditions.other_memory_bytes >> 20,
                    " MiB of its memory");
  }
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": this GPU is in use (", seen,
                   "); timing kernels would slow that down and is refused unless asked for: set share_gpu (ladder-tune "
                   "--share-gpu), or tuning.share_gpu of ladderd's configuration to \"always\""));
}

std::string Disturbance(const DeviceConditions& conditions) {
  if (conditions.busy_percent.value_or(0) >= kBusyPercent) {
    return absl::StrCat("other processes keep the GPU ", *conditions.busy_percent, "% busy");
  }
  return conditions.throttled ? kThrottled : "";
}

std::string Disturbance(const Measurement& measurement) {
  if (measurement.spread_us > kSpread * measurement.median_us) {
    return absl::StrFormat("times spread by %.0f%%", 100 * measurement.spread_us / measurement.median_us);
  }
  return measurement.throttled ? kThrottled : "";
}

}  // namespace ladder
