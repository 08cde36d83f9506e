// A GPU that could not be opened: every call tells why.
#ifndef LADDER_SERVER_WORKER_ABSENT_DEVICE_H_
#define LADDER_SERVER_WORKER_ABSENT_DEVICE_H_

#include <utility>
#include <vector>

#include "core/backend/device.h"

namespace ladder {

class AbsentDevice final : public Device {
 public:
  explicit AbsentDevice(absl::Status reason) : reason_(std::move(reason)) {}
  absl::StatusOr<Target> GetTarget() override { return reason_; }
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override { return reason_; }
  absl::StatusOr<DeviceConditions> GetConditions() override { return reason_; }
  absl::Status LoadSupport(const CompiledKernel&) override { return reason_; }
  absl::StatusOr<Verification> Verify(const Workload&, const KernelBinary&) override { return reason_; }
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload&, std::span<const KernelBinary>,
                                                   const ProfilePolicy&) override {
    return reason_;
  }
  absl::StatusOr<Measurement> ProfileYardstick(const Workload&, absl::string_view, const ProfilePolicy&) override {
    return reason_;
  }

 private:
  const absl::Status reason_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_ABSENT_DEVICE_H_
