// AMD's real compiler, without a GPU: the support kernels for gfx90a, and what goes wrong, in this process and through
// the worker program. Skipped, with the compiler's own words, where hipRTC is not installed.
#include "core/backend/hip/hiprtc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "schedules/support/support.h"
#include "server/worker/compile_pool.h"

namespace ladder {
namespace {

constexpr char kSmallKernel[] =
    "extern \"C\" __global__ void ladder_kernel(float* p) {\n"
    "  __shared__ float s[256];\n"
    "  s[threadIdx.x] = p[threadIdx.x];\n"
    "  __syncthreads();\n"
    "  p[threadIdx.x] = s[255 - threadIdx.x];\n"
    "}\n";

absl::StatusOr<CompiledKernel> CompileText(Compiler& compiler, const std::string& arch, const std::string& text,
                                           const std::string& entry = "ladder_kernel") {
  const CompileRequest request = {arch, {text, {}}, entry};
  return compiler.Compile({&request, 1}, nullptr).front();
}

class HiprtcTest : public testing::Test {
 protected:
  HiprtcTest() : catalog_(MakeCatalog()), compiler_(catalog_.sources) {}
  void SetUp() override {
    if (compiler_.Version().empty()) GTEST_SKIP() << CompileText(compiler_, "gfx90a", kSmallKernel).status();
  }
  ScheduleCatalog catalog_;
  HiprtcCompiler compiler_;
};

// "version" of the ELF header of an AMD code object: its machine is EM_AMDGPU.
bool IsAmdCodeObject(const std::string& binary) {
  return binary.size() > 20 &&
         binary.substr(0, 4) ==
             "\x7f"
             "ELF" &&
         static_cast<unsigned char>(binary[18]) == 224;
}

TEST_F(HiprtcTest, NamesItsReleaseAndWhatItKnows) {
  EXPECT_TRUE(absl::StartsWith(compiler_.Version(), "hiprtc ")) << compiler_.Version();
  EXPECT_GE(std::ranges::count(compiler_.Version(), '.'), 1) << compiler_.Version();
  const std::vector<std::string> known = compiler_.Architectures();
  EXPECT_EQ(std::ranges::count(known, "gfx90a"), 1);
}

TEST_F(HiprtcTest, ReadsFiguresFromTheCodeObject) {
  const absl::StatusOr<CompiledKernel> kernel = CompileText(compiler_, "gfx90a", kSmallKernel);
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_TRUE(IsAmdCodeObject(kernel->binary));
  EXPECT_EQ(kernel->static_shared_bytes, 256 * 4);
  EXPECT_GT(kernel->registers, 0);
  EXPECT_EQ(kernel->spill_bytes, 0);
  EXPECT_GT(kernel->compile_ms, 0);
}

// More values live at once than gfx90a has vector registers for.
TEST_F(HiprtcTest, CountsSpills) {
  const absl::StatusOr<CompiledKernel> kernel =
      CompileText(compiler_, "gfx90a",
                  "extern \"C\" __global__ void __launch_bounds__(1024) ladder_kernel(float* p) {\n"
                  "  float v[200];\n"
                  "  #pragma unroll\n"
                  "  for (int i = 0; i < 200; i++) v[i] = p[i * 1024 + threadIdx.x];\n"
                  "  __syncthreads();\n"
                  "  #pragma unroll\n"
                  "  for (int i = 0; i < 200; i++) p[i * 1024 + threadIdx.x] = v[i] * v[199 - i];\n"
                  "}\n");
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_GT(kernel->spill_bytes, 0);
  EXPECT_GT(kernel->local_bytes, 0);
}

// hipRTC would abort on these ("munmap_chunk(): invalid pointer").
TEST_F(HiprtcTest, NamesAnUnknownArchitecture) {
  for (const char* arch : {"gfx9999", "gfx", "", "sm_90a", "gfx90a:nonsense+"}) {
    const absl::StatusOr<CompiledKernel> kernel = CompileText(compiler_, arch, kSmallKernel);
    EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument) << arch;
    EXPECT_TRUE(absl::StrContains(kernel.status().message(), absl::StrCat("'", arch, "'"))) << kernel.status();
    EXPECT_TRUE(absl::StrContains(kernel.status().message(), "gfx90a")) << kernel.status();
  }
}

TEST_F(HiprtcTest, QuotesTheErrorOfABadSourceAndGoesOn) {
  std::vector<CompileRequest> requests;
  for (const char* text : {kSmallKernel, "extern \"C\" __global__ void ladder_kernel() { nonsense; }", kSmallKernel}) {
    requests.push_back({"gfx90a", {text, {}}, "ladder_kernel"});
  }
  int done = 0;
  const auto results = compiler_.Compile(requests, [&](size_t) { done++; });
  ASSERT_EQ(results.size(), 3);
  EXPECT_EQ(done, 3);
  EXPECT_TRUE(results[0].ok()) << results[0].status();
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(results[1].status().message(), "nonsense")) << results[1].status();
  EXPECT_TRUE(results[2].ok()) << results[2].status();
}

