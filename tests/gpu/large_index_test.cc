// Sizes at which 32-bit index arithmetic would wrap: outputs, weights and activations of more than 2^31 elements.
#include <gtest/gtest.h>

#include "tests/gpu/gpu_test.h"

namespace ladder {
namespace {

class LargeIndex : public GpuTest {
 protected:
  // Every schedule that serves the operator, by its best predicted candidate, on one workload.
  void VerifyAll(const OperatorDescriptor& descriptor, int64_t m) {
    const std::unique_ptr<CudaDevice> device = OpenWithBudget(int64_t{20} << 30);
    if (device == nullptr) GTEST_SKIP() << "needs 21 GiB of free GPU memory";
    const NormalizedOperator op = MakeOperator(descriptor);
    int verified = 0;
    for (const auto& schedule : gpu().catalog.schedules) {
      if (!schedule->Supports(op, m, gpu().target).ok()) continue;
      const std::vector<Candidate> candidates = schedule->Enumerate(op, m, gpu().target);
      if (candidates.empty()) continue;
      const auto best = std::ranges::min_element(candidates, {}, [&](const Candidate& candidate) {
        return schedule->Predict(op, m, candidate, gpu().target);
      });
      const absl::StatusOr<LoweredKernel> lowered = schedule->Lower(op, *best, gpu().target);
      ASSERT_TRUE(lowered.ok()) << lowered.status();
      const CompileRequest request = {gpu().target.arch, lowered->source, lowered->launch.entry};
      const auto compiled = gpu().compiler->Compile({&request, 1}, nullptr).front();
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      const absl::StatusOr<Verification> result =
          device->Verify({op, m, 21}, {compiled->binary, lowered->launch, lowered->numerics});
      ASSERT_TRUE(result.ok()) << best->ToString() << ": " << result.status();
      EXPECT_TRUE(result->passed) << best->ToString() << ": " << result->detail;
      verified++;
    }
    EXPECT_GT(verified, 0);
  }
};

TEST_F(LargeIndex, Output) { VerifyAll({.w = "int4", .group = 64, .n = 65536, .k = 64}, 33000); }
TEST_F(LargeIndex, QuantisedWeightAtOneRow) { VerifyAll({.w = "nf4", .group = 128, .n = 65600, .k = 32768}, 1); }
TEST_F(LargeIndex, QuantisedWeightAtManyRows) { VerifyAll({.w = "nf4", .group = 128, .n = 65600, .k = 32768}, 200); }
TEST_F(LargeIndex, DenseWeight) { VerifyAll({.w = "fp16", .n = 65600, .k = 32768}, 40); }
TEST_F(LargeIndex, Activations) { VerifyAll({.w = "int4", .group = 128, .n = 64, .k = 32768}, 65600); }
TEST_F(LargeIndex, DenseOutput) { VerifyAll({.w = "fp16", .n = 65536, .k = 64}, 33000); }

}  // namespace
}  // namespace ladder
