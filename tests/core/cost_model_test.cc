#include "core/schedule/cost_model.h"

#include "gtest/gtest.h"

namespace ladder {
namespace {

DeviceLimits H200() { return Target::FromName("h200")->limits; }

NormalizedOperator Op(const std::string& w) {
  OperatorDescriptor d;
  d.w = w;
  d.n = 256;
  d.k = 512;
  return *Normalize(d);
}

// Predicts the value of its parameter "time".
class FixedSchedule final : public Schedule {
 public:
  absl::string_view name() const override { return "fixed"; }
  int revision() const override { return 1; }
  absl::Status Supports(const NormalizedOperator&, int64_t, const Target&) const override { return absl::OkStatus(); }
  std::vector<Candidate> Enumerate(const NormalizedOperator&, int64_t, const Target&) const override { return {}; }
  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator&, const Candidate&, const Target&) const override {
    return absl::UnimplementedError("not lowered");
  }
  double Predict(const NormalizedOperator&, int64_t, const Candidate& c, const Target&) const override {
    return static_cast<double>(c["time"]);
  }
};

std::vector<int64_t> Times(const std::vector<Candidate>& candidates) {
  std::vector<int64_t> times;
  for (const Candidate& c : candidates) times.push_back(c["time"]);
  return times;
}

TEST(CostModel, EachResourceLimitsTheBlocks) {
  const DeviceLimits limits = H200();
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 1024, .registers = 16, .shared_bytes = 0}), 2);
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 256, .registers = 128, .shared_bytes = 0}), 2);
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 32, .registers = 16, .shared_bytes = 56 * 1024}), 4);
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 32, .registers = 16, .shared_bytes = 0}), 32);
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 32, .registers = 16, .shared_bytes = 228 * 1024}), 0);
  EXPECT_EQ(BlocksPerMultiprocessor(limits, {.threads = 1024, .registers = 128, .shared_bytes = 0}), 0);
}

TEST(CostModel, RegistersAreAllottedInEights) {
  EXPECT_EQ(BlocksPerMultiprocessor(H200(), {.threads = 512, .registers = 64, .shared_bytes = 0}), 2);
  EXPECT_EQ(BlocksPerMultiprocessor(H200(), {.threads = 512, .registers = 65, .shared_bytes = 0}), 1);
}

TEST(CostModel, CountsBytes) {
  // 4-bit codes, fp16 scales every 128 (int4) or 64 (nf4) columns.
  EXPECT_EQ(WeightBytes(Op("int4")), 256 * 512 / 2 + 256 * 4 * 2);
  EXPECT_EQ(WeightBytes(Op("nf4")), 256 * 512 / 2 + 256 * 8 * 2);
  EXPECT_EQ(WeightBytes(Op("fp16")), 256 * 512 * 2);
  EXPECT_EQ(ActivationBytes(Op("int4"), 3), 3 * (512 + 256) * 2);
}

TEST(CostModel, MoreBytesInFlightHideMoreLatency) {
  double last = 0;
  for (double bytes = 1024; bytes < 1 << 20; bytes *= 2) {
    const double efficiency = LatencyEfficiency(H200(), bytes);
    EXPECT_GT(efficiency, last);
    EXPECT_LT(efficiency, 1);
    last = efficiency;
  }
}

TEST(CostModel, OverlapLiesBetweenTheLongestAndTheSum) {
  EXPECT_DOUBLE_EQ(Overlap({3, 4}, 1), 7);
  EXPECT_DOUBLE_EQ(Overlap({3, 4}, 2), 5);
  EXPECT_DOUBLE_EQ(Overlap({0, 4}, 3), 4);
  EXPECT_DOUBLE_EQ(Overlap({0, 0}, 3), 0);
  EXPECT_NEAR(Overlap({1e200, 2e200}, 50), 2e200, 1e190);
}

// Counted by hand in schedules/device/byte_decode.cuh: four registers of a k32 step.
TEST(CostModel, DecodesToBytesCostTheirShiftsAndMasks) {
  const auto cost = [](const char* a, const char* w, const char* zeros = "none") {
    const NormalizedOperator op = *Normalize({.a = a, .w = w, .zeros = zeros, .group = 128, .n = 128, .k = 1024});
    return FragmentDecodeCost(op, false, false, *Target::FromName("h200")).integer;
  };
  EXPECT_EQ(cost("int8", "int4"), 4 * 1.5);   // a mask, and a shift for every other register
  EXPECT_EQ(cost("int8", "int2"), 4 * 1.75);  // and for three of four
  EXPECT_EQ(cost("int8", "uint4", "quantized"), 4 * (1.5 + 2));
  EXPECT_EQ(cost("int8", "int8"), 0);  // as they are
  EXPECT_EQ(cost("int8", "uint8"), 0);
  EXPECT_EQ(cost("fp8_e4m3", "int4"), 2 * 11);            // three permutes a register, their selectors
  EXPECT_GT(cost("int8", "int3"), cost("int8", "int4"));  // bits that no cell holds whole
}

TEST(CostModel, ALastRoundCostsAWholeOne) {
  EXPECT_EQ(WaveQuantisation(100, 132), 1);
  EXPECT_EQ(WaveQuantisation(264, 132), 1);
  EXPECT_EQ(WaveQuantisation(198, 132), 2 / 1.5);
}

TEST(CostModel, KeepsTheFastestInOrder) {
  std::vector<Candidate> all;
  for (const int64_t time : {5, 3, 9, 3, 1}) all.push_back({"fixed", {{"time", time}, {"at", all.size()}}});
  const std::vector<Candidate> kept = KeepFastest(FixedSchedule(), Op("int4"), 1, *Target::FromName("h200"), all, 3);
  EXPECT_EQ(Times(kept), (std::vector<int64_t>{1, 3, 3}));
  EXPECT_EQ(kept[1]["at"], 1);  // ties in the order given
}

TEST(CostModel, KeepsAFewOfEachFamily) {
  std::vector<Candidate> all;
  for (const int64_t time : {1, 2, 3, 4, 5, 6}) all.push_back({"fixed", {{"time", time}, {"tile", time / 4}}});
  const std::vector<Candidate> kept = KeepFastest(FixedSchedule(), Op("int4"), 1, *Target::FromName("h200"), all,
                                                  {.limit = 4, .family = {"tile"}, .per_family = 2});
  EXPECT_EQ(Times(kept), (std::vector<int64_t>{1, 2, 4, 5}));
}

}  // namespace
}  // namespace ladder
