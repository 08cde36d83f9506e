// A device that runs kernels on the CPU: what tests without a GPU verify and time.
#ifndef LADDER_TESTS_EMULATOR_EMULATOR_DEVICE_H_
#define LADDER_TESTS_EMULATOR_EMULATOR_DEVICE_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/backend/device.h"
#include "tests/emulator/kernel_image.h"

namespace ladder {

struct EmulatorDeviceOptions {
  std::string arch = "sm_90a";
  int multiprocessors = 4;  // few, so that small operators fill the machine
};

// Binaries are those of EmulatorCompiler (or of CombinedCompiler). Verify compares every element with the float64
// reference; Profile reports the emulator's own wall time, measured.
class EmulatorDevice : public Device {
 public:
  explicit EmulatorDevice(EmulatorDeviceOptions options = {});

  absl::StatusOr<Target> GetTarget() override;
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override;
  // Nothing to load: packing, inputs and reference are the host's.
  absl::Status LoadSupport(const CompiledKernel& support) override { return absl::OkStatus(); }
  absl::StatusOr<Verification> Verify(const Workload& workload, const KernelBinary& kernel) override;
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload& workload, std::span<const KernelBinary> kernels,
                                                   const ProfilePolicy& policy) override;
  absl::StatusOr<Measurement> ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                               const ProfilePolicy& policy) override;

 private:
  absl::StatusOr<const emulator::KernelImage*> Load(const std::string& binary);

  EmulatorDeviceOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<emulator::KernelImage>> images_;  // by binary
};

// The target of such a device: a published one with few multiprocessors, "Ladder emulator of sm_90a".
absl::StatusOr<Target> EmulatedTarget(const EmulatorDeviceOptions& options);

}  // namespace ladder

#endif  // LADDER_TESTS_EMULATOR_EMULATOR_DEVICE_H_
