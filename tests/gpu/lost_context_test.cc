// A kernel that breaks the context: its call says so, and every later one says what to do. Alone in its program.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/gpu/gpu_test.h"
#include "tests/gpu/plain_kernel.h"

namespace ladder {
namespace {

class LostContext : public GpuTest {};

TEST_F(LostContext, SaysSoAndStaysLost) {
  const NormalizedOperator op = MakeOperator({.w = "fp16", .n = 128, .k = 64});
  const CompiledKernel bad = MustCompile(gpu(), PlainKernel(op, Fault::kIllegalAddress));
  const CompiledKernel good = MustCompile(gpu(), PlainKernel(op, Fault::kNone));
  const KernelBinary good_binary = {good.binary, PlainLaunch(op, Fault::kNone), {}};
  ASSERT_TRUE(gpu().device->Verify({op, 3, 1}, good_binary).ok());
  const absl::StatusOr<Verification> broken =
      gpu().device->Verify({op, 3, 1}, {bad.binary, PlainLaunch(op, Fault::kIllegalAddress), {}});
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kInternal) << broken.status();
  EXPECT_TRUE(absl::StrContains(broken.status().message(), "CUDA_ERROR_ILLEGAL_ADDRESS")) << broken.status();
  for (int i = 0; i < 2; i++) {
    const absl::StatusOr<Verification> later = gpu().device->Verify({op, 3, 1}, good_binary);
    EXPECT_EQ(later.status().code(), absl::StatusCode::kFailedPrecondition) << later.status();
    EXPECT_EQ(later.status().message(), "the GPU context is lost: restart the worker");
  }
  EXPECT_EQ(gpu().device->ProfileYardstick({op, 1, 1}, "empty", {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace ladder
