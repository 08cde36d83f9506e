// What the device says of itself, what its verification catches, and that its timing makes sense.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "core/backend/cuda/launcher.h"
#include "core/layout/packed_layout.h"
#include "tests/gpu/gpu_test.h"
#include "tests/gpu/plain_kernel.h"

namespace ladder {
namespace {

class GpuDevice : public GpuTest {
 protected:
  absl::StatusOr<Verification> VerifyPlain(const NormalizedOperator& op, Fault fault, int64_t m) {
    const CompiledKernel kernel = MustCompile(gpu(), PlainKernel(op, fault));
    return gpu().device->Verify({op, m, 1}, {kernel.binary, PlainLaunch(op, fault), {}});
  }
  // The best predicted kernel of any schedule for it.
  KernelBinary BestKernel(const NormalizedOperator& op, int64_t m) {
    KernelBinary best;
    double least = 0;
    for (const auto& schedule : gpu().catalog.schedules) {
      if (!schedule->Supports(op, m, gpu().target).ok()) continue;
      for (const Candidate& candidate : schedule->Enumerate(op, m, gpu().target)) {
        const double predicted = schedule->Predict(op, m, candidate, gpu().target);
        if (least > 0 && predicted >= least) continue;
        const absl::StatusOr<LoweredKernel> lowered = schedule->Lower(op, candidate, gpu().target);
        if (!lowered.ok()) continue;
        least = predicted;
        best = {lowered->source.text, lowered->launch, lowered->numerics};
        sources_ = lowered->source;
      }
    }
    const CompileRequest request = {gpu().target.arch, sources_, best.launch.entry};
    const auto compiled = gpu().compiler->Compile({&request, 1}, nullptr).front();
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    best.binary = compiled.ok() ? compiled->binary : "";
    return best;
  }
  KernelSource sources_;
};

const OperatorDescriptor kDense = {.w = "fp16", .n = 200, .k = 136};

TEST_F(GpuDevice, DescribesItself) {
  const absl::StatusOr<Target> target = gpu().device->GetTarget();
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_FALSE(target->model.empty());
  EXPECT_GE(target->capability(), 75);
  EXPECT_GT(target->limits.multiprocessors, 0);
  EXPECT_GE(target->limits.shared_bytes_per_block, 48 * 1024);
  EXPECT_GT(target->limits.l2_bytes, 0);
  // Measured: within what any GPU can do.
  EXPECT_GT(target->limits.read_gb_per_s, 50);
  EXPECT_LT(target->limits.read_gb_per_s, 20000);
  EXPECT_GT(target->limits.dense_fp16_tflops, 1);
  EXPECT_LT(target->limits.dense_fp16_tflops, 10000);
  EXPECT_GT(target->limits.launch_us, 0.05);
  EXPECT_LT(target->limits.launch_us, 20);
  const absl::StatusOr<Target> parsed = Target::Parse(target->ToString());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, *target);
  const absl::StatusOr<DeviceEnvironment> environment = gpu().device->GetEnvironment();
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_FALSE(environment->driver.empty());
  EXPECT_TRUE(absl::StartsWith(environment->runtime_id, "GPU-"));
}

TEST_F(GpuDevice, PassesACorrectKernel) {
  const absl::StatusOr<Verification> result = VerifyPlain(MakeOperator(kDense), Fault::kNone, 70);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->passed) << result->detail;
  EXPECT_GT(result->worst_ratio, 0);
  EXPECT_LE(result->worst_ratio, 1);
  EXPECT_GT(result->relative_norm, 0);
  EXPECT_LT(result->relative_norm, 1e-3);
}

TEST_F(GpuDevice, NamesTheWrongElement) {
  for (const Fault fault : {Fault::kWrongElement, Fault::kUnwritten}) {
    const absl::StatusOr<Verification> result = VerifyPlain(MakeOperator(kDense), fault, 4);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->passed);
    EXPECT_EQ(result->wrong_elements, 1);
    EXPECT_TRUE(absl::StrContains(result->detail, "y[1, 3] = ")) << result->detail;
  }
}

TEST_F(GpuDevice, CatchesWhatComparisonCannotSee) {
  const std::pair<Fault, std::string> cases[] = {{Fault::kPastTheEnd, "past the end of y"},
                                                 {Fault::kBeforeTheStart, "before y"},
                                                 {Fault::kChangesEachRun, "different bits"},
                                                 {Fault::kLeavesCounter, "not zero"}};
  for (const auto& [fault, expected] : cases) {
    OperatorDescriptor descriptor = kDense;
    descriptor.out = "fp32";
    const absl::StatusOr<Verification> result = VerifyPlain(MakeOperator(descriptor), fault, 4);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->passed) << expected;
    EXPECT_TRUE(absl::StrContains(result->detail, expected)) << result->detail;
  }
}

