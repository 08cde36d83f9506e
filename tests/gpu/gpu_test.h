// What every test on a GPU starts from: the device, a compiler and the loaded support kernels, opened once per process.
#ifndef LADDER_TESTS_GPU_GPU_TEST_H_
#define LADDER_TESTS_GPU_GPU_TEST_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/backend/cuda/cuda_device.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/nvrtc.h"
#include "core/backend/cuda/support_kernels.h"
#include "core/schedule/schedule.h"

namespace ladder {

struct GpuEnvironment {
  ScheduleCatalog catalog;
  std::unique_ptr<CudaCompiler> compiler;
  std::unique_ptr<CudaDevice> device;
  Target target;
  CompiledKernel support_binary;
  std::unique_ptr<cuda::Context> context;
  std::unique_ptr<cuda::Stream> stream;
  std::unique_ptr<cuda::SupportKernels> support;

  // Null, and `reason` set, where no GPU can be used. Aborts the process where there is one that does not work.
  static GpuEnvironment* Get(std::string& reason);
};

class GpuTest : public testing::Test {
 protected:
  void SetUp() override;
  GpuEnvironment& gpu() { return *gpu_; }
  // A second device object with its own memory budget, support kernels loaded. Skips the test if that much memory isn't
  // free.
  std::unique_ptr<CudaDevice> OpenWithBudget(int64_t bytes);

  GpuEnvironment* gpu_ = nullptr;
};

// The descriptor's operator; fails the test if it has none.
NormalizedOperator MakeOperator(const OperatorDescriptor& descriptor);

// Compiles `text` for the GPU at hand; fails the test with the log otherwise.
CompiledKernel MustCompile(GpuEnvironment& gpu, const std::string& text);

}  // namespace ladder

#endif  // LADDER_TESTS_GPU_GPU_TEST_H_
