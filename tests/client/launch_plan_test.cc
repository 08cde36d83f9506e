#include "client/launch_plan.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/schedule/launch_spec.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::client {
namespace {

namespace pb = tune::v1;

pb::LaunchSpec Valid() {
  pb::LaunchSpec spec;
  spec.set_entry("ladder_kernel");
  spec.set_threads(128);
  spec.set_cluster(1);
  spec.set_shared_bytes(1024);
  spec.set_m_tile(16);
  spec.set_blocks_per_m_tile(64);
  spec.set_max_m(4096);
  return spec;
}

TEST(SelectBucket, TakesTheSmallestBucketThatCovers) {
  const int64_t tops[] = {1, 4, 16, 64};
  EXPECT_EQ(SelectBucket(tops, 1), 0u);
  EXPECT_EQ(SelectBucket(tops, 2), 1u);
  EXPECT_EQ(SelectBucket(tops, 4), 1u);
  EXPECT_EQ(SelectBucket(tops, 5), 2u);
  EXPECT_EQ(SelectBucket(tops, 64), 3u);
}

TEST(SelectBucket, GivesLargerMToTheLast) {
  const int64_t tops[] = {16, 64};
  EXPECT_EQ(SelectBucket(tops, 65), 1u);
  EXPECT_EQ(SelectBucket(tops, int64_t{1} << 30), 1u);
}

// The contract of core's LaunchSpec, computed by both.
TEST(LaunchPlan, GridAndWorkspaceAreLaunchSpecs) {
  for (int64_t m_tile : {1, 8, 16, 256}) {
    for (int64_t max_blocks : {0, 132}) {
      for (int64_t scratch : {0, 4096}) {
        LaunchSpec theirs;
        theirs.m_tile = m_tile;
        theirs.blocks_per_m_tile = 7;
        theirs.max_blocks = max_blocks;
        theirs.max_m = 4096;
        theirs.workspace_bytes_per_m_tile = scratch;
        pb::LaunchSpec spec = Valid();
        spec.set_m_tile(m_tile);
        spec.set_blocks_per_m_tile(7);
        spec.set_max_blocks(max_blocks);
        spec.set_workspace_bytes_per_m_tile(scratch);
        const absl::StatusOr<LaunchPlan> ours = LaunchPlan::From(spec);
        ASSERT_TRUE(ours.ok()) << ours.status();
        for (int64_t m : {1, 2, 15, 16, 17, 255, 256, 257, 4096}) {
          EXPECT_EQ(ours->Grid(m), theirs.Grid(m)) << m;
          EXPECT_EQ(ours->WorkspaceBytes(m), theirs.WorkspaceBytes(m)) << m;
        }
      }
    }
  }
  EXPECT_EQ(kCounterBytes, ladder::kCounterBytes);
}

TEST(LaunchPlan, SlicesShareTheWorkspaceOfMaxM) {
  pb::LaunchSpec spec = Valid();
  spec.set_max_m(32);
  spec.set_workspace_bytes_per_m_tile(100);
  const LaunchPlan plan = LaunchPlan::From(spec).value();
  EXPECT_EQ(plan.WorkspaceBytes(1000), kCounterBytes + 200);
}

TEST(LaunchPlan, RefusesWhatCannotBeLaunched) {
  const std::function<void(pb::LaunchSpec&)> spoilers[] = {
      [](pb::LaunchSpec& s) { s.clear_entry(); },
      [](pb::LaunchSpec& s) { s.set_threads(0); },
      [](pb::LaunchSpec& s) { s.set_threads(2048); },
      [](pb::LaunchSpec& s) { s.set_cluster(17); },
      [](pb::LaunchSpec& s) { s.set_shared_bytes(-1); },
      [](pb::LaunchSpec& s) { s.set_m_tile(0); },
      [](pb::LaunchSpec& s) { s.set_blocks_per_m_tile(0); },
      [](pb::LaunchSpec& s) { s.set_max_blocks(-1); },
      [](pb::LaunchSpec& s) { s.set_max_m(0); },
      [](pb::LaunchSpec& s) { s.set_workspace_bytes_per_m_tile(-1); },
      [](pb::LaunchSpec& s) { s.set_blocks_per_m_tile(int64_t{1} << 31); },
      [](pb::LaunchSpec& s) { s.set_blocks_per_m_tile(INT64_MAX), s.set_max_blocks(1); },
      [](pb::LaunchSpec& s) { s.set_m_tile(INT64_MAX); },
      [](pb::LaunchSpec& s) { s.set_workspace_bytes_per_m_tile(INT64_MAX); },
      [](pb::LaunchSpec& s) { s.add_tensor_maps(); },
  };
  EXPECT_TRUE(LaunchPlan::From(Valid()).ok());
  for (const auto& spoil : spoilers) {
    pb::LaunchSpec spec = Valid();
    spoil(spec);
    EXPECT_EQ(LaunchPlan::From(spec).status().code(), absl::StatusCode::kInternal) << spec.ShortDebugString();
  }
}

TEST(LaunchPlan, ReadsTensorMaps) {
  pb::LaunchSpec spec = Valid();
  pb::TensorMapSpec& map = *spec.add_tensor_maps();
  map.set_operand(pb::TENSOR_OPERAND_X);
  map.set_box_columns(64);
  map.set_box_rows(128);
  map.set_swizzle_bytes(128);
  const LaunchPlan plan = LaunchPlan::From(spec).value();
  ASSERT_EQ(plan.tensor_maps.size(), 1u);
  EXPECT_TRUE(plan.tensor_maps[0].of_x);
  EXPECT_EQ(plan.tensor_maps[0].box[0], 64u);
  EXPECT_EQ(plan.tensor_maps[0].box[1], 128u);
  EXPECT_EQ(plan.tensor_maps[0].swizzle, kTensorSwizzle128B);
  EXPECT_FALSE(plan.tensor_maps[0].tail);
  map.set_operand(pb::TENSOR_OPERAND_X_TAIL);
  EXPECT_TRUE(LaunchPlan::From(spec).value().tensor_maps.at(0).of_x);
  EXPECT_TRUE(LaunchPlan::From(spec).value().tensor_maps.at(0).tail);
  map.set_box_rows(257);
  EXPECT_FALSE(LaunchPlan::From(spec).ok());
  map.set_box_rows(256);
  map.set_swizzle_bytes(48);
  EXPECT_FALSE(LaunchPlan::From(spec).ok());
}

TEST(ShapeOf, KnowsRowsByType) {
  pb::OperatorDescriptor op;
  op.set_a("bf16");
  op.set_w("nf4");
  op.set_out("fp32");
  op.set_zeros("none");
  op.set_n(100);
  op.set_k(192);
  const MatmulShape shape = ShapeOf(op).value();
  EXPECT_EQ(shape.tensor_type, kTensorBFloat16);
  EXPECT_EQ(shape.x_row_bytes, 384);
  EXPECT_EQ(shape.y_row_bytes, 400);
  EXPECT_TRUE(shape.scales);
  EXPECT_FALSE(shape.zeros);
  op.set_w("bf16");
  EXPECT_FALSE(ShapeOf(op).value().scales);
  op.set_act("silu");
  EXPECT_TRUE(ShapeOf(op).ok());
  EXPECT_EQ(ShapeOf(op).value().y_row_bytes, 400);
  op.set_act("swiglu");
  EXPECT_EQ(ShapeOf(op).value().y_row_bytes, 200);
  op.set_act("swish2");
  EXPECT_NE(ShapeOf(op).status().message().find("swish2"), absl::string_view::npos);
  op.set_act("");
  op.set_a("int8");
  EXPECT_EQ(ShapeOf(op).value().x_row_bytes, 192);
  EXPECT_FALSE(ShapeOf(op).value().row_scale);
  op.set_a_scale("row");
  EXPECT_TRUE(ShapeOf(op).value().row_scale);
  EXPECT_EQ(ShapeOf(op).value().row_scale_bytes, 4);
  op.set_a_scale("group64");
  EXPECT_TRUE(ShapeOf(op).value().row_scale);
  EXPECT_EQ(ShapeOf(op).value().row_scale_bytes, 3 * 4);
  op.set_a_scale("column");
  EXPECT_NE(ShapeOf(op).status().message().find("column"), absl::string_view::npos);
  op.set_a_scale("");
  op.set_a("mxfp8_e4m3");
  EXPECT_TRUE(ShapeOf(op).value().row_scale);
  EXPECT_EQ(ShapeOf(op).value().row_scale_bytes, 192 / 32);
  EXPECT_EQ(ShapeOf(op).value().x_row_bytes, 192);
  op.set_a("fp8");
  EXPECT_NE(ShapeOf(op).status().message().find("fp8"), absl::string_view::npos);
}

}  // namespace
}  // namespace ladder::client
