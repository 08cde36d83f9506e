// Core's mirror of the device structs is the same, byte for byte: a kernel reads what the launcher wrote.
#include "schedules/support/abi.cuh"

#include <gtest/gtest.h>

#include <cstddef>

#include "core/backend/cuda/support_abi.h"
#include "core/types/data_type.h"

namespace ladder {
namespace {

#define LADDER_SAME(device, host, field) \
  static_assert(offsetof(device, field) == offsetof(host, field) && sizeof(device::field) == sizeof(host::field))
#define LADDER_SAME_SIZE(device, host) static_assert(sizeof(device) == sizeof(host) && alignof(device) == alignof(host))

LADDER_SAME_SIZE(TensorMap, cuda::TensorMap);
LADDER_SAME_SIZE(MatmulArguments, cuda::MatmulArguments);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, x);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, w);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, scale);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, zero);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, bias);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, y);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, workspace);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, m);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, output_scale);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, residual);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, row_scale);
LADDER_SAME(MatmulArguments, cuda::MatmulArguments, sum_scale);
LADDER_SAME_SIZE(MatmulTmaArguments, cuda::MatmulTmaArguments);
LADDER_SAME(MatmulTmaArguments, cuda::MatmulTmaArguments, x_map);
LADDER_SAME(MatmulTmaArguments, cuda::MatmulTmaArguments, w_map);
LADDER_SAME(MatmulTmaArguments, cuda::MatmulTmaArguments, x_tail_map);

LADDER_SAME_SIZE(support::PackArguments, cuda::PackArguments);
LADDER_SAME(support::PackArguments, cuda::PackArguments, codes);
LADDER_SAME(support::PackArguments, cuda::PackArguments, scales);
LADDER_SAME(support::PackArguments, cuda::PackArguments, zeros);
LADDER_SAME(support::PackArguments, cuda::PackArguments, packed);
LADDER_SAME(support::PackArguments, cuda::PackArguments, packed_scales);
LADDER_SAME(support::PackArguments, cuda::PackArguments, packed_zeros);
LADDER_SAME(support::PackArguments, cuda::PackArguments, n);
LADDER_SAME(support::PackArguments, cuda::PackArguments, k);
LADDER_SAME(support::PackArguments, cuda::PackArguments, groups);
LADDER_SAME(support::PackArguments, cuda::PackArguments, placement);
LADDER_SAME(support::PackArguments, cuda::PackArguments, bits);
LADDER_SAME(support::PackArguments, cuda::PackArguments, offset_binary);
LADDER_SAME(support::PackArguments, cuda::PackArguments, zero_mode);
LADDER_SAME(support::PackArguments, cuda::PackArguments, gated);
LADDER_SAME(support::PackArguments, cuda::PackArguments, scale_type);

LADDER_SAME_SIZE(support::RandomArguments, cuda::RandomArguments);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, out);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, rows);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, columns);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, seed);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, low);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, high);
LADDER_SAME(support::RandomArguments, cuda::RandomArguments, kind);

LADDER_SAME_SIZE(support::ReferenceArguments, cuda::ReferenceArguments);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, x);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, codes);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, scales);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, zeros);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, bias);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, reference);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, magnitude);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, m);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, n);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, k);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, group);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, table);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, bits);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, activation);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, scale);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, plain);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, act);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, out);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, residual);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, output_scale);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, row_scale);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, sum_scale);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, bias_type);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, product_error);
LADDER_SAME(support::ReferenceArguments, cuda::ReferenceArguments, zero_mode);

LADDER_SAME_SIZE(support::CompareResult, cuda::CompareResult);
LADDER_SAME(support::CompareResult, cuda::CompareResult, wrong);
LADDER_SAME(support::CompareResult, cuda::CompareResult, first_wrong);
LADDER_SAME(support::CompareResult, cuda::CompareResult, worst_ratio_bits);
LADDER_SAME(support::CompareResult, cuda::CompareResult, squared_error);
LADDER_SAME(support::CompareResult, cuda::CompareResult, squared_reference);
LADDER_SAME_SIZE(support::CompareArguments, cuda::CompareArguments);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, y);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, reference);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, magnitude);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, result);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, count);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, first_index);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, relative);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, absolute);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, tiny);
LADDER_SAME(support::CompareArguments, cuda::CompareArguments, out);

LADDER_SAME_SIZE(support::HashArguments, cuda::HashArguments);
LADDER_SAME(support::HashArguments, cuda::HashArguments, data);
LADDER_SAME(support::HashArguments, cuda::HashArguments, bytes);
LADDER_SAME(support::HashArguments, cuda::HashArguments, result);
LADDER_SAME_SIZE(support::ReadArguments, cuda::ReadArguments);
LADDER_SAME(support::ReadArguments, cuda::ReadArguments, data);
LADDER_SAME(support::ReadArguments, cuda::ReadArguments, bytes);
LADDER_SAME(support::ReadArguments, cuda::ReadArguments, sink);

TEST(SupportAbi, ConstantsAgree) {
  EXPECT_EQ(support::kSupportThreads, cuda::kSupportThreads);
  EXPECT_EQ(support::kNotFiniteRatio, cuda::kNotFiniteRatio);
  EXPECT_EQ(static_cast<int>(support::kRandomF16), static_cast<int>(cuda::kRandomF16));
  EXPECT_EQ(static_cast<int>(support::kRandomBF16), static_cast<int>(cuda::kRandomBF16));
  EXPECT_EQ(static_cast<int>(support::kRandomF32), static_cast<int>(cuda::kRandomF32));
  EXPECT_EQ(static_cast<int>(support::kRandomCodes), static_cast<int>(cuda::kRandomCodes));
  EXPECT_EQ(static_cast<int>(support::kRandomBytes), static_cast<int>(cuda::kRandomBytes));
  EXPECT_EQ(static_cast<int>(support::kRandomE4M3), static_cast<int>(cuda::kRandomE4M3));
  EXPECT_EQ(static_cast<int>(support::kRandomE8M0), static_cast<int>(cuda::kRandomE8M0));
  EXPECT_EQ(support::kScaleE4M3, static_cast<int>(DataType::kE4M3));
  EXPECT_EQ(support::kScaleE8M0, static_cast<int>(DataType::kE8M0));
}

}  // namespace
}  // namespace ladder