TEST_F(GpuDevice, VerifiesInSlicesWithinASmallBudget) {
  // 2048 x 2048 with 32 MiB: the reference (32 MiB) goes in slices of rows.
  const std::unique_ptr<CudaDevice> device = OpenWithBudget(int64_t{32} << 20);
  ASSERT_NE(device, nullptr);
  const NormalizedOperator op = MakeOperator({.w = "fp16", .n = 2048, .k = 512});
  const CompiledKernel kernel = MustCompile(gpu(), PlainKernel(op, Fault::kNone));
  const KernelBinary binary = {kernel.binary, PlainLaunch(op, Fault::kNone), {}};
  const absl::StatusOr<Verification> fits = device->Verify({op, 2048, 1}, binary);
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_TRUE(fits->passed) << fits->detail;
  const absl::StatusOr<Verification> too_large = device->Verify({op, 65536, 1}, binary);
  EXPECT_EQ(too_large.status().code(), absl::StatusCode::kResourceExhausted) << too_large.status();
  EXPECT_TRUE(absl::StrContains(too_large.status().message(), "32 MiB")) << too_large.status();
}

// What fewer rows share with more (inputs, reference) gives the same answer as computing it anew, also where the
// reference goes in slices, and still finds a wrong element.
TEST_F(GpuDevice, FewerRowsReuseWhatMoreRowsComputed) {
  const NormalizedOperator op = MakeOperator({.w = "int4", .residual = true, .n = 2048, .k = 512});
  const KernelBinary binary = BestKernel(op, 1024);
  for (const int64_t budget : {int64_t{20} << 20, int64_t{256} << 20}) {
    const std::unique_ptr<CudaDevice> device = OpenWithBudget(budget);
    ASSERT_NE(device, nullptr);
    for (const int64_t m : {1024, 1000, 64, 1, 1024}) {
      const std::unique_ptr<CudaDevice> fresh = OpenWithBudget(budget);
      ASSERT_NE(fresh, nullptr);
      const absl::StatusOr<Verification> again = device->Verify({op, m, 1}, binary);
      ASSERT_TRUE(again.ok()) << m << ": " << again.status();
      EXPECT_TRUE(again->passed) << m << ": " << again->detail;
      const absl::StatusOr<Verification> first = fresh->Verify({op, m, 1}, binary);
      ASSERT_TRUE(first.ok()) << m << ": " << first.status();
      EXPECT_EQ(again->worst_ratio, first->worst_ratio) << m;
      EXPECT_GT(again->worst_ratio, 0);
      ASSERT_TRUE(device->Profile({op, m, 1}, {&binary, 1}, {.repeats = 1, .replay_ms = 0.1, .preheat_ms = 0}).ok());
    }
  }
  const NormalizedOperator dense = MakeOperator(kDense);
  ASSERT_TRUE(VerifyPlain(dense, Fault::kNone, 70)->passed);
  EXPECT_EQ(VerifyPlain(dense, Fault::kWrongElement, 4)->wrong_elements, 1);
  const absl::StatusOr<Verification> guard = VerifyPlain(dense, Fault::kPastTheEnd, 4);
  ASSERT_TRUE(guard.ok()) << guard.status();
  EXPECT_FALSE(guard->passed);  // although y has room for 70 rows
}