TEST_F(HiprtcTest, CompilesTheSupportKernels) {
  std::vector<CompileRequest> requests;
  for (const char* entry : {"ladder_compare", "ladder_reference"}) {
    requests.push_back({"gfx90a", SupportSource(), entry});
  }
  const auto results = compiler_.Compile(requests, nullptr);
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->spill_bytes, 0);
    for (const char* entry : {"ladder_pack", "ladder_unpack", "ladder_random", "ladder_reference", "ladder_compare",
                              "ladder_hash", "ladder_read", "ladder_empty"}) {
      EXPECT_TRUE(absl::StrContains(result->binary, absl::StrCat(entry, ".kd"))) << entry;  // its descriptor
    }
  }
  // Of one module, the figures of the entry asked for: the reference has two tiles of 16 x 68 floats, and a table.
  EXPECT_EQ(results[0]->static_shared_bytes, 0);
  EXPECT_EQ(results[1]->static_shared_bytes, 2 * 16 * 68 * 4 + 256 * 4);
}

// A matmul kernel must not slip through: its primitives have no AMD form.
TEST_F(HiprtcTest, RefusesAMatmulSchedule) {
  const absl::StatusOr<CompiledKernel> kernel =
      CompileText(compiler_, "gfx90a", "#include \"schedules/matmul/decode.cuh\"\n");
  EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HiprtcMissing, SaysWhatToInstall) {
  HiprtcCompiler compiler({}, {"/nowhere/libhiprtc.so", "libc.so.6"});  // the second opens, but is no hipRTC
  EXPECT_EQ(compiler.Version(), "");
  EXPECT_TRUE(compiler.Architectures().empty());
  const absl::Status status = CompileText(compiler, "gfx90a", kSmallKernel).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* word : {"libamdhip64-5", "LADDER_HIPRTC", "/nowhere/libhiprtc.so"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), word)) << status;
  }
}

// The worker program takes the vendor's compiler by the architecture.
TEST(HiprtcWorker, CompilesForAmdAndSurvivesAnUnknownArchitecture) {
  CompilePoolOptions options;
  options.command = {LADDER_COMPILE_WORKER, {"--memory-bytes", "8589934592"}};  // the daemon's default
  options.workers = 1;
  WorkerCompiler compiler(options);
  const absl::Status unknown = CompileText(compiler, "gfx9999", kSmallKernel).status();
  if (absl::IsFailedPrecondition(unknown)) GTEST_SKIP() << unknown;
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument) << unknown;
  EXPECT_TRUE(absl::StrContains(unknown.message(), "architecture 'gfx9999' is unknown to hiprtc")) << unknown;
  const absl::StatusOr<CompiledKernel> kernel = CompileText(compiler, "gfx90a", kSmallKernel);
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_TRUE(IsAmdCodeObject(kernel->binary));
  EXPECT_TRUE(absl::StartsWith(compiler.Version(), "nvrtc") || compiler.Version().empty()) << compiler.Version();
}

}  // namespace
}  // namespace ladder
