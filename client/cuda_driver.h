// The CUDA driver, opened at run time. The few types and values it needs are declared here, so that neither this
// library nor its users need CUDA's headers; a test holds them equal to cuda.h where that is installed.
#ifndef LADDER_CLIENT_CUDA_DRIVER_H_
#define LADDER_CLIENT_CUDA_DRIVER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder::client {

using CuResult = int;
using CuDevice = int;
using CuContext = void*;
using CuModule = void*;
using CuFunction = void*;
using CuStream = void*;
using CuGraph = void*;
using CuGraphExec = void*;
using CuDevicePtr = unsigned long long;

inline constexpr int kComputeCapabilityMajor = 75;
inline constexpr int kComputeCapabilityMinor = 76;
inline constexpr int kMaxDynamicSharedBytes = 8;
inline constexpr int kNonPortableClusterAllowed = 14;
inline constexpr int kClusterDimension = 4;
inline constexpr int kProgrammaticStreamSerialization = 6;
inline constexpr int kStreamNonBlocking = 1;
inline constexpr int kCaptureModeGlobal = 0;
inline constexpr int kCaptureModeRelaxed = 2;
inline constexpr int kTensorFloat16 = 6;
inline constexpr int kTensorBFloat16 = 9;
inline constexpr int kTensorSwizzleNone = 0;
inline constexpr int kTensorSwizzle32B = 1;
inline constexpr int kTensorSwizzle64B = 2;
inline constexpr int kTensorSwizzle128B = 3;
inline constexpr int kTensorL2Promotion256B = 3;

struct CuLaunchAttribute {
  int id = 0;
  char pad[4] = {};
  union {
    char bytes[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int allowed;
  } value = {};
};

struct CuLaunchConfig {
  unsigned grid_x = 1, grid_y = 1, grid_z = 1;
  unsigned block_x = 1, block_y = 1, block_z = 1;
  unsigned shared_bytes = 0;
  CuStream stream = nullptr;
  const CuLaunchAttribute* attributes = nullptr;
  unsigned attribute_count = 0;
};

// A CUtensorMap.
struct alignas(64) CuTensorMap {
  uint64_t opaque[16] = {};
};

// The entry points, named as in cuda.h. A test fills the table with functions of its own.
struct CudaDriver {
  CuResult (*cuInit)(unsigned flags);
  CuResult (*cuGetErrorName)(CuResult error, const char** name);
  CuResult (*cuDeviceGetCount)(int* count);
  CuResult (*cuDeviceGet)(CuDevice* device, int ordinal);
  CuResult (*cuDeviceGetAttribute)(int* value, int attribute, CuDevice device);
  CuResult (*cuDevicePrimaryCtxRetain)(CuContext* context, CuDevice device);
  CuResult (*cuDevicePrimaryCtxRelease)(CuDevice device);
  CuResult (*cuCtxGetCurrent)(CuContext* context);
  CuResult (*cuCtxSetCurrent)(CuContext context);
  CuResult (*cuThreadExchangeStreamCaptureMode)(int* mode);
  CuResult (*cuModuleLoadData)(CuModule* module, const void* image);
  CuResult (*cuModuleUnload)(CuModule module);
  CuResult (*cuModuleGetFunction)(CuFunction* function, CuModule module, const char* name);
  CuResult (*cuFuncSetAttribute)(CuFunction function, int attribute, int value);
  CuResult (*cuLaunchKernelEx)(const CuLaunchConfig* config, CuFunction function, void** parameters, void** extra);
  CuResult (*cuTensorMapEncodeTiled)(CuTensorMap* map, int type, uint32_t rank, void* address,
                                     const uint64_t* dimensions, const uint64_t* strides, const uint32_t* box,
                                     const uint32_t* element_strides, int interleave, int swizzle, int l2_promotion,
                                     int out_of_bounds_fill);
  CuResult (*cuMemAlloc)(CuDevicePtr* pointer, size_t bytes);
  CuResult (*cuMemFree)(CuDevicePtr pointer);
  CuResult (*cuMemsetD8)(CuDevicePtr pointer, unsigned char value, size_t bytes);
  CuResult (*cuMemcpyHtoD)(CuDevicePtr to, const void* from, size_t bytes);
  CuResult (*cuMemcpyDtoH)(void* to, CuDevicePtr from, size_t bytes);
  CuResult (*cuMemcpyDtoDAsync)(CuDevicePtr to, CuDevicePtr from, size_t bytes, CuStream stream);
  CuResult (*cuStreamCreate)(CuStream* stream, unsigned flags);
  CuResult (*cuStreamSynchronize)(CuStream stream);
  CuResult (*cuStreamDestroy)(CuStream stream);
  CuResult (*cuStreamBeginCapture)(CuStream stream, int mode);
  CuResult (*cuStreamEndCapture)(CuStream stream, CuGraph* graph);
  CuResult (*cuGraphInstantiateWithFlags)(CuGraphExec* executable, CuGraph graph, unsigned long long flags);
  CuResult (*cuGraphLaunch)(CuGraphExec executable, CuStream stream);
  CuResult (*cuGraphExecDestroy)(CuGraphExec executable);
  CuResult (*cuGraphDestroy)(CuGraph graph);

  // The machine's driver, opened and initialized once. FailedPrecondition saying what is missing where there is no
  // driver, no GPU, or a driver too old for these entry points.
  static absl::StatusOr<const CudaDriver*> Load();

  // Ok for 0, otherwise Internal with the driver's name of the error and what was being done.
  absl::Status Check(CuResult result, absl::string_view doing) const;
};

// Makes a context current on this thread, and restores the former one at the end of the scope.
class ScopedContext {
 public:
  ScopedContext(const CudaDriver& driver, CuContext context);
  ~ScopedContext();
  ScopedContext(const ScopedContext&) = delete;
  ScopedContext& operator=(const ScopedContext&) = delete;

 private:
  const CudaDriver& driver_;
  CuContext former_ = nullptr;
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_CUDA_DRIVER_H_
