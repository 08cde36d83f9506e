#include "tests/emulator/emulator_device.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/emulator/problem.h"

namespace ladder {
namespace {

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

absl::StatusOr<Target> EmulatedTarget(const EmulatorDeviceOptions& options) {
  absl::StatusOr<Target> target = Target::FromName(options.arch);
  if (!target.ok()) return target;
  target->model = absl::StrCat("Ladder emulator of ", options.arch);
  target->limits.multiprocessors = options.multiprocessors;
  return target;
}

EmulatorDevice::EmulatorDevice(EmulatorDeviceOptions options) : options_(std::move(options)) {}

absl::StatusOr<Target> EmulatorDevice::GetTarget() { return EmulatedTarget(options_); }

absl::StatusOr<DeviceEnvironment> EmulatorDevice::GetEnvironment() {
  return DeviceEnvironment{.driver = "emulator", .runtime_id = absl::StrCat("emulator-", options_.arch)};
}

absl::StatusOr<const emulator::KernelImage*> EmulatorDevice::Load(const std::string& binary) {
  auto& image = images_[binary];
  if (image == nullptr) {
    absl::StatusOr<std::unique_ptr<emulator::KernelImage>> loaded = emulator::KernelImage::Load(binary);
    if (!loaded.ok()) return loaded.status();
    image = *std::move(loaded);
  }
  return image.get();
}

absl::StatusOr<Verification> EmulatorDevice::Verify(const Workload& workload, const KernelBinary& kernel) {
  std::lock_guard<std::mutex> lock(mutex_);
  absl::StatusOr<const emulator::KernelImage*> image = Load(kernel.binary);
  if (!image.ok()) return image.status();
  absl::StatusOr<emulator::Problem> problem = emulator::DrawProblem(workload.op, workload.m, workload.seed);
  if (!problem.ok()) return problem.status();
  absl::StatusOr<emulator::DeviceBuffer> y = emulator::RunProblem(*problem, kernel.launch, **image, workload.seed);
  if (!y.ok()) return y.status();
  return emulator::Compare(*problem, kernel.numerics, y->span());
}

absl::StatusOr<std::vector<Measurement>> EmulatorDevice::Profile(const Workload& workload,
                                                                 std::span<const KernelBinary> kernels,
                                                                 const ProfilePolicy& policy) {
  std::lock_guard<std::mutex> lock(mutex_);
  absl::StatusOr<emulator::Problem> problem = emulator::DrawProblem(workload.op, workload.m, workload.seed);
  if (!problem.ok()) return problem.status();
  std::vector<std::vector<double>> times(kernels.size());
  for (int repeat = 0; repeat < std::max(1, policy.repeats); ++repeat) {
    for (size_t i = 0; i < kernels.size(); ++i) {
      absl::StatusOr<const emulator::KernelImage*> image = Load(kernels[i].binary);
      if (!image.ok()) return image.status();
      const auto start = std::chrono::steady_clock::now();
      absl::StatusOr<emulator::DeviceBuffer> y = emulator::RunProblem(*problem, kernels[i].launch, **image, 0);
      if (!y.ok()) return y.status();
      times[i].push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
  }
  std::vector<Measurement> result(kernels.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    result[i].median_us = Median(times[i]);
    std::vector<double> deviations;
    for (double time : times[i]) deviations.push_back(std::fabs(time - result[i].median_us));
    result[i].spread_us = Median(deviations);
    result[i].repeats = static_cast<int>(times[i].size());
  }
  return result;
}

absl::StatusOr<Measurement> EmulatorDevice::ProfileYardstick(const Workload&, absl::string_view yardstick,
                                                             const ProfilePolicy&) {
  return absl::UnimplementedError(
      absl::StrCat("yardstick ", std::string(yardstick), ": the emulator has no vendor library"));
}

}  // namespace ladder
