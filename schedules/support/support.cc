#include "schedules/support/support.h"

namespace ladder {

KernelSource SupportSource() { return KernelSource{"#include \"schedules/support/support.cuh\"\n", {}}; }

}  // namespace ladder
