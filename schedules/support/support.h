// The support kernels' source: one module per architecture, whatever the operators. See abi.cuh for the entries.
#ifndef LADDER_SCHEDULES_SUPPORT_SUPPORT_H_
#define LADDER_SCHEDULES_SUPPORT_SUPPORT_H_

#include "core/schedule/schedule.h"

namespace ladder {

// Includes schedules/support/support.cuh, so it compiles with the sources of the catalog. The entry of the compile
// request does not matter; a request wants one that exists all the same: kSupportEntry.
KernelSource SupportSource();
inline constexpr char kSupportEntry[] = "ladder_pack";

}  // namespace ladder

#endif  // LADDER_SCHEDULES_SUPPORT_SUPPORT_H_
