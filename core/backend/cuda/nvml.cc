#include "core/backend/cuda/nvml.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "core/backend/dynamic_library.h"

namespace ladder::cuda {
namespace {

// nvmlProcessInfo_t of nvmlDeviceGetComputeRunningProcesses_v3, and nvmlUtilization_t.
struct ProcessInfo {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};
struct Utilization {
  unsigned gpu, memory;  // percent
};

// The few functions used, declared here: nvml.h is in no wheel.
struct Nvml {
  int (*init)() = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*handle_by_uuid)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  bool usable = false;
  // Null in a library that lacks them.
  int (*clock_reasons)(void*, unsigned long long*) = nullptr;
  int (*utilization)(void*, Utilization*) = nullptr;
  int (*processes)(void*, unsigned*, ProcessInfo*) = nullptr;
};
constexpr int kSmClock = 1;                                          // NVML_CLOCK_SM
constexpr int kInsufficientSize = 7;                                 // NVML_ERROR_INSUFFICIENT_SIZE
constexpr unsigned long long kThrottled = 0x8 | 0x20 | 0x40 | 0x80;  // hardware slowdown, heat (twice), power brake

const Nvml& Library() {
  static const Nvml* const nvml = [] {
    auto* loaded = new Nvml;
    const absl::StatusOr<DynamicLibrary> library = DynamicLibrary::Open("libnvidia-ml.so.1");
    loaded->usable = library.ok() && library->Load("nvmlInit_v2", loaded->init).ok() &&
                     library->Load("nvmlSystemGetDriverVersion", loaded->driver_version).ok() &&
                     library->Load("nvmlDeviceGetHandleByUUID", loaded->handle_by_uuid).ok() &&
                     library->Load("nvmlDeviceGetClockInfo", loaded->clock).ok() && loaded->init() == 0;
    if (!loaded->usable) return loaded;
    (void)library->Load("nvmlDeviceGetCurrentClocksThrottleReasons", loaded->clock_reasons);
    (void)library->Load("nvmlDeviceGetUtilizationRates", loaded->utilization);
    (void)library->Load("nvmlDeviceGetComputeRunningProcesses_v3", loaded->processes);
    return loaded;
  }();
  return *nvml;
}

// Null if unknown.
void* Handle(const std::string& uuid) {
  void* device = nullptr;
  return Library().usable && Library().handle_by_uuid(uuid.c_str(), &device) == 0 ? device : nullptr;
}

}  // namespace

std::string DriverVersion() {
  char text[96] = {};
  if (Library().usable && Library().driver_version(text, sizeof(text) - 1) == 0) return text;
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  ..."
  std::ifstream file("/proc/driver/nvidia/version");
  const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (size_t at = 0; at < line.size(); at++) {
    if (at > 0 && line[at - 1] != ' ') continue;
    size_t end = at;
    while (end < line.size() && (absl::ascii_isdigit(line[end]) || line[end] == '.')) end++;
    if (line.substr(at, end - at).find('.') != std::string::npos) return line.substr(at, end - at);
  }
  return "";
}

double CurrentClockGhz(const std::string& uuid) {
  void* const device = Handle(uuid);
  unsigned mhz = 0;
  return device != nullptr && Library().clock(device, kSmClock, &mhz) == 0 ? mhz * 1e-3 : 0;
}

bool IsThrottled(const std::string& uuid) {
  void* const device = Handle(uuid);
  unsigned long long reasons = 0;
  return device != nullptr && Library().clock_reasons != nullptr && Library().clock_reasons(device, &reasons) == 0 &&
         (reasons & kThrottled) != 0;
}

std::optional<int> BusyPercent(const std::string& uuid) {
  void* const device = Handle(uuid);
  Utilization utilization = {};
  if (device == nullptr || Library().utilization == nullptr || Library().utilization(device, &utilization) != 0) {
    return std::nullopt;
  }
  return static_cast<int>(std::min(utilization.gpu, 100u));
}

std::optional<int> OtherProcesses(const std::string& uuid) {
  void* const device = Handle(uuid);
  if (device == nullptr || Library().processes == nullptr) return std::nullopt;
  std::vector<ProcessInfo> found(64);
  while (true) {
    auto count = static_cast<unsigned>(found.size());
    const int result = Library().processes(device, &count, found.data());
    if (result == kInsufficientSize && found.size() < 65536) {
      found.resize(2 * found.size());
      continue;
    }
    if (result != 0) return std::nullopt;
    found.resize(count);
    break;
  }
  std::vector<uint32_t> processes;
  processes.reserve(found.size());
  for (const ProcessInfo& one : found) processes.push_back(one.pid);
  return CountOthers(processes, static_cast<uint32_t>(::getpid()));
}

std::optional<int> CountOthers(std::span<const uint32_t> processes, uint32_t own) {
  if (processes.empty()) return std::nullopt;
  const auto ours = std::ranges::count(processes, own);
  return static_cast<int>(processes.size()) - static_cast<int>(std::max<std::ptrdiff_t>(ours, 1));
}

}  // namespace ladder::cuda
