// The packing kernels' own source, run by the host: the same bits as the reference in core.
#define LADDER_EMULATOR "tests/gpu/single_thread.h"
#include <gtest/gtest.h>

#include "schedules/support/pack.cuh"
#include "tests/gpu/natural_weight.h"

namespace ladder {
namespace {

class HostPack : public testing::TestWithParam<OperatorDescriptor> {};

TEST_P(HostPack, PacksAndUnpacksLikeTheReference) {
  const absl::StatusOr<NormalizedOperator> op = Normalize(GetParam());
  ASSERT_TRUE(op.ok()) << op.status();
  const PackedLayout layout = PackedLayout::For(*op);
  NaturalWeight natural = RandomWeight(*op, 7);
  ASSERT_EQ(natural.codes.size(), NaturalWeightBytes(layout));
  NaturalWeight expected = {std::vector<uint8_t>(layout.weight_bytes()), std::vector<uint8_t>(layout.scale_bytes()),
                            std::vector<uint8_t>(layout.zero_bytes())};
  ASSERT_TRUE(PackReference(layout, natural.codes, natural.scales, natural.zeros, expected.codes, expected.scales,
                            expected.zeros)
                  .ok());

  // Poisoned, so that a byte left unwritten shows. 16-byte aligned by the allocator.
  NaturalWeight packed = {std::vector<uint8_t>(layout.weight_bytes(), 0xee),
                          std::vector<uint8_t>(layout.scale_bytes(), 0xee),
                          std::vector<uint8_t>(layout.zero_bytes(), 0xee)};
  support::PackArguments arguments = {};
  arguments.codes = natural.codes.data();
  arguments.scales = natural.scales.data();
  arguments.zeros = natural.zeros.data();
  arguments.packed = packed.codes.data();
  arguments.packed_scales = packed.scales.data();
  arguments.packed_zeros = packed.zeros.data();
  arguments.n = layout.n;
  arguments.k = layout.k;
  arguments.groups = layout.groups;
  arguments.placement = static_cast<int>(layout.placement);
  arguments.bits = layout.bits;
  arguments.offset_binary = layout.offset_binary ? 1 : 0;
  arguments.zero_mode = static_cast<int>(layout.zeros);
  arguments.gated = layout.gated ? 1 : 0;
  arguments.scale_type = PackedScaleType(layout.scale) == layout.scale ? 0 : static_cast<int>(layout.scale);
  ladder_pack(arguments);
  EXPECT_EQ(packed.codes, expected.codes);
  EXPECT_EQ(packed.scales, expected.scales);
  EXPECT_EQ(packed.zeros, expected.zeros);

  NaturalWeight back = {std::vector<uint8_t>(natural.codes.size(), 0xee),
                        std::vector<uint8_t>(natural.scales.size(), 0xee),
                        std::vector<uint8_t>(natural.zeros.size(), 0xee)};
  arguments.codes = back.codes.data();
  arguments.scales = back.scales.data();
  arguments.zeros = back.zeros.data();
  ladder_unpack(arguments);
  EXPECT_EQ(back.codes, natural.codes);
  EXPECT_EQ(back.scales, natural.scales);
  EXPECT_EQ(back.zeros, natural.zeros);
}

// Every code of a scale, NaNs among them, against the reference's conversions, and back.
TEST(PackScales, WidensEveryCodeExactly) {
  for (const DataType type : {DataType::kE4M3, DataType::kE8M0}) {
    for (uint32_t code = 0; code < 256; code++) {
      const auto byte = static_cast<uint8_t>(code);
      uint16_t expected = 0;
      StoreElement(PackedScaleType(type), &expected, 0, LoadElement(type, &byte, 0));
      EXPECT_EQ(support::widen_scale(static_cast<int>(type), code), expected) << Name(type) << " " << code;
      EXPECT_EQ(support::narrow_scale(static_cast<int>(type), expected), code) << Name(type) << " " << code;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, HostPack, testing::ValuesIn(PackingCases()),
                         [](const auto& info) { return CaseName(info.param); });

}  // namespace
}  // namespace ladder
