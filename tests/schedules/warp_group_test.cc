// What the host promises of warp group kernels: budgets that can't hang, candidates that fit, parameters that are
// checked.
#include "schedules/matmul/warp_group.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/operator/operator.h"
#include "gtest/gtest.h"
#include "schedules/matmul/dense.h"
#include "schedules/matmul/dense_wgmma.h"
#include "schedules/matmul/wgmma.h"
#include "schedules/matmul/wgmma_instruction.h"

namespace ladder {
namespace {

NormalizedOperator Operator(const std::string& w, int64_t n, int64_t k, int64_t group = -1,
                            const std::string& scale = "", const std::string& zeros = "") {
  OperatorDescriptor d;
  d.w = w;
  d.n = n;
  d.k = k;
  if (w != "fp16") d.group = group;
  d.scale = scale;
  d.zeros = zeros;
  const absl::StatusOr<NormalizedOperator> op = Normalize(d);
  EXPECT_TRUE(op.ok()) << op.status();
  return op.value_or(NormalizedOperator());
}

Target Named(const std::string& name) {
  const absl::StatusOr<Target> target = Target::FromName(name);
  EXPECT_TRUE(target.ok()) << target.status();
  return target.value_or(Target());
}

TEST(RegisterBudget, NeverAsksForMoreThanTheLaunchAllots) {
  const DeviceLimits limits = Named("h200").limits;
  for (int groups = 1; groups <= 4; ++groups) {
    for (int blocks = 1; blocks <= 2; ++blocks) {
      const WarpGroupShape shape{.tokens = 64, .groups = groups, .row_tiles = 1, .stages = 4, .blocks = blocks};
      const RegisterBudget budget = BudgetFor(shape, limits);
      SCOPED_TRACE(testing::Message() << groups << " groups, " << blocks << " blocks");
      EXPECT_LE(budget.launch * shape.threads() * blocks, limits.registers_per_multiprocessor);
      EXPECT_LE(budget.launch, 255);
      if (budget.math == 0) continue;
      EXPECT_LE(128 * budget.producer + 128 * groups * budget.math, budget.launch * shape.threads());
      EXPECT_LE(budget.producer, budget.launch);
      EXPECT_GE(budget.math, budget.launch);
      EXPECT_EQ(budget.math % 8, 0);
      EXPECT_EQ(budget.producer % 8, 0);
    }
  }
}

TEST(SplitChoices, FillTheMachineAndKeepWork) {
  EXPECT_EQ(SplitChoices(264, 132, 128), std::vector<int>{1});
  for (const int splits : SplitChoices(32, 132, 448)) {
    EXPECT_GE(splits, 1);
    EXPECT_LE(splits, 16);
  }
  // Four splits of 32 tiles fill 128 of 132 places.
  const std::vector<int> choices = SplitChoices(32, 132, 448);
  EXPECT_NE(std::find(choices.begin(), choices.end(), 4), choices.end());
  // Seven k blocks leave no split four of them.
  EXPECT_EQ(SplitChoices(1, 132, 7), std::vector<int>{1});
}

TEST(PairsFit, WhereTheyFillOneRound) {
  EXPECT_TRUE(PairsFit(66, 132, 448));
  EXPECT_FALSE(PairsFit(67, 132, 448));
  EXPECT_FALSE(PairsFit(66, 131, 448));
  EXPECT_FALSE(PairsFit(1, 132, 7));  // seven k blocks leave no split four of them
}

TEST(TokenTiles, AreMultiplesOfEightWithinTheInstruction) {
  for (const int64_t m : {1, 7, 8, 33, 64, 100, 256, 257, 1024, 8192}) {
    const std::vector<int> tiles = TokenTiles(m, 256);
    EXPECT_FALSE(tiles.empty()) << m;
    for (const int tile : tiles) {
      EXPECT_EQ(tile % 8, 0);
      EXPECT_GE(tile, 8);
      EXPECT_LE(tile, 256);
    }
  }
}

struct Case {
  const char* schedule;
  const char* target;
  NormalizedOperator op;
};

TEST(Candidates, AllLowerAndFit) {
  std::vector<Case> cases;
  for (const char* w : {"int4", "nf4"}) {
    for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{8192, 28672}, {1000, 4096}, {72, 40}}) {
      cases.push_back({"wgmma", "h200", Operator(w, n, k, k % 64 == 0 ? 64 : -1)});
    }
  }
  for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{8192, 8192}, {100, 200}, {4000000, 64}}) {
    cases.push_back({"dense", "a100-80g", Operator("fp16", n, k)});
    cases.push_back({"dense", "rtx4090", Operator("fp16", n, k)});
    cases.push_back({"dense_wgmma", "h200", Operator("fp16", n, k)});
  }
  std::vector<std::unique_ptr<const Schedule>> schedules;
  schedules.push_back(MakeWgmmaSchedule());
  schedules.push_back(MakeDenseSchedule());
  schedules.push_back(MakeDenseWgmmaSchedule());
  for (const Case& c : cases) {
    const Target target = Named(c.target);
    for (const auto& schedule : schedules) {
      if (schedule->name() != c.schedule) continue;
      for (const int64_t m : {1, 16, 100, 4096}) {
        SCOPED_TRACE(testing::Message() << c.schedule << " " << c.op.ToString() << " m=" << m);
        ASSERT_TRUE(schedule->Supports(c.op, m, target).ok());
        const std::vector<Candidate> candidates = schedule->Enumerate(c.op, m, target);
        EXPECT_FALSE(candidates.empty());
        EXPECT_LE(candidates.size(), 60u);
        for (const Candidate& candidate : candidates) {
          const absl::StatusOr<LoweredKernel> kernel = schedule->Lower(c.op, candidate, target);
          ASSERT_TRUE(kernel.ok()) << kernel.status();
          const LaunchSpec& launch = kernel->launch;
          EXPECT_LE(launch.shared_bytes, target.limits.shared_bytes_per_block) << candidate.ToString();
          EXPECT_GE(launch.max_m, 1) << candidate.ToString();
          EXPECT_GE(launch.Grid(m), 1);
          EXPECT_LT(launch.Grid(launch.max_m), int64_t{1} << 31) << candidate.ToString();
          if (launch.workspace_bytes_per_m_tile > 0) {
            // One counter per output tile (and math group, in the warp group schedules).
            const int64_t tiles =
                (launch.max_m + launch.m_tile - 1) / launch.m_tile * launch.blocks_per_m_tile / candidate["splits"];
            const int64_t counters = tiles * (schedule->name() == "dense" ? 1 : candidate["groups"]);
            EXPECT_LE(counters * 4, kCounterBytes) << candidate.ToString();
          }
          EXPECT_GT(schedule->Predict(c.op, m, candidate, target), 0);
          EXPECT_LT(schedule->Predict(c.op, m, candidate, target), 1e9);
        }
      }
    }
  }
}

