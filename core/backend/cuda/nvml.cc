#include "core/backend/cuda/nvml.h"

#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "core/backend/dynamic_library.h"

namespace ladder::cuda {
namespace {

// The few functions used, declared here: nvml.h is in no wheel.
struct Nvml {
  int (*init)() = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*handle_by_uuid)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  bool usable = false;
};
constexpr int kSmClock = 1;  // NVML_CLOCK_SM

const Nvml& Library() {
  static const Nvml* const nvml = [] {
    auto* loaded = new Nvml;
    const absl::StatusOr<DynamicLibrary> library = DynamicLibrary::Open("libnvidia-ml.so.1");
    loaded->usable = library.ok() && library->Load("nvmlInit_v2", loaded->init).ok() &&
                     library->Load("nvmlSystemGetDriverVersion", loaded->driver_version).ok() &&
                     library->Load("nvmlDeviceGetHandleByUUID", loaded->handle_by_uuid).ok() &&
                     library->Load("nvmlDeviceGetClockInfo", loaded->clock).ok() && loaded->init() == 0;
    return loaded;
  }();
  return *nvml;
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
  void* device = nullptr;
  unsigned mhz = 0;
  if (!Library().usable || Library().handle_by_uuid(uuid.c_str(), &device) != 0 ||
      Library().clock(device, kSmClock, &mhz) != 0) {
    return 0;
  }
  return mhz * 1e-3;
}

}  // namespace ladder::cuda
