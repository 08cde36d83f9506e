// Every primitive on the hardware against the emulator's version: the same text, the same inputs, the same bits.
#include <gtest/gtest.h>

#include <cstring>

#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/nvrtc.h"
#include "schedules/catalog.h"
#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

#define ASSERT_OK_AND_ASSIGN(lhs, expression)      \
  auto lhs##_or = (expression);                    \
  ASSERT_TRUE(lhs##_or.ok()) << lhs##_or.status(); \
  auto& lhs = *lhs##_or

#define ASSERT_OK(expression)                  \
  do {                                         \
    const absl::Status status_ = (expression); \
    ASSERT_TRUE(status_.ok()) << status_;      \
  } while (false)

CudaCompiler& Nvrtc() {
  static CudaCompiler& compiler = *new CudaCompiler(MakeCatalog().sources);
  return compiler;
}

// The GPU under test, or nothing; kept for the life of the process.
absl::StatusOr<cuda::Context*> OpenGpu() {
  const absl::Status driver = cuda::DriverStatus();
  if (!driver.ok()) return driver;
  if (cuda::DeviceCount() == 0) return absl::NotFoundError("the driver sees no GPU");
  static absl::StatusOr<std::unique_ptr<cuda::Context>>& context =
      *new absl::StatusOr<std::unique_ptr<cuda::Context>>(cuda::Context::Open(0));
  if (!context.ok()) return context.status();
  return context->get();
}

class PrimitivesGpuTest : public testing::TestWithParam<PrimitiveCase> {};

void RunOnGpu(const PrimitiveCase& c, const std::string& arch, std::vector<uint32_t>& y) {
  const CompileRequest request = PrimitiveRequest(c, arch);
  ASSERT_OK_AND_ASSIGN(compiled, Nvrtc().Compile({&request, 1}, nullptr)[0]);
  ASSERT_OK_AND_ASSIGN(stream, cuda::Stream::Create());
  ASSERT_OK_AND_ASSIGN(module, cuda::Module::Load(compiled.binary));
  ASSERT_OK_AND_ASSIGN(function, module.Function("ladder_kernel"));
  ASSERT_OK(cuda::AllowSharedMemory(function, c.shared_bytes));
  const int64_t x_bytes = static_cast<int64_t>(c.x.size()) * 4, w_bytes = static_cast<int64_t>(c.w.size()) * 4;
  ASSERT_OK_AND_ASSIGN(x, cuda::Memory::Allocate(x_bytes));
  ASSERT_OK_AND_ASSIGN(w, cuda::Memory::Allocate(w_bytes));
  ASSERT_OK_AND_ASSIGN(out, cuda::Memory::Allocate(c.y_words * 4));
  ASSERT_OK_AND_ASSIGN(workspace, cuda::Memory::Allocate(c.workspace_words * 4 + 4));
  ASSERT_OK(stream.Upload(x.pointer(), c.x.data(), x_bytes));
  ASSERT_OK(stream.Upload(w.pointer(), c.w.data(), w_bytes));
  ASSERT_OK(stream.Fill(out.pointer(), 0xff, c.y_words * 4));
  ASSERT_OK(stream.Fill(workspace.pointer(), 0, c.workspace_words * 4 + 4));
  auto pointer = [](const cuda::Memory& memory) { return reinterpret_cast<void*>(memory.pointer()); };
  MatmulTmaArguments arguments = {};
  arguments.base.x = pointer(x);
  arguments.base.w = pointer(w);
  arguments.base.y = pointer(out);
  arguments.base.workspace = pointer(workspace);
  arguments.base.m = c.m;
  if (c.tensor_map) {
    ASSERT_OK_AND_ASSIGN(map, cuda::EncodeTensorMap(x.pointer(), c.map.rows, c.map.columns, false, c.map.box_columns,
                                                    c.map.box_rows, c.map.swizzle_bytes));
    static_assert(sizeof(map) == sizeof(arguments.x_map));
    std::memcpy(&arguments.x_map, &map, sizeof(map));
  }
  cuda::LaunchShape shape;
  shape.grid = c.blocks;
  shape.cluster = c.cluster;
  shape.threads = 128;
  shape.shared_bytes = c.shared_bytes;
  ASSERT_OK(cuda::Launch(function, shape, &arguments, stream));
  ASSERT_OK(stream.Synchronize());
  y.resize(c.y_words);
  ASSERT_OK(stream.Download(y.data(), out.pointer(), c.y_words * 4));
}

TEST_P(PrimitivesGpuTest, HardwareAndEmulatorAgree) {
  const absl::StatusOr<cuda::Context*> context = OpenGpu();
  if (!context.ok()) GTEST_SKIP() << context.status().message();
  ASSERT_OK((*context)->MakeCurrent());
  ASSERT_OK_AND_ASSIGN(target, (*context)->DescribeTarget());
  const PrimitiveCase& c = GetParam();
  if (target.capability() < c.capability || (c.wgmma && !target.has_wgmma())) {
    GTEST_SKIP() << c.name << " does not exist on " << target.arch;
  }
  std::vector<uint32_t> hardware;
  RunOnGpu(c, target.arch, hardware);
  if (HasFatalFailure()) return;
  EmulatorCompiler compiler;
  ASSERT_OK_AND_ASSIGN(emulated, RunPrimitive(compiler, c, 0));
  ASSERT_EQ(hardware.size(), emulated.size());
  for (size_t i = 0; i < emulated.size(); ++i) {
    ASSERT_TRUE(SameWord(c, hardware[i], emulated[i])) << "word " << i << " of " << c.name << " on " << target.model
                                                       << ": " << hardware[i] << ", emulated " << emulated[i];
  }
}

// Without a GPU the texts are held to the real compiler at least.
TEST_P(PrimitivesGpuTest, TheRealCompilerTakesTheText) {
  if (Nvrtc().Version().empty()) GTEST_SKIP() << "no NVRTC is installed";
  const CompileRequest request = PrimitiveRequest(GetParam(), GetParam().capability < 90 ? "sm_80" : "sm_90a");
  const auto compiled = Nvrtc().Compile({&request, 1}, nullptr);
  EXPECT_TRUE(compiled[0].ok()) << compiled[0].status();
}

INSTANTIATE_TEST_SUITE_P(All, PrimitivesGpuTest, testing::ValuesIn(PrimitiveCases()),
                         [](const testing::TestParamInfo<PrimitiveCase>& info) { return info.param.name; });

}  // namespace
}  // namespace ladder::emulator
