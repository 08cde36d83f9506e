#include "tests/gpu/gpu_test.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "schedules/support/support.h"

namespace ladder {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T>&& result, const char* what) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s: %s\n", what, std::string(result.status().message()).c_str());
  std::abort();
}

std::unique_ptr<GpuEnvironment> Open() {
  auto gpu = std::make_unique<GpuEnvironment>();
  gpu->catalog = MakeCatalog();
  gpu->compiler = std::make_unique<CudaCompiler>(gpu->catalog.sources);
  gpu->device = OrDie(CudaDevice::Open({.memory_budget_bytes = int64_t{4} << 30}), "opening the GPU");
  gpu->target = OrDie(gpu->device->GetTarget(), "describing the GPU");
  const CompileRequest request = {gpu->target.arch, SupportSource(), kSupportEntry};
  gpu->support_binary = OrDie(std::move(gpu->compiler->Compile({&request, 1}, nullptr).front()), "support kernels");
  const absl::Status loaded = gpu->device->LoadSupport(gpu->support_binary);
  gpu->context = OrDie(cuda::Context::Open(0), "opening the context");
  gpu->stream = std::make_unique<cuda::Stream>(OrDie(cuda::Stream::Create(), "creating a stream"));
  gpu->support = std::make_unique<cuda::SupportKernels>(OrDie(
      cuda::SupportKernels::Load(gpu->support_binary.binary, gpu->target.limits.multiprocessors), "support kernels"));
  OrDie(absl::StatusOr<bool>(loaded.ok() ? absl::StatusOr<bool>(true) : loaded), "loading the support kernels");
  return gpu;
}

}  // namespace

GpuEnvironment* GpuEnvironment::Get(std::string& reason) {
  if (CudaDevice::Count() == 0) {
    const absl::Status driver = cuda::DriverStatus();
    reason = driver.ok() ? "the driver sees no GPU" : std::string(driver.message());
    return nullptr;
  }
  // Never destroyed: the driver may be gone when static objects go.
  static GpuEnvironment* const gpu = Open().release();
  return gpu;
}

void GpuTest::SetUp() {
  std::string reason;
  gpu_ = GpuEnvironment::Get(reason);
  if (gpu_ == nullptr) GTEST_SKIP() << reason;
  ASSERT_TRUE(gpu_->context->MakeCurrent().ok());
}

std::unique_ptr<CudaDevice> GpuTest::OpenWithBudget(int64_t bytes) {
  const absl::StatusOr<int64_t> free = gpu_->context->FreeMemory();
  if (!free.ok() || *free < bytes + (int64_t{1} << 30)) return nullptr;
  absl::StatusOr<std::unique_ptr<CudaDevice>> device = CudaDevice::Open({.memory_budget_bytes = bytes});
  EXPECT_TRUE(device.ok()) << device.status();
  if (!device.ok()) return nullptr;
  const absl::Status loaded = (*device)->LoadSupport(gpu_->support_binary);
  EXPECT_TRUE(loaded.ok()) << loaded;
  return loaded.ok() ? *std::move(device) : nullptr;
}

NormalizedOperator MakeOperator(const OperatorDescriptor& descriptor) {
  const absl::StatusOr<NormalizedOperator> op = Normalize(descriptor);
  EXPECT_TRUE(op.ok()) << op.status();
  return op.ok() ? *op : NormalizedOperator();
}

CompiledKernel MustCompile(GpuEnvironment& gpu, const std::string& text) {
  const CompileRequest request = {gpu.target.arch, {text, {}}, "ladder_kernel"};
  absl::StatusOr<CompiledKernel> kernel = std::move(gpu.compiler->Compile({&request, 1}, nullptr).front());
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  return kernel.ok() ? *std::move(kernel) : CompiledKernel();
}

}  // namespace ladder
