// A GPU that checks and times kernels. Implementations: the CUDA driver in this process (core/backend/cuda), a worker
// process (server/worker), the emulator (tests/emulator).
#ifndef LADDER_CORE_BACKEND_DEVICE_H_
#define LADDER_CORE_BACKEND_DEVICE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"
#include "core/operator/operator.h"
#include "core/schedule/launch_spec.h"
#include "core/target/target.h"

namespace ladder {

// The problem a kernel is tried on: an operator at one M, with inputs drawn from a seed.
struct Workload {
  NormalizedOperator op;
  int64_t m = 1;
  uint64_t seed = 0;
};

// A kernel ready to load.
struct KernelBinary {
  std::string binary;
  LaunchSpec launch;
  NumericsSpec numerics;
};

struct Verification {
  bool passed = false;
  // max over elements of |y - ref| / bound: at most 1 for a kernel that passed. See core/tuning/error_bound.h.
  double worst_ratio = 0;
  double relative_norm = 0;    // ||y - ref|| / ||ref||, reported only
  int64_t wrong_elements = 0;  // beyond the bound, or never written
  std::string detail;          // of the first wrong element: "y[3, 17] = 1.5, expected 0.25 +- 0.001"
};

struct Measurement {
  double median_us = 0;
  double spread_us = 0;    // median absolute deviation
  int repeats = 0;         // graph replays
  double clock_ghz = 0;    // SM clock seen, 0 if unknown
  bool throttled = false;  // heat or a power brake lowered the clocks meanwhile
  friend bool operator==(const Measurement&, const Measurement&) = default;
};

struct ProfilePolicy {
  int repeats = 7;           // graph replays, median taken
  double replay_ms = 2.0;    // wanted length of one replay: as many launches as fill it
  double preheat_ms = 50.0;  // once per call: a power limit takes as long to lower the clocks of what draws much
  int64_t rotate_bytes = 0;  // read and written between two launches on one copy of a weight; 0: six times the L2
};

// Facts of the installation that a measurement depends on and keys don't contain.
struct DeviceEnvironment {
  std::string driver;      // "580.159.04"
  std::string runtime_id;  // uuid or bus id of this GPU
};

// What else goes on on the GPU, so that a time is not taken for what it is not.
struct DeviceConditions {
  std::optional<int> other_processes;  // that have a context on it; nothing if that can't be told
  int64_t other_memory_bytes = 0;      // of the GPU, held by others: at least so much
  std::optional<int> busy_percent;     // of the last second, by others; nothing if that can't be told
  bool throttled = false;              // heat or a power brake lowers its clocks
  friend bool operator==(const DeviceConditions&, const DeviceConditions&) = default;
};

// Thread-safe; calls are served one at a time.
class Device {
 public:
  virtual ~Device() = default;
  // The machine as it is; rates measured once and remembered.
  virtual absl::StatusOr<Target> GetTarget() = 0;
  virtual absl::StatusOr<DeviceEnvironment> GetEnvironment() = 0;
  // Takes a second where others use the GPU, so that what ran here before isn't counted as theirs. Nothing known by
  // default.
  virtual absl::StatusOr<DeviceConditions> GetConditions() { return DeviceConditions{}; }
  // Binary of schedules/support/support.cuh for this target, needed before the calls below (packing, random inputs,
  // reference). Cheap when it is already loaded.
  virtual absl::Status LoadSupport(const CompiledKernel& support) = 0;
  // Makes what Verify at this workload needs besides a kernel, the reference above all, so that it is done while
  // kernels are being compiled. It saves time, no more: what fails here fails, and is told, there.
  virtual void PrepareVerify(const Workload&) {}
  // Runs the kernel on fresh random inputs and poisoned outputs and compares every element with the reference.
  // An error means that the kernel could not be run (illegal access, no memory), not that it computed wrongly.
  virtual absl::StatusOr<Verification> Verify(const Workload& workload, const KernelBinary& kernel) = 0;
  // Times kernels on one workload, their replays interleaved. One result per kernel.
  virtual absl::StatusOr<std::vector<Measurement>> Profile(const Workload& workload,
                                                           std::span<const KernelBinary> kernels,
                                                           const ProfilePolicy& policy) = 0;
  // The vendor library on the same shape by the same method: "cublaslt_fp16", "cublaslt_fp8", "cublaslt_int8", and
  // "empty" for the launch floor. Unimplemented where it doesn't apply or isn't installed.
  virtual absl::StatusOr<Measurement> ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                                       const ProfilePolicy& policy) = 0;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_DEVICE_H_
