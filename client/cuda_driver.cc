#include "client/cuda_driver.h"

#include <dlfcn.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace ladder::client {
namespace {

using GetProcAddress = CuResult (*)(const char* symbol, void** function, int version, uint64_t flags, int* status);

// Newest interface this table was written against: 12.0, the first with every entry point below.
constexpr int kInterfaceVersion = 12000;

// Entry points come through cuGetProcAddress, which picks the version of each that kInterfaceVersion means.
class Resolver {
 public:
  explicit Resolver(GetProcAddress get) : get_(get) {}

  template <typename Function>
  void operator()(Function*& function, const char* name) {
    void* address = nullptr;
    if (get_(name, &address, kInterfaceVersion, 0, nullptr) != 0 || address == nullptr) missing_ = name;
    function = reinterpret_cast<Function*>(address);
  }
  const std::string& missing() const { return missing_; }

 private:
  GetProcAddress get_;
  std::string missing_;
};

absl::StatusOr<const CudaDriver*> Open() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        "no NVIDIA driver was found (libcuda.so.1 can't be opened); install the driver, or run on a machine with a "
        "GPU");
  }
  const auto get = reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  if (get == nullptr) {
    return absl::FailedPreconditionError(
        "the NVIDIA driver is too old: it must support CUDA 12.0 (driver 525 or newer)");
  }
  static CudaDriver driver;
  Resolver resolve(get);
#define LADDER_RESOLVE(name) resolve(driver.name, #name)
  LADDER_RESOLVE(cuInit);
  LADDER_RESOLVE(cuGetErrorName);
  LADDER_RESOLVE(cuDeviceGetCount);
  LADDER_RESOLVE(cuDeviceGet);
  LADDER_RESOLVE(cuDeviceGetAttribute);
  LADDER_RESOLVE(cuDevicePrimaryCtxRetain);
  LADDER_RESOLVE(cuDevicePrimaryCtxRelease);
  LADDER_RESOLVE(cuCtxGetCurrent);
  LADDER_RESOLVE(cuCtxSetCurrent);
  LADDER_RESOLVE(cuThreadExchangeStreamCaptureMode);
  LADDER_RESOLVE(cuModuleLoadData);
  LADDER_RESOLVE(cuModuleUnload);
  LADDER_RESOLVE(cuModuleGetFunction);
  LADDER_RESOLVE(cuFuncSetAttribute);
  LADDER_RESOLVE(cuLaunchKernelEx);
  LADDER_RESOLVE(cuTensorMapEncodeTiled);
  LADDER_RESOLVE(cuMemAlloc);
  LADDER_RESOLVE(cuMemFree);
  LADDER_RESOLVE(cuMemsetD8);
  LADDER_RESOLVE(cuMemcpyHtoD);
  LADDER_RESOLVE(cuMemcpyDtoH);
  LADDER_RESOLVE(cuMemcpyDtoDAsync);
  LADDER_RESOLVE(cuStreamCreate);
  LADDER_RESOLVE(cuStreamSynchronize);
  LADDER_RESOLVE(cuStreamDestroy);
  LADDER_RESOLVE(cuStreamBeginCapture);
  LADDER_RESOLVE(cuStreamEndCapture);
  LADDER_RESOLVE(cuGraphInstantiateWithFlags);
  LADDER_RESOLVE(cuGraphLaunch);
  LADDER_RESOLVE(cuGraphExecDestroy);
  LADDER_RESOLVE(cuGraphDestroy);
#undef LADDER_RESOLVE
  if (!resolve.missing().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the NVIDIA driver is too old: it has no ", resolve.missing(), " (driver 525 or newer does)"));
  }
  if (const CuResult error = driver.cuInit(0); error != 0) {
    const char* name = nullptr;
    driver.cuGetErrorName(error, &name);
    return absl::FailedPreconditionError(absl::StrCat("no GPU is usable: the NVIDIA driver's cuInit says ",
                                                      name != nullptr ? name : "an unknown error", " (", error, ")"));
  }
  return &driver;
}

}  // namespace

absl::StatusOr<const CudaDriver*> CudaDriver::Load() {
  static const absl::StatusOr<const CudaDriver*> driver = Open();
  return driver;
}

absl::Status CudaDriver::Check(CuResult result, absl::string_view doing) const {
  if (result == 0) return absl::OkStatus();
  const char* name = nullptr;
  cuGetErrorName(result, &name);
  return absl::InternalError(
      absl::StrCat(doing, " failed: ", name != nullptr ? name : "unknown CUDA error", " (", result, ")"));
}

ScopedContext::ScopedContext(const CudaDriver& driver, CuContext context) : driver_(driver) {
  driver_.cuCtxGetCurrent(&former_);
  driver_.cuCtxSetCurrent(context);
}

ScopedContext::~ScopedContext() { driver_.cuCtxSetCurrent(former_); }

}  // namespace ladder::client
