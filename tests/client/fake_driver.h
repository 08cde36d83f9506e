// A CUDA driver that runs nothing and records everything. Device memory is host memory.
#ifndef LADDER_TESTS_CLIENT_FAKE_DRIVER_H_
#define LADDER_TESTS_CLIENT_FAKE_DRIVER_H_

#include <string>
#include <vector>

#include "client/cuda_driver.h"
#include "client/kernel_arguments.h"

namespace ladder::client {

struct RecordedMap {
  int type = 0;
  const void* address = nullptr;
  uint64_t columns = 0, rows = 0, stride = 0;
  uint32_t box_columns = 0, box_rows = 0;
  int swizzle = 0;
};

struct RecordedLaunch {
  std::string function;  // module image + ":" + entry
  CuLaunchConfig config;
  std::vector<CuLaunchAttribute> attributes;
  MatmulTmaArguments matmul;  // what the parameter pointed to, if the entry is not a pack kernel
  PackArguments pack;         // ... and if it is
};

// The state behind the fake entry points, one per process (the entry points are plain functions).
struct FakeGpu {
  int devices = 1;
  int major = 9, minor = 0;
  CuResult load_result = 0;    // of cuModuleLoadData
  CuResult launch_result = 0;  // of cuLaunchKernelEx
  std::vector<RecordedLaunch> launches;
  std::vector<RecordedMap> maps;
  std::vector<std::string> loaded;  // images, in order
  std::vector<std::string> unloaded;
  std::vector<int> reserved_shared;  // cuFuncSetAttribute of dynamic shared memory
  int synchronizations = 0;
  int contexts_held = 0;
  size_t allocated = 0;  // allocations not freed

  // Back to the start; returns the one instance.
  static FakeGpu& Reset();
  static FakeGpu& Get();
  static const CudaDriver& Driver();
};

}  // namespace ladder::client

#endif  // LADDER_TESTS_CLIENT_FAKE_DRIVER_H_
