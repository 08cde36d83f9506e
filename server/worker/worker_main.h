// The loops that worker programs run. Tests link them with other compilers and devices.
#ifndef LADDER_SERVER_WORKER_WORKER_MAIN_H_
#define LADDER_SERVER_WORKER_WORKER_MAIN_H_

#include <string>

#include "core/backend/compiler.h"
#include "core/backend/device.h"

namespace ladder {

// Serves frames on descriptor 3 until the other side closes it; the program's exit status. Ends the process at once
// when the service dies, even within a compilation or a kernel.
int RunCompileWorker(Compiler& compiler, const std::string& sources_digest);
// Exits after an operation that failed with Internal: its context may be poisoned.
int RunProfileWorker(Device& device, const std::string& sources_digest);

// Limits this process's address space; only for processes that don't use CUDA, which reserves far more than it uses.
void LimitAddressSpace(int64_t bytes);

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_WORKER_MAIN_H_
