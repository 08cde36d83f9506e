// What the driver API does not tell: the driver's version, the clock a GPU runs at now and what lowers it, and who else
// uses it. Every function finds nothing where there is no NVML or where it knows no such GPU.
#ifndef LADDER_CORE_BACKEND_CUDA_NVML_H_
#define LADDER_CORE_BACKEND_CUDA_NVML_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace ladder::cuda {

// "580.159.04"; empty if neither NVML nor /proc tells.
std::string DriverVersion();
// SM clock of the GPU with that UUID ("GPU-..."), in GHz; 0 if unknown.
double CurrentClockGhz(const std::string& uuid);
// Whether heat or a power brake lowers its clocks now. A power limit that heavy kernels run into does not count: it is
// theirs wherever they run.
bool IsThrottled(const std::string& uuid);
// Percent of the last sample period (at most a second) in which any kernel ran, ours or another's.
std::optional<int> BusyPercent(const std::string& uuid);
// Processes with a compute context on it besides this one, which has one.
std::optional<int> OtherProcesses(const std::string& uuid);
// The same of a list of process numbers. In a container that has process numbers of its own the list may be empty,
// which tells nothing, or hold this process under another number.
std::optional<int> CountOthers(std::span<const uint32_t> processes, uint32_t own);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_NVML_H_
