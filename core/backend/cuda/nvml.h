// Two facts that the driver API does not tell: the driver's version and the clock a GPU runs at now.
#ifndef LADDER_CORE_BACKEND_CUDA_NVML_H_
#define LADDER_CORE_BACKEND_CUDA_NVML_H_

#include <string>

namespace ladder::cuda {

// "580.159.04"; empty if neither NVML nor /proc tells.
std::string DriverVersion();
// SM clock of the GPU with that UUID ("GPU-..."), in GHz; 0 if unknown.
double CurrentClockGhz(const std::string& uuid);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_NVML_H_
