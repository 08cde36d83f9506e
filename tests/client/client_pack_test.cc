// Packing and unpacking of weights by the client, with a fake driver and a fake service.
#include <gtest/gtest.h>

#include "tests/client/client_fixture.h"

namespace ladder::client {
namespace {

TEST_F(ClientTest, PacksAndUnpacksWithTheSupportKernels) {
  service_.AddRecord(1, "kernel");
  const std::shared_ptr<Matmul> matmul = Get().value();
  EXPECT_EQ(matmul->natural_sizes().scale, 1024 * 8 * 2);
  EXPECT_EQ(matmul->layout_id(), "k16.b4.table");
  char packed[16];
  ASSERT_TRUE(matmul->Pack({.codes = memory, .scales = memory}, {.weight = packed, .scale = packed}, kStream).ok());
  ASSERT_TRUE(matmul->Unpack({.weight = packed, .scale = packed}, {.weight = memory, .scale = memory}, kStream).ok());
  ASSERT_EQ(gpu_.launches.size(), 2u);
  EXPECT_EQ(gpu_.launches[0].function, "support:ladder_pack");
  EXPECT_EQ(gpu_.launches[1].function, "support:ladder_unpack");
  const PackArguments& arguments = gpu_.launches[0].pack;
  EXPECT_EQ(arguments.codes, memory);
  EXPECT_EQ(arguments.packed, packed);
  EXPECT_EQ(arguments.n, 1024);
  EXPECT_EQ(arguments.k, 512);
  EXPECT_EQ(arguments.groups, 8);
  EXPECT_EQ(arguments.placement, 2);
  EXPECT_EQ(arguments.bits, 4);
  EXPECT_EQ(arguments.offset_binary, 0);
  EXPECT_EQ(arguments.zero_mode, 0);
  EXPECT_GE(gpu_.synchronizations, 1);  // launches may read weights ahead of their stream order
  EXPECT_EQ(matmul->Pack({.codes = memory}, {.weight = packed, .scale = packed}, kStream).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(ClientTest, PacksGateAndUpRows) {
  pb::TuningRecord& record = *service_.AddRecord(1, "kernel").mutable_record();
  record.mutable_op()->set_act("swiglu");
  // A layout without the interleaving, which this operator's kernels need, is a service of another version.
  EXPECT_EQ(Get().status().code(), StatusCode::kInternal);
  record.mutable_packed()->set_layout_id("k16.b4.table.gate_up8");
  const std::shared_ptr<Matmul> matmul = Get().value();
  char packed[16];
  ASSERT_TRUE(matmul->Pack({.codes = memory, .scales = memory}, {.weight = packed, .scale = packed}, kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).pack.gated, 1);
  record.mutable_op()->set_act("silu");
  EXPECT_EQ(Get().status().code(), StatusCode::kInternal);
}

TEST_F(ClientTest, PacksEveryWidth) {
  pb::TuningRecord& record = *service_.AddRecord(1, "kernel").mutable_record();
  struct Case {
    const char* id;
    int bits, placement, offset;
  };
  char packed[16];
  size_t launches = 0;
  for (const Case& c : {Case{"k16.b1.integer", 1, 1, 0}, Case{"k16.b3.table", 3, 2, 0}, Case{"k16.b5.z8", 5, 1, 0},
                        Case{"k16.b8.offset", 8, 1, 1}, Case{"k32.b4", 4, 3, 0}, Case{"k32.b4.table", 4, 4, 0},
                        Case{"k32.b7.z8", 7, 3, 0}}) {
    record.mutable_packed()->set_layout_id(c.id);
    const std::shared_ptr<Matmul> matmul = Get().value();
    ASSERT_TRUE(matmul->Pack({.codes = memory, .scales = memory}, {.weight = packed, .scale = packed}, kStream).ok());
    const PackArguments& arguments = gpu_.launches.at(launches++).pack;
    EXPECT_EQ(arguments.bits, c.bits);
    EXPECT_EQ(arguments.placement, c.placement);
    EXPECT_EQ(arguments.offset_binary, c.offset);
  }
  record.mutable_packed()->set_layout_id("k16.b9");
  EXPECT_EQ(Get().status().code(), StatusCode::kInternal);
}

TEST_F(ClientTest, PacksScalesOf8Bits) {
  pb::TuningRecord& record = *service_.AddRecord(1, "kernel").mutable_record();
  record.mutable_op()->set_scale("e8m0");
  record.mutable_packed()->set_natural_scale_bytes(1024 * 8);
  // A layout that doesn't say how such scales are packed is a service of another version.
  EXPECT_EQ(Get().status().code(), StatusCode::kInternal);
  record.mutable_packed()->set_layout_id("k16.b4.table.e8m0_bf16");
  const std::shared_ptr<Matmul> matmul = Get().value();
  char packed[16];
  ASSERT_TRUE(matmul->Pack({.codes = memory, .scales = memory}, {.weight = packed, .scale = packed}, kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).pack.scale_type, 5);
  EXPECT_EQ(gpu_.launches.at(0).pack.groups, 8);
}

}  // namespace
}  // namespace ladder::client
