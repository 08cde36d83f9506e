// The client's argument structs against the device's own.
#define LADDER_EMULATOR "tests/client/host_qualifiers.h"
#include "client/kernel_arguments.h"

#include <gtest/gtest.h>

#include <cstddef>

#include "schedules/device/types.cuh"
#include "schedules/support/abi.cuh"

namespace ladder::client {
namespace {

#define EXPECT_SAME_FIELD(ours, theirs, field)                 \
  do {                                                         \
    EXPECT_EQ(offsetof(ours, field), offsetof(theirs, field)); \
    EXPECT_EQ(sizeof(ours::field), sizeof(theirs::field));     \
  } while (false)

TEST(KernelArguments, MatmulArgumentsAreTheKernels) {
  EXPECT_EQ(sizeof(MatmulArguments), sizeof(ladder::MatmulArguments));
  EXPECT_EQ(alignof(MatmulArguments), alignof(ladder::MatmulArguments));
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, x);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, w);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, scale);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, zero);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, bias);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, y);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, workspace);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, m);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, output_scale);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, row_scale);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, sum_scale);
  EXPECT_SAME_FIELD(MatmulArguments, ladder::MatmulArguments, residual);
}

TEST(KernelArguments, TensorMapsLieWhereKernelsLookForThem) {
  EXPECT_EQ(sizeof(CuTensorMap), sizeof(ladder::TensorMap));
  EXPECT_EQ(alignof(CuTensorMap), alignof(ladder::TensorMap));
  EXPECT_EQ(sizeof(MatmulTmaArguments), sizeof(ladder::MatmulTmaArguments));
  EXPECT_SAME_FIELD(MatmulTmaArguments, ladder::MatmulTmaArguments, base);
  EXPECT_SAME_FIELD(MatmulTmaArguments, ladder::MatmulTmaArguments, x_map);
  EXPECT_SAME_FIELD(MatmulTmaArguments, ladder::MatmulTmaArguments, w_map);
  EXPECT_SAME_FIELD(MatmulTmaArguments, ladder::MatmulTmaArguments, x_tail_map);
}

TEST(KernelArguments, PackArgumentsAreThePackKernels) {
  using Theirs = ladder::support::PackArguments;
  EXPECT_EQ(sizeof(PackArguments), sizeof(Theirs));
  EXPECT_EQ(kSupportThreads, ladder::support::kSupportThreads);
  EXPECT_SAME_FIELD(PackArguments, Theirs, codes);
  EXPECT_SAME_FIELD(PackArguments, Theirs, scales);
  EXPECT_SAME_FIELD(PackArguments, Theirs, zeros);
  EXPECT_SAME_FIELD(PackArguments, Theirs, packed);
  EXPECT_SAME_FIELD(PackArguments, Theirs, packed_scales);
  EXPECT_SAME_FIELD(PackArguments, Theirs, packed_zeros);
  EXPECT_SAME_FIELD(PackArguments, Theirs, n);
  EXPECT_SAME_FIELD(PackArguments, Theirs, k);
  EXPECT_SAME_FIELD(PackArguments, Theirs, groups);
  EXPECT_SAME_FIELD(PackArguments, Theirs, placement);
  EXPECT_SAME_FIELD(PackArguments, Theirs, bits);
  EXPECT_SAME_FIELD(PackArguments, Theirs, offset_binary);
  EXPECT_SAME_FIELD(PackArguments, Theirs, zero_mode);
  EXPECT_SAME_FIELD(PackArguments, Theirs, gated);
  EXPECT_SAME_FIELD(PackArguments, Theirs, scale_type);
}

}  // namespace
}  // namespace ladder::client