TEST_F(GpuDevice, RefusesABinaryThatIsNone) {
  const NormalizedOperator op = MakeOperator(kDense);
  EXPECT_FALSE(gpu().device->Verify({op, 1, 1}, {"not a binary", PlainLaunch(op, Fault::kNone), {}}).ok());
  EXPECT_FALSE(gpu().device->Verify({op, 1, 1}, {"", PlainLaunch(op, Fault::kNone), {}}).ok());
  const CompiledKernel kernel = MustCompile(gpu(), PlainKernel(op, Fault::kNone));
  LaunchSpec spec = PlainLaunch(op, Fault::kNone);
  spec.entry = "another_name";
  EXPECT_EQ(gpu().device->Verify({op, 1, 1}, {kernel.binary, spec, {}}).status().code(), absl::StatusCode::kNotFound);
  spec = PlainLaunch(op, Fault::kNone);
  spec.shared_bytes = int64_t{1} << 20;
  EXPECT_EQ(gpu().device->Verify({op, 1, 1}, {kernel.binary, spec, {}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(GpuDevice, TimesLongerWorkLonger) {
  const NormalizedOperator op = MakeOperator({.w = "int4", .n = 4096, .k = 4096});
  const KernelBinary kernel = BestKernel(op, 16);
  const absl::StatusOr<std::vector<Measurement>> twice =
      gpu().device->Profile({op, 16, 1}, std::vector{kernel, kernel}, {});
  ASSERT_TRUE(twice.ok()) << twice.status();
  ASSERT_EQ(twice->size(), 2);
  EXPECT_GT((*twice)[0].median_us, 0.5);
  EXPECT_EQ((*twice)[0].repeats, 7);
  // The same kernel, interleaved: the same time.
  EXPECT_NEAR((*twice)[0].median_us, (*twice)[1].median_us, 0.15 * (*twice)[0].median_us);
  const absl::StatusOr<std::vector<Measurement>> longer = gpu().device->Profile({op, 4096, 1}, std::vector{kernel}, {});
  ASSERT_TRUE(longer.ok()) << longer.status();
  EXPECT_GT(longer->front().median_us, 2 * (*twice)[0].median_us);
}

TEST_F(GpuDevice, HasYardsticks) {
  const NormalizedOperator op = MakeOperator({.w = "int4", .n = 2048, .k = 2048});
  const absl::StatusOr<Measurement> empty = gpu().device->ProfileYardstick({op, 1, 1}, "empty", {});
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_GT(empty->median_us, 0.05);
  for (const char* name : {"cublaslt_fp16", "cublaslt_fp8", "cublaslt_int8"}) {
    const absl::StatusOr<Measurement> measured = gpu().device->ProfileYardstick({op, 1, 1}, name, {});
    if (absl::IsUnimplemented(measured.status())) continue;  // no library, or none for this GPU
    ASSERT_TRUE(measured.ok()) << name << ": " << measured.status();
    EXPECT_GT(measured->median_us, empty->median_us) << name;
  }
  EXPECT_EQ(gpu().device->ProfileYardstick({op, 1, 1}, "rocblas", {}).status().code(),
            absl::StatusCode::kUnimplemented);
}

// The launch path is graph-capturable, and a replay computes the same bits as the launch.
TEST_F(GpuDevice, ReplaysTheSameBits) {
  const NormalizedOperator op = MakeOperator({.w = "int4", .n = 512, .k = 1024});
  constexpr int64_t kM = 20;
  const absl::StatusOr<cuda::LoadedKernel> kernel = cuda::LoadedKernel::Load(BestKernel(op, kM));
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  const PackedLayout layout = PackedLayout::For(op);
  absl::StatusOr<cuda::Memory> x = cuda::Memory::Allocate(kM * op.k() * 2),
                               w = cuda::Memory::Allocate(layout.weight_bytes()),
                               s = cuda::Memory::Allocate(layout.scale_bytes()),
                               y = cuda::Memory::Allocate(kM * op.n() * 2),
                               workspace = cuda::Memory::Allocate(std::max<int64_t>(kernel->WorkspaceBytes(kM), 16));
  ASSERT_TRUE(x.ok() && w.ok() && s.ok() && y.ok() && workspace.ok());
  const cuda::Stream& stream = *gpu().stream;
  const cuda::SupportKernels& support = *gpu().support;
  ASSERT_TRUE(support.Random({x->pointer(), kM, op.k(), 1, -1, 1, cuda::kRandomF16, 0}, stream).ok());
  ASSERT_TRUE(support.Random({w->pointer(), 1, w->bytes(), 2, 0, 0, cuda::kRandomBytes, 0}, stream).ok());
  ASSERT_TRUE(support.Random({s->pointer(), 1, s->bytes() / 2, 3, 0.01f, 0.02f, cuda::kRandomF16, 0}, stream).ok());
  ASSERT_TRUE(stream.Fill(workspace->pointer(), 0, workspace->bytes()).ok());
  const auto enqueue = [&] {
    return kernel->Enqueue(op, kM, x->pointer(), {w->pointer(), s->pointer(), 0, 0}, {}, y->pointer(),
                           workspace->pointer(), false, stream);
  };
  const auto hash = [&] {
    const absl::StatusOr<uint64_t> value = support.Hash(y->pointer(), y->bytes(), stream);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : 0;
  };
  ASSERT_TRUE(stream.Fill(y->pointer(), 0xff, y->bytes()).ok());
  ASSERT_TRUE(enqueue().ok());
  const uint64_t direct = hash();
  absl::StatusOr<cuda::Graph> graph = cuda::Graph::Capture(stream, enqueue);
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (int replay = 0; replay < 3; replay++) {
    ASSERT_TRUE(stream.Fill(y->pointer(), 0x11, y->bytes()).ok());
    ASSERT_TRUE(graph->Launch(stream).ok());
    EXPECT_EQ(hash(), direct);
  }
}

}  // namespace
}  // namespace ladder
