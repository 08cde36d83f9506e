// The GPU's reference product against core's float64 one, for every weight type; then the comparison that uses it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <tuple>

#include "core/reference/matmul_reference.h"
#include "core/tuning/error_bound.h"
#include "tests/gpu/gpu_test.h"
#include "tests/gpu/natural_weight.h"

namespace ladder {
namespace {

using cuda::Memory;

class GpuReference : public GpuTest, public testing::WithParamInterface<OperatorDescriptor> {
 protected:
  Memory Upload(const std::vector<uint8_t>& bytes) {
    absl::StatusOr<Memory> memory = Memory::Allocate(static_cast<int64_t>(bytes.size()));
    EXPECT_TRUE(memory.ok()) << memory.status();
    EXPECT_TRUE(gpu().stream->Upload(memory->pointer(), bytes.data(), static_cast<int64_t>(bytes.size())).ok());
    return *std::move(memory);
  }
  std::vector<float> Floats(const Memory& memory) {
    std::vector<float> values(memory.bytes() / 4);
    EXPECT_TRUE(gpu().stream->Download(values.data(), memory.pointer(), memory.bytes()).ok());
    return values;
  }
};

TEST_P(GpuReference, AgreesWithTheCpuReference) {
  const NormalizedOperator op = MakeOperator(GetParam());
  constexpr int64_t kM = 67;  // a tile and a bit
  const NaturalWeight weight = RandomWeight(op, 3);
  const std::vector<uint8_t> x = RandomValues(op.activation(), kM * op.k(), -1, 1, 4);
  const std::vector<uint8_t> bias = op.bias() ? RandomValues(op.bias_type(), op.n(), -1, 1, 5) : std::vector<uint8_t>();
  std::vector<double> exact(kM * op.n()), abs_sums(kM * op.n()), expected(kM * op.columns()),
      magnitude(kM * op.columns());
  // Activations of 8 bits may have factors, of which sum_scale goes for all and row_scales for each row.
  const float sum_scale = op.scales_sums() ? -0.013f : 1.0f;
  std::vector<float> row_scales(op.activation_scale() == ActivationScale::kRow ? kM : 0);
  for (size_t row = 0; row < row_scales.size(); row++) row_scales[row] = 0.004f + 0.001f * static_cast<float>(row);
  ReferenceMatmul(op, kM, x, weight.codes, weight.scales, weight.zeros, bias, {sum_scale, row_scales}, exact, abs_sums);
  const std::vector<uint8_t> residual =
      op.residual() ? RandomValues(op.out(), kM * op.columns(), -1, 1, 6) : std::vector<uint8_t>();
  const float output_scale = op.output_scale() ? -0.7f : 1.0f;
  ReferenceEpilogue(op, exact, abs_sums, output_scale, residual, ProductError(op), expected, magnitude);

  const Memory device_x = Upload(x), codes = Upload(weight.codes), scales = Upload(weight.scales),
               zeros = Upload(weight.zeros), device_bias = Upload(bias), device_residual = Upload(residual);
  std::vector<uint8_t> row_bytes(row_scales.size() * 4);
  std::memcpy(row_bytes.data(), row_scales.data(), row_bytes.size());
  const Memory device_rows = Upload(row_bytes);
  const absl::StatusOr<Memory> reference = Memory::Allocate(kM * op.columns() * 4),
                               sums = Memory::Allocate(kM * op.columns() * 4);
  ASSERT_TRUE(reference.ok() && sums.ok());
  // In two slices of rows, as a workload beyond its memory budget is.
  for (const auto& [first, rows] : {std::pair<int64_t, int64_t>{0, 65}, {65, 2}}) {
    const auto offset = static_cast<cuda::DevicePointer>(first * op.columns() * 4);
    const absl::Status status =
        gpu().support->Reference(op, first, rows, device_x.pointer(),
                                 {codes.pointer(), scales.pointer(), zeros.pointer()}, device_bias.pointer(),
                                 {op.residual() ? device_residual.pointer() : 0, output_scale,
                                  row_bytes.empty() ? 0 : device_rows.pointer(), sum_scale},
                                 reference->pointer() + offset, sums->pointer() + offset, *gpu().stream);
    ASSERT_TRUE(status.ok()) << status;
  }
  const std::vector<float> got = Floats(*reference), got_magnitude = Floats(*sums);
  // Weights rounded once to fp32 (u), 16 products and sums in fp32 (16 u), their factor and the result rounded (u);
  // bias, sums and what follows them in fp64. No activation function has a slope above 1.13.
  const double u = std::ldexp(1.0, -24);
  for (int64_t i = 0; i < kM * op.columns(); i++) {
    // Random codes of floats may be NaNs, which make a row NaN for both.
    ASSERT_EQ(std::isnan(got[i]), std::isnan(expected[i]))
        << "[" << i / op.columns() << ", " << i % op.columns() << "]";
    if (std::isnan(expected[i])) continue;
    ASSERT_LE(std::fabs(got[i] - expected[i]), 1.13 * 20 * u * magnitude[i] + u * std::fabs(expected[i]))
        << "[" << i / op.columns() << ", " << i % op.columns() << "]";
    // Plain fp32 sums of K + 1 terms; swiglu multiplies two of them and adds three products.
    ASSERT_NEAR(got_magnitude[i], magnitude[i], static_cast<double>(2 * op.k() + 16) * u * magnitude[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GpuReference, testing::ValuesIn(PackingCases()),
                         [](const auto& info) { return CaseName(info.param); });

class GpuCompare : public GpuTest {};

TEST_F(GpuCompare, FindsEveryKindOfWrongElement) {
  constexpr int64_t kCount = 100000;
  std::vector<float> reference(kCount), magnitude(kCount, 2.0f), y(kCount);
  for (int64_t i = 0; i < kCount; i++) reference[i] = y[i] = static_cast<float>(i % 1000) - 500;
  const ErrorBound bound = {.relative = 0, .absolute = 0.5, .tiny = 0};  // +- 1
  y[70000] = NAN;
  y[70001] = reference[70001] + 1.5f;
  y[70002] = INFINITY;
  y[70003] = reference[70003] + 0.5f;  // within
  absl::StatusOr<Memory> memory[3];
  const std::vector<float>* const sources[3] = {&y, &reference, &magnitude};
  for (int i = 0; i < 3; i++) {
    memory[i] = Memory::Allocate(kCount * 4);
    ASSERT_TRUE(memory[i].ok());
    ASSERT_TRUE(gpu().stream->Upload(memory[i]->pointer(), sources[i]->data(), kCount * 4).ok());
  }
  absl::StatusOr<cuda::Comparison> found =
      gpu().support->Compare(memory[0]->pointer(), DataType::kF32, memory[1]->pointer(), memory[2]->pointer(), kCount,
                             1000, bound, *gpu().stream);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->wrong, 3);
  EXPECT_EQ(found->first_wrong, 71000);
  EXPECT_EQ(found->worst_ratio, cuda::kNotFiniteRatio);
  EXPECT_DOUBLE_EQ(found->squared_error, 1.5 * 1.5 + 0.5 * 0.5);

  // Without them: the within-bound error alone.
  for (const int64_t i : {70000, 70001, 70002}) y[i] = reference[i];
  ASSERT_TRUE(gpu().stream->Upload(memory[0]->pointer(), y.data(), kCount * 4).ok());
  found = gpu().support->Compare(memory[0]->pointer(), DataType::kF32, memory[1]->pointer(), memory[2]->pointer(),
                                 kCount, 0, bound, *gpu().stream);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->wrong, 0);
  EXPECT_EQ(found->first_wrong, -1);
  EXPECT_DOUBLE_EQ(found->worst_ratio, 0.5);
}

TEST_F(GpuCompare, HashTellsOneBitAndOneSwapApart) {
  std::vector<uint16_t> data(65536);
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<uint16_t>(i * 40503u);
  absl::StatusOr<Memory> memory = Memory::Allocate(static_cast<int64_t>(data.size() * 2));
  ASSERT_TRUE(memory.ok());
  const auto hash = [&] {
    EXPECT_TRUE(gpu().stream->Upload(memory->pointer(), data.data(), memory->bytes()).ok());
    const absl::StatusOr<uint64_t> value = gpu().support->Hash(memory->pointer(), memory->bytes(), *gpu().stream);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : 0;
  };
  const uint64_t original = hash();
  EXPECT_EQ(hash(), original);
  data[12345] ^= 1;
  EXPECT_NE(hash(), original);
  data[12345] ^= 1;
  std::swap(data[100], data[40000]);
  EXPECT_NE(hash(), original);
}

TEST_F(GpuCompare, RandomCodesTakeEveryValue) {
  absl::StatusOr<Memory> memory = Memory::Allocate(1 << 16);
  ASSERT_TRUE(memory.ok());
  ASSERT_TRUE(
      gpu().support->Random({memory->pointer(), 1, 1 << 17, 5, 0, 0, cuda::kRandomCodes, 4}, *gpu().stream).ok());
  std::vector<uint8_t> bytes(1 << 16);
  ASSERT_TRUE(gpu().stream->Download(bytes.data(), memory->pointer(), 1 << 16).ok());
  std::vector<int> count(256);
  for (const uint8_t byte : bytes) count[byte]++;
  for (int value = 0; value < 256; value++) {
    EXPECT_NEAR(count[value], 256, 6 * 16) << value;  // six standard deviations
  }
}

// Scales of 8 bits drawn 2^3 times smaller: no exponent above 2^0 / 2^3, none that wraps.
TEST_F(GpuCompare, SmallerScalesKeepTheirForm) {
  constexpr int64_t kCount = 1 << 16;
  absl::StatusOr<Memory> memory = Memory::Allocate(kCount);
  ASSERT_TRUE(memory.ok());
  for (const auto& [kind, type, greatest] : {std::tuple(cuda::kRandomScaleE4M3, DataType::kE4M3, 1.875f),
                                             std::tuple(cuda::kRandomE8M0, DataType::kE8M0, 0.5f)}) {
    for (const int shift : {0, 3}) {
      ASSERT_TRUE(gpu().support->Random({memory->pointer(), 1, kCount, 5, 0, 0, kind, shift}, *gpu().stream).ok());
      std::vector<uint8_t> bytes(kCount);
      ASSERT_TRUE(gpu().stream->Download(bytes.data(), memory->pointer(), kCount).ok());
      float most = 0;
      for (int64_t i = 0; i < kCount; i++) most = std::max(most, std::fabs(LoadElement(type, bytes.data(), i)));
      EXPECT_EQ(most, std::ldexp(greatest, -shift)) << Name(type);
    }
  }
}

}  // namespace
}  // namespace ladder
