// The driver's functions, looked up once. Internal to this folder.
#ifndef LADDER_CORE_BACKEND_CUDA_DRIVER_API_H_
#define LADDER_CORE_BACKEND_CUDA_DRIVER_API_H_

#include <cuda.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder::cuda {

// Symbols are spelled out with their version suffix: the header's macros name the newest, which an older driver of the
// same major version need not have.
#define LADDER_DRIVER_FUNCTIONS(F)                                                \
  F(Init, cuInit, "cuInit")                                                       \
  F(DriverGetVersion, cuDriverGetVersion, "cuDriverGetVersion")                   \
  F(GetErrorName, cuGetErrorName, "cuGetErrorName")                               \
  F(GetErrorString, cuGetErrorString, "cuGetErrorString")                         \
  F(DeviceGetCount, cuDeviceGetCount, "cuDeviceGetCount")                         \
  F(DeviceGet, cuDeviceGet, "cuDeviceGet")                                        \
  F(DeviceGetName, cuDeviceGetName, "cuDeviceGetName")                            \
  F(DeviceGetUuid, cuDeviceGetUuid, "cuDeviceGetUuid_v2")                         \
  F(DeviceGetAttribute, cuDeviceGetAttribute, "cuDeviceGetAttribute")             \
  F(DeviceTotalMem, cuDeviceTotalMem, "cuDeviceTotalMem_v2")                      \
  F(PrimaryCtxRetain, cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")       \
  F(PrimaryCtxRelease, cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2") \
  F(CtxSetCurrent, cuCtxSetCurrent, "cuCtxSetCurrent")                            \
  F(CtxSynchronize, cuCtxSynchronize, "cuCtxSynchronize")                         \
  F(MemGetInfo, cuMemGetInfo, "cuMemGetInfo_v2")                                  \
  F(MemAlloc, cuMemAlloc, "cuMemAlloc_v2")                                        \
  F(MemFree, cuMemFree, "cuMemFree_v2")                                           \
  F(MemcpyHtoDAsync, cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2")                   \
  F(MemcpyDtoHAsync, cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2")                   \
  F(MemcpyDtoDAsync, cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2")                   \
  F(MemsetD8Async, cuMemsetD8Async, "cuMemsetD8Async")                            \
  F(StreamCreate, cuStreamCreate, "cuStreamCreate")                               \
  F(StreamDestroy, cuStreamDestroy, "cuStreamDestroy_v2")                         \
  F(StreamSynchronize, cuStreamSynchronize, "cuStreamSynchronize")                \
  F(StreamBeginCapture, cuStreamBeginCapture, "cuStreamBeginCapture_v2")          \
  F(StreamEndCapture, cuStreamEndCapture, "cuStreamEndCapture")                   \
  F(GraphInstantiate, cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags") \
  F(GraphDestroy, cuGraphDestroy, "cuGraphDestroy")                               \
  F(GraphExecDestroy, cuGraphExecDestroy, "cuGraphExecDestroy")                   \
  F(GraphLaunch, cuGraphLaunch, "cuGraphLaunch")                                  \
  F(EventCreate, cuEventCreate, "cuEventCreate")                                  \
  F(EventDestroy, cuEventDestroy, "cuEventDestroy_v2")                            \
  F(EventRecord, cuEventRecord, "cuEventRecord")                                  \
  F(EventElapsedTime, cuEventElapsedTime, "cuEventElapsedTime")                   \
  F(ModuleLoadData, cuModuleLoadData, "cuModuleLoadData")                         \
  F(ModuleUnload, cuModuleUnload, "cuModuleUnload")                               \
  F(ModuleGetFunction, cuModuleGetFunction, "cuModuleGetFunction")                \
  F(FuncSetAttribute, cuFuncSetAttribute, "cuFuncSetAttribute")                   \
  F(LaunchKernelEx, cuLaunchKernelEx, "cuLaunchKernelEx")                         \
  F(TensorMapEncodeTiled, cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled")

struct DriverApi {
#define LADDER_FIELD(name, function, symbol) decltype(&::function) name = nullptr;
  LADDER_DRIVER_FUNCTIONS(LADDER_FIELD)
#undef LADDER_FIELD
};

// The loaded and initialised driver; the same error on every call if there is none. Thread-safe.
absl::StatusOr<const DriverApi*> Driver();
// REQUIRES: Driver() is ok.
const DriverApi& Api();

// Ok, or "what: CUDA_ERROR_... (text)" under the right code.
absl::Status ToStatus(CUresult result, absl::string_view what);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_DRIVER_API_H_
