#include "tests/client/fake_driver.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

namespace ladder::client {
namespace {

struct FakeFunction {
  std::string name;
};
struct FakeModule {
  std::string image;
  std::vector<std::unique_ptr<FakeFunction>> functions;
};

std::mutex mutex;  // the watcher loads on a thread of its own
FakeGpu gpu;
int context;

CuResult Launch(const CuLaunchConfig* config, CuFunction function, void** parameters, void**) {
  std::lock_guard lock(mutex);
  if (gpu.launch_result != 0) return gpu.launch_result;
  RecordedLaunch launch;
  launch.function = static_cast<FakeFunction*>(function)->name;
  launch.config = *config;
  launch.attributes.assign(config->attributes, config->attributes + config->attribute_count);
  if (launch.function.find("pack") != std::string::npos) {
    launch.pack = *static_cast<PackArguments*>(parameters[0]);
  } else {
    launch.matmul = *static_cast<MatmulTmaArguments*>(parameters[0]);
  }
  gpu.launches.push_back(launch);
  return 0;
}

CuResult EncodeMap(CuTensorMap* map, int type, uint32_t, void* address, const uint64_t* dimensions,
                   const uint64_t* strides, const uint32_t* box, const uint32_t*, int, int swizzle, int, int) {
  std::lock_guard lock(mutex);
  gpu.maps.push_back({type, address, dimensions[0], dimensions[1], strides[0], box[0], box[1], swizzle});
  map->opaque[0] = gpu.maps.size();  // so that a launch tells which map it was given
  return 0;
}

CuResult Load(CuModule* module, const void* image) {
  std::lock_guard lock(mutex);
  if (gpu.load_result != 0) return gpu.load_result;
  auto* fake = new FakeModule{static_cast<const char*>(image), {}};
  gpu.loaded.push_back(fake->image);
  *module = fake;
  return 0;
}

CuResult Unload(CuModule module) {
  std::lock_guard lock(mutex);
  gpu.unloaded.push_back(static_cast<FakeModule*>(module)->image);
  delete static_cast<FakeModule*>(module);
  return 0;
}

CuResult GetFunction(CuFunction* function, CuModule module, const char* name) {
  auto* fake = static_cast<FakeModule*>(module);
  fake->functions.push_back(std::make_unique<FakeFunction>(FakeFunction{fake->image + ":" + name}));
  *function = fake->functions.back().get();
  return 0;
}

CuResult SetAttribute(CuFunction, int attribute, int value) {
  std::lock_guard lock(mutex);
  if (attribute == kMaxDynamicSharedBytes) gpu.reserved_shared.push_back(value);
  return 0;
}

CudaDriver MakeDriver() {
  CudaDriver driver = {};
  driver.cuInit = [](unsigned) { return 0; };
  driver.cuGetErrorName = [](CuResult, const char** name) {
    *name = "CUDA_ERROR_FAKE";
    return 0;
  };
  driver.cuDeviceGetCount = [](int* count) {
    *count = gpu.devices;
    return 0;
  };
  driver.cuDeviceGet = [](CuDevice* device, int ordinal) {
    *device = ordinal;
    return 0;
  };
  driver.cuDeviceGetAttribute = [](int* value, int attribute, CuDevice) {
    *value = attribute == kComputeCapabilityMajor ? gpu.major : gpu.minor;
    return 0;
  };
  driver.cuDevicePrimaryCtxRetain = [](CuContext* out, CuDevice) {
    gpu.contexts_held++;
    *out = &context;
    return 0;
  };
  driver.cuDevicePrimaryCtxRelease = [](CuDevice) {
    gpu.contexts_held--;
    return 0;
  };
  driver.cuCtxGetCurrent = [](CuContext* out) {
    *out = nullptr;
    return 0;
  };
  driver.cuCtxSetCurrent = [](CuContext) { return 0; };
  driver.cuThreadExchangeStreamCaptureMode = [](int*) { return 0; };
  driver.cuModuleLoadData = Load;
  driver.cuModuleUnload = Unload;
  driver.cuModuleGetFunction = GetFunction;
  driver.cuFuncSetAttribute = SetAttribute;
  driver.cuLaunchKernelEx = Launch;
  driver.cuTensorMapEncodeTiled = EncodeMap;
  driver.cuMemAlloc = [](CuDevicePtr* pointer, size_t bytes) {
    gpu.allocated++;
    *pointer = reinterpret_cast<CuDevicePtr>(std::malloc(bytes));
    return 0;
  };
  driver.cuMemFree = [](CuDevicePtr pointer) {
    gpu.allocated--;
    std::free(reinterpret_cast<void*>(pointer));
    return 0;
  };
  driver.cuMemsetD8 = [](CuDevicePtr pointer, unsigned char value, size_t bytes) {
    std::memset(reinterpret_cast<void*>(pointer), value, bytes);
    return 0;
  };
  driver.cuMemcpyDtoDAsync = [](CuDevicePtr to, CuDevicePtr from, size_t bytes, CuStream) {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return 0;
  };
  driver.cuStreamSynchronize = [](CuStream) {
    gpu.synchronizations++;
    return 0;
  };
  return driver;
}

}  // namespace

FakeGpu& FakeGpu::Reset() {
  std::lock_guard lock(mutex);
  gpu = FakeGpu();
  return gpu;
}

FakeGpu& FakeGpu::Get() { return gpu; }

const CudaDriver& FakeGpu::Driver() {
  static const CudaDriver driver = MakeDriver();
  return driver;
}

}  // namespace ladder::client
