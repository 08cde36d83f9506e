// The real compiler, without a GPU: the support kernels for every architecture, and what goes wrong. Candidates of the
// schedules: tests/schedules.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/backend/compile_log.h"
#include "core/backend/cuda/nvrtc.h"
#include "schedules/catalog.h"
#include "schedules/support/support.h"
#include "tests/gpu/faulty_kernel.h"

namespace ladder {
namespace {

class CudaCompilerTest : public testing::Test {
 protected:
  CudaCompilerTest() : catalog_(MakeCatalog()), compiler_(catalog_.sources) {}
  void SetUp() override {
    if (compiler_.Version().empty()) GTEST_SKIP() << FindNvrtc({}).status();
  }
  absl::StatusOr<CompiledKernel> CompileText(const std::string& arch, const std::string& text) {
    const CompileRequest request = {arch, {text, {}}, "ladder_kernel"};
    return compiler_.Compile({&request, 1}, nullptr).front();
  }
  ScheduleCatalog catalog_;
  CudaCompiler compiler_;
};

constexpr char kSmallKernel[] = "extern \"C\" __global__ void ladder_kernel(float* p) { p[threadIdx.x] = 1; }";

TEST_F(CudaCompilerTest, NamesItsVersionToThePatch) {
  EXPECT_TRUE(absl::StartsWith(compiler_.Version(), "nvrtc 1"));
  EXPECT_EQ(std::ranges::count(compiler_.Version(), '.'), 2) << compiler_.Version();
}

TEST_F(CudaCompilerTest, AMissingLibraryInTheSearchListIsPassedOver) {
  const std::vector<std::string> candidates = NvrtcCandidates({"/nowhere/libnvrtc.so.13"});
  ASSERT_FALSE(candidates.empty());
  EXPECT_EQ(candidates.front(), "/nowhere/libnvrtc.so.13");
  EXPECT_TRUE(FindNvrtc({"/nowhere/libnvrtc.so.13"}).ok());
}

TEST_F(CudaCompilerTest, ReportsRegisters) {
  const absl::StatusOr<CompiledKernel> kernel = CompileText("sm_90a", kSmallKernel);
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_GT(kernel->registers, 0);
  EXPECT_EQ(kernel->spill_bytes, 0);
  EXPECT_GT(kernel->compile_ms, 0);
  EXPECT_EQ(kernel->binary.substr(1, 3), "ELF");
}

// What ladder_gpu_faults_test and ladder_gpu_busy_test run where there is a GPU.
TEST_F(CudaCompilerTest, TheFaultyKernelsOfTheGpuTestsCompile) {
  for (const char* fault : {"illegal", "misaligned", "loop"}) {
    const absl::StatusOr<CompiledKernel> kernel = CompileText("sm_90a", FaultyKernel(fault));
    ASSERT_TRUE(kernel.ok()) << fault << kernel.status();
  }
}

TEST_F(CudaCompilerTest, WritesPtxForAVirtualArchitecture) {
  const absl::StatusOr<CompiledKernel> kernel = CompileText("compute_80", kSmallKernel);
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_TRUE(absl::StrContains(kernel->binary, ".target sm_80"));
}

TEST_F(CudaCompilerTest, NamesAnUnknownArchitecture) {
  for (const char* arch : {"sm_42", "gfx90a", "", "sm_", "sm_x", "compute_999"}) {
    const absl::StatusOr<CompiledKernel> kernel = CompileText(arch, kSmallKernel);
    EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(kernel.status().message(), absl::StrCat("'", arch, "'"))) << kernel.status();
    EXPECT_TRUE(absl::StrContains(kernel.status().message(), "sm_90")) << kernel.status();
  }
}

TEST_F(CudaCompilerTest, QuotesTheErrorOfABadSource) {
  const absl::StatusOr<CompiledKernel> kernel =
      CompileText("sm_80", "extern \"C\" __global__ void ladder_kernel() { nonsense; }");
  EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(kernel.status().message(), "nonsense")) << kernel.status();
}

TEST_F(CudaCompilerTest, OneBadRequestCostsOnlyItself) {
  std::vector<CompileRequest> requests;
  for (int i = 0; i < 5; i++) requests.push_back({"sm_80", {i == 2 ? "#error no" : kSmallKernel, {}}, "ladder_kernel"});
  std::atomic<int> done = 0;
  const auto results = compiler_.Compile(requests, [&](size_t) { done++; });
  ASSERT_EQ(results.size(), 5);
  EXPECT_EQ(done, 5);
  for (int i = 0; i < 5; i++) EXPECT_EQ(results[i].ok(), i != 2) << i;
}

TEST_F(CudaCompilerTest, FindsGeneratedHeaders) {
  const CompileRequest request = {
      "sm_80",
      {absl::StrCat("#include \"made/up.cuh\"\n", kSmallKernel), {{"made/up.cuh", "struct A {};"}}},
      "ladder_kernel"};
  const auto results = compiler_.Compile({&request, 1}, nullptr);
  EXPECT_TRUE(results.front().ok()) << results.front().status();
}

class EveryArchitecture : public CudaCompilerTest, public testing::WithParamInterface<std::string> {};

TEST_P(EveryArchitecture, CompilesTheSupportKernels) {
  const CompileRequest request = {GetParam(), SupportSource(), kSupportEntry};
  const auto results = compiler_.Compile({&request, 1}, nullptr);
  ASSERT_TRUE(results.front().ok()) << results.front().status();
  EXPECT_EQ(ParsePtxasLog(results.front()->log, "ladder_reference").spill_bytes, 0);
  for (const char* entry : {"ladder_pack", "ladder_unpack", "ladder_random", "ladder_reference", "ladder_compare",
                            "ladder_hash", "ladder_read", "ladder_empty"}) {
    EXPECT_TRUE(absl::StrContains(results.front()->log, absl::StrCat("'", entry, "'"))) << entry;
  }
}

INSTANTIATE_TEST_SUITE_P(Names, EveryArchitecture,
                         testing::Values("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace ladder
