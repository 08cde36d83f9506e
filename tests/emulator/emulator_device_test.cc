#include "tests/emulator/emulator_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/emulator/emulator_compiler.h"

namespace ladder {
namespace {

// One thread an output: y[t / N, t % N] = x * w^T (+ `error`), fp16.
KernelBinary PlainKernel(const NormalizedOperator& op, const std::string& error) {
  CompileRequest request;
  request.arch = "sm_90a";
  request.source.text = absl::StrCat(
      "#include \"schedules/device/ptx.cuh\"\nnamespace ladder {\nLADDER_KERNEL void ladder_kernel(const "
      "MatmulArguments p) {\n"
      "  const u32 i = block_id() * 32 + thread_id(), n = ",
      op.n(), ", k = ", op.k(),
      ";\n  if (i >= p.m * n) return;\n"
      "  float sum = 0;\n  for (u32 j = 0; j < k; j++) sum += to_float(F16{}, load_global_u16((const u16*)p.x + i / n "
      "* k + j)) * "
      "to_float(F16{}, load_global_u16((const u16*)p.w + i % n * k + j));\n  ",
      error, "\n  store_global_u16((u16*)p.y + i, from_float(F16{}, sum));\n}\n}\n");
  EmulatorCompiler compiler;
  absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&request, 1}, nullptr)[0];
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  KernelBinary kernel;
  if (compiled.ok()) kernel.binary = compiled->binary;
  kernel.launch.threads = 32;
  kernel.launch.blocks_per_m_tile = (op.n() + 31) / 32;
  kernel.launch.max_m = 2;  // several launches for more
  return kernel;
}

NormalizedOperator Plain() {
  OperatorDescriptor d;
  d.w = "fp16";
  d.n = 40;
  d.k = 24;
  return *Normalize(d);
}

TEST(EmulatorDeviceTest, VerifiesEveryElement) {
  EmulatorDevice device;
  const NormalizedOperator op = Plain();
  const auto good = device.Verify({op, 5, 1}, PlainKernel(op, ""));
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_TRUE(good->passed) << good->detail;
  EXPECT_GT(good->worst_ratio, 0);
  EXPECT_LE(good->worst_ratio, 1);

  const auto wrong = device.Verify({op, 5, 1}, PlainKernel(op, "if (i == 7) sum += 1;"));
  ASSERT_TRUE(wrong.ok()) << wrong.status();
  EXPECT_FALSE(wrong->passed);
  EXPECT_EQ(wrong->wrong_elements, 3);  // element 7 of each of three launches
  EXPECT_THAT(wrong->detail, testing::StartsWith("y[0, 7] = "));

  const auto unwritten = device.Verify({op, 1, 1}, PlainKernel(op, "if (i == 39) return;"));
  ASSERT_TRUE(unwritten.ok()) << unwritten.status();
  EXPECT_EQ(unwritten->wrong_elements, 1);
}

TEST(EmulatorDeviceTest, AKernelThatCannotRunIsAnError) {
  EmulatorDevice device;
  const NormalizedOperator op = Plain();
  const auto outside = device.Verify({op, 1, 1}, PlainKernel(op, "load_global_u16((const u16*)p.w + n * k);"));
  EXPECT_EQ(outside.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(outside.status().message()), testing::HasSubstr("out of bounds"));
  KernelBinary foreign;
  foreign.binary = "a cubin";
  EXPECT_EQ(device.Verify({op, 1, 1}, foreign).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EmulatorDeviceTest, TimesAreMeasured) {
  EmulatorDevice device;
  const NormalizedOperator op = Plain();
  const KernelBinary kernels[] = {PlainKernel(op, ""),
                                  PlainKernel(op, "for (int r = 0; r < 3000; r++) load_global_u16(p.x);")};
  ProfilePolicy policy;
  policy.repeats = 3;
  const auto times = device.Profile({op, 2, 1}, kernels, policy);
  ASSERT_TRUE(times.ok()) << times.status();
  ASSERT_EQ(times->size(), 2u);
  EXPECT_EQ((*times)[0].repeats, 3);
  EXPECT_GT((*times)[0].median_us, 0);
  EXPECT_GT((*times)[1].median_us, (*times)[0].median_us);
  EXPECT_EQ(device.ProfileYardstick({op, 2, 1}, "cublaslt_fp16", policy).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(EmulatorDeviceTest, ItsTargetSaysWhatItIs) {
  EmulatorDeviceOptions options;
  options.arch = "sm_80";
  options.multiprocessors = 3;
  EmulatorDevice device(options);
  const auto target = device.GetTarget();
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->arch, "sm_80");
  EXPECT_EQ(target->model, "Ladder emulator of sm_80");
  EXPECT_EQ(target->limits.multiprocessors, 3);
}

}  // namespace
}  // namespace ladder