TEST(Candidates, BadParametersAreRefusedByName) {
  const auto wgmma = MakeWgmmaSchedule();
  const Target h200 = Named("h200");
  const NormalizedOperator op = Operator("int4", 8192, 8192, 128);
  const auto lower = [&](const std::string& text) {
    const absl::StatusOr<Candidate> candidate = Candidate::Parse(text);
    EXPECT_TRUE(candidate.ok()) << candidate.status();
    return std::string(wgmma->Lower(op, *candidate, h200).status().message());
  };
  const std::string tail =
      ",groups=2,row_tiles=1,stages=4,splits=1,cluster=1,raster=8,blocks=1,steps=2,scale_in_weights=1,pair_table=0)";
  EXPECT_EQ(lower("wgmma(tokens=128" + tail), "");
  EXPECT_NE(lower("wgmma(tokens=12" + tail).find("tokens"), std::string::npos);
  EXPECT_NE(lower("wgmma(tokens=512" + tail).find("tokens must lie in 8..256"), std::string::npos);
  EXPECT_NE(lower("wgmma(tokens=128,groups=2)").find("row_tiles is missing"), std::string::npos);
  EXPECT_NE(lower("wgmma(tokens=256,groups=2,row_tiles=1,stages=9,splits=1,cluster=1,raster=8,blocks=1,steps=2,"
                  "scale_in_weights=1,pair_table=0)")
                .find("shared memory"),
            std::string::npos);
  EXPECT_NE(lower("wgmma(tokens=256,groups=2,row_tiles=2,stages=3,splits=1,cluster=1,raster=8,blocks=1,steps=2,"
                  "scale_in_weights=1,pair_table=0)")
                .find("registers"),
            std::string::npos);
  const auto depth = [&](const std::string& shape) {
    return lower("wgmma(tokens=32," + shape + ",raster=1,blocks=1,steps=2,scale_in_weights=1,pair_table=0)");
  };
  EXPECT_EQ(depth("groups=4,row_tiles=1,stages=8,splits=1,cluster=1,depth=4"), "");
  EXPECT_EQ(depth("groups=4,row_tiles=1,stages=8,splits=2,cluster=2,depth=2"), "");
  EXPECT_NE(depth("groups=3,row_tiles=1,stages=8,splits=1,cluster=1,depth=2").find("divide groups"), std::string::npos);
  EXPECT_NE(depth("groups=4,row_tiles=1,stages=8,splits=4,cluster=1,depth=2").find("splits=1"), std::string::npos);
  EXPECT_NE(depth("groups=4,row_tiles=1,stages=7,splits=1,cluster=1,depth=2").find("as many stages"),
            std::string::npos);
}

