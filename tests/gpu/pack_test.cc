// The packing kernels on the GPU: the same bits as the reference in core, both ways.
#include <gtest/gtest.h>

#include "core/backend/cuda/status_macros.h"
#include "tests/gpu/gpu_test.h"
#include "tests/gpu/natural_weight.h"

namespace ladder {
namespace {

using cuda::Memory;

// A plane on the device, poisoned or filled.
absl::StatusOr<Memory> Plane(GpuEnvironment& gpu, const std::vector<uint8_t>& bytes) {
  LADDER_ASSIGN_OR_RETURN(Memory memory, Memory::Allocate(static_cast<int64_t>(bytes.size())));
  LADDER_RETURN_IF_ERROR(gpu.stream->Upload(memory.pointer(), bytes.data(), static_cast<int64_t>(bytes.size())));
  return memory;
}

struct DeviceWeight {
  Memory codes, scales, zeros;
  cuda::PlanePointers pointers() const { return {codes.pointer(), scales.pointer(), zeros.pointer()}; }
};

absl::StatusOr<DeviceWeight> ToDevice(GpuEnvironment& gpu, const NaturalWeight& weight) {
  DeviceWeight out;
  LADDER_ASSIGN_OR_RETURN(out.codes, Plane(gpu, weight.codes));
  LADDER_ASSIGN_OR_RETURN(out.scales, Plane(gpu, weight.scales));
  LADDER_ASSIGN_OR_RETURN(out.zeros, Plane(gpu, weight.zeros));
  return out;
}

void ExpectBytes(GpuEnvironment& gpu, const Memory& memory, const std::vector<uint8_t>& expected, const char* what) {
  std::vector<uint8_t> got(expected.size());
  const absl::Status read = gpu.stream->Download(got.data(), memory.pointer(), static_cast<int64_t>(got.size()));
  ASSERT_TRUE(read.ok()) << read;
  for (size_t i = 0; i < got.size(); i++) {
    ASSERT_EQ(got[i], expected[i]) << what << ", byte " << i << " of " << got.size();
  }
}

NaturalWeight Poisoned(size_t codes, size_t scales, size_t zeros) {
  return {std::vector<uint8_t>(codes, 0xee), std::vector<uint8_t>(scales, 0xee), std::vector<uint8_t>(zeros, 0xee)};
}

class GpuPack : public GpuTest, public testing::WithParamInterface<OperatorDescriptor> {};

TEST_P(GpuPack, PacksAndUnpacksLikeTheReference) {
  const NormalizedOperator op = MakeOperator(GetParam());
  const PackedLayout layout = PackedLayout::For(op);
  const NaturalWeight natural = RandomWeight(op, 11);
  NaturalWeight expected = Poisoned(layout.weight_bytes(), layout.scale_bytes(), layout.zero_bytes());
  ASSERT_TRUE(PackReference(layout, natural.codes, natural.scales, natural.zeros, expected.codes, expected.scales,
                            expected.zeros)
                  .ok());
  const absl::StatusOr<DeviceWeight> source = ToDevice(gpu(), natural);
  ASSERT_TRUE(source.ok()) << source.status();
  const absl::StatusOr<DeviceWeight> packed =
      ToDevice(gpu(), Poisoned(expected.codes.size(), expected.scales.size(), expected.zeros.size()));
  ASSERT_TRUE(packed.ok()) << packed.status();
  absl::Status status = gpu().support->Pack(layout, source->pointers(), packed->pointers(), *gpu().stream);
  ASSERT_TRUE(status.ok()) << status;
  ExpectBytes(gpu(), packed->codes, expected.codes, "packed codes");
  ExpectBytes(gpu(), packed->scales, expected.scales, "packed scales");
  ExpectBytes(gpu(), packed->zeros, expected.zeros, "packed zeros");

  const absl::StatusOr<DeviceWeight> back =
      ToDevice(gpu(), Poisoned(natural.codes.size(), natural.scales.size(), natural.zeros.size()));
  ASSERT_TRUE(back.ok()) << back.status();
  status = gpu().support->Unpack(layout, packed->pointers(), back->pointers(), *gpu().stream);
  ASSERT_TRUE(status.ok()) << status;
  ExpectBytes(gpu(), back->codes, natural.codes, "codes");
  ExpectBytes(gpu(), back->scales, natural.scales, "scales");
  ExpectBytes(gpu(), back->zeros, natural.zeros, "zeros");
}

INSTANTIATE_TEST_SUITE_P(Cases, GpuPack, testing::ValuesIn(PackingCases()),
                         [](const auto& info) { return CaseName(info.param); });

}  // namespace
}  // namespace ladder
