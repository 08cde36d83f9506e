// Source to binary. Implementations: NVRTC in this process (core/backend/cuda), a pool of worker processes
// (server/worker), the host compiler for the emulator (tests/emulator).
#ifndef LADDER_CORE_BACKEND_COMPILER_H_
#define LADDER_CORE_BACKEND_COMPILER_H_

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/schedule/schedule.h"

namespace ladder {

struct CompileRequest {
  std::string arch;  // "sm_90a"; "compute_80" asks for PTX
  KernelSource source;
  std::string entry = "ladder_kernel";
};

struct CompiledKernel {
  std::string binary;  // cubin (or PTX)
  int registers = 0;
  int64_t spill_bytes = 0;  // stores + loads, as ptxas reports them
  int64_t local_bytes = 0;  // stack frame
  int64_t static_shared_bytes = 0;
  std::string log;
  double compile_ms = 0;
};

// Thread-safe.
class Compiler {
 public:
  virtual ~Compiler() = default;
  // Part of every artifact key: "nvrtc 13.0.88". Empty if no compiler was found; Compile then fails with
  // FailedPrecondition saying where it looked and what to install.
  virtual std::string Version() const = 0;
  // One result per request, in their order. An error costs that request only. `done` (may be null) is called as each
  // finishes, from any thread.
  virtual std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                              const std::function<void(size_t)>& done) = 0;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_COMPILER_H_