TEST(WarpGroupShape, GroupsAlongKShareRows) {
  WarpGroupShape shape{.tokens = 32, .groups = 4, .row_tiles = 1, .stages = 8};
  EXPECT_EQ(shape.rows(), 256);
  EXPECT_EQ(SharedPartialBytes(shape), 0);
  shape.depth = 4;
  EXPECT_EQ(shape.rows(), 64);
  EXPECT_EQ(shape.threads(), 640);
  EXPECT_EQ(PartialBytes(shape), 64 * 32 * 4);
  EXPECT_EQ(SharedPartialBytes(shape), 4 * 64 * 32 * 4);
  // It is named where it is not 1 only, as candidates were named before it came.
  EXPECT_EQ(ShapeParameters(shape).back(), (std::pair<std::string, int64_t>("depth", 4)));
  shape.depth = 1;
  EXPECT_EQ(ShapeParameters(shape).back().first, "blocks");
}

TEST(WarpGroupLaunch, HasATensorMapForWholeTilesAndOneForTheRest) {
  const NormalizedOperator op = Operator("int4", 8192, 8192, 128);
  const WarpGroupShape shape{.tokens = 48, .groups = 2, .row_tiles = 1, .stages = 4};
  const LaunchSpec launch = WarpGroupLaunch(op, shape, Named("h200").limits, 1000);
  ASSERT_EQ(launch.tensor_maps.size(), 2u);
  EXPECT_EQ(launch.tensor_maps[0].operand, TensorOperand::kX);
  EXPECT_EQ(launch.tensor_maps[0].BoxRows(100), 48);
  EXPECT_EQ(launch.tensor_maps[1].operand, TensorOperand::kXTail);
  EXPECT_EQ(launch.tensor_maps[1].BoxRows(100), 4);
  EXPECT_EQ(launch.tensor_maps[1].BoxRows(96), 0);
  EXPECT_EQ(launch.tensor_maps[1].BoxRows(1), 1);
}

TEST(Supports, SaysWhatItNeeds) {
  const auto wgmma = MakeWgmmaSchedule();
  const auto dense_wgmma = MakeDenseWgmmaSchedule();
  const auto dense = MakeDenseSchedule();
  const Target h200 = Named("h200");
  const Target a100 = Named("a100-80g");
  EXPECT_TRUE(absl::IsUnimplemented(wgmma->Supports(Operator("int4", 64, 128, 64), 64, a100)));
  EXPECT_TRUE(absl::IsUnimplemented(wgmma->Supports(Operator("int4", 64, 100, -1), 64, h200)));  // K % 8
  EXPECT_TRUE(absl::IsUnimplemented(wgmma->Supports(Operator("fp16", 64, 128), 64, h200)));
  // bf16 scales may overflow fp16 weights; sums take them where a group is half a stage or whole ones.
  EXPECT_TRUE(absl::IsUnimplemented(wgmma->Supports(Operator("int4", 64, 128, 16, "bf16"), 64, h200)));
  EXPECT_TRUE(wgmma->Supports(Operator("int4", 64, 128, 32, "bf16"), 64, h200).ok());
  EXPECT_TRUE(wgmma->Supports(Operator("int4", 64, 128, 64, "bf16"), 64, h200).ok());
  // So may e4m3 scales, of up to 448, with values above 146.
  EXPECT_TRUE(wgmma->Supports(Operator("int8", 64, 128, 32, "fp8_e4m3"), 64, h200).ok());
  for (const char* w : {"uint8", "fp8_e4m3", "fp8_e5m2"}) {
    EXPECT_TRUE(absl::IsUnimplemented(wgmma->Supports(Operator(w, 64, 128, 16, "fp8_e4m3"), 64, h200))) << w;
    EXPECT_TRUE(wgmma->Supports(Operator(w, 64, 128, 64, "fp8_e4m3"), 64, h200).ok()) << w;
    EXPECT_TRUE(wgmma->Supports(Operator(w, 64, 128, 32, "fp16"), 64, h200).ok()) << w;
  }
  EXPECT_TRUE(absl::IsUnimplemented(dense_wgmma->Supports(Operator("fp16", 64, 100), 64, h200)));
  EXPECT_TRUE(absl::IsUnimplemented(dense->Supports(Operator("int4", 64, 128, 64), 64, a100)));
  EXPECT_TRUE(dense->Supports(Operator("fp16", 64, 101), 1, a100).ok());
}

TEST(WgmmaInstruction, NamesEveryOperandOnce) {
  const std::string registers = WgmmaInstructionHeader(WgmmaSource::kRegisters, DataType::kBF16, DataType::kBF16, 16);
  EXPECT_NE(
      registers.find("m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, %12, p, 1, 1, 0;"),
      std::string::npos);
  EXPECT_NE(registers.find("setp.ne.b32 p, %13, 0"), std::string::npos);
  const std::string shared = WgmmaInstructionHeader(WgmmaSource::kShared, DataType::kF16, DataType::kF16, 8);
  EXPECT_NE(shared.find("m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5, p, 1, 1, 0, 0;"), std::string::npos);
}

}  // namespace
}  // namespace ladder
