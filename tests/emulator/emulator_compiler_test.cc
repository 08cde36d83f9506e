#include "tests/emulator/emulator_compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/kernel_image.h"

namespace ladder {
namespace {

CompileRequest Request(const std::string& body) {
  CompileRequest request;
  request.arch = "sm_90a";
  request.source.text =
      "#include \"schedules/device/ptx.cuh\"\nnamespace ladder {\nLADDER_KERNEL void ladder_kernel(const "
      "MatmulArguments p) { " +
      body + " }\n}\n";
  return request;
}

TEST(EmulatorCompilerTest, AnErrorCostsItsRequestOnly) {
  EmulatorCompiler compiler;
  const CompileRequest requests[] = {Request("block_sync();"), Request("no_such_primitive();"),
                                     Request("warp_sync();")};
  std::vector<int> done(3);
  auto results = compiler.Compile(requests, [&](size_t i) { ++done[i]; });
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[0].ok()) << results[0].status();
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(results[1].status().message()), testing::HasSubstr("no_such_primitive"));
  EXPECT_TRUE(results[2].ok());
  EXPECT_THAT(done, testing::Each(1));
  EXPECT_GT(results[0]->compile_ms, 0);
}

TEST(EmulatorCompilerTest, TheArchitectureIsVisible) {
  EmulatorCompiler compiler;
  CompileRequest request = Request("static_assert(__CUDA_ARCH__ == 860);");
  request.arch = "sm_86";
  EXPECT_TRUE(compiler.Compile({&request, 1}, nullptr)[0].ok());
}

// Fails every request, as a compiler that finds mistakes the host compiler accepts.
class Strict : public Compiler {
 public:
  std::string Version() const override { return "strict 1"; }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override {
    std::vector<absl::StatusOr<CompiledKernel>> results;
    for (const CompileRequest& request : requests) {
      if (request.source.text.find("warp_sync") != std::string::npos) {
        results.push_back(absl::InvalidArgumentError("strict: no warp_sync"));
      } else {
        CompiledKernel kernel;
        kernel.binary = "a cubin";
        kernel.registers = 40;
        results.push_back(kernel);
      }
    }
    return results;
  }
};

TEST(CombinedCompilerTest, TheRealCompilerHasTheFirstWord) {
  Strict strict;
  EmulatorCompiler emulator;
  CombinedCompiler compiler(strict, emulator);
  const CompileRequest requests[] = {Request("warp_sync();"), Request("block_sync();")};
  std::vector<int> done(2);
  auto results = compiler.Compile(requests, [&](size_t i) { ++done[i]; });
  EXPECT_EQ(results[0].status().message(), "strict: no warp_sync");
  ASSERT_TRUE(results[1].ok()) << results[1].status();
  EXPECT_EQ(results[1]->registers, 40);
  EXPECT_TRUE(emulator::KernelImage::Load(results[1]->binary).ok());
  EXPECT_THAT(done, testing::Each(1));
  EXPECT_THAT(compiler.Version(), testing::StartsWith("strict 1 + emulator"));
}

TEST(KernelImageTest, RefusesWhatItCannotRun) {
  EXPECT_EQ(emulator::KernelImage::Load("a cubin").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(emulator::KernelImage::Load("\x7f"
                                        "ELF broken")
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ladder
