// What enumeration promises of decode and pipelined: candidates that lower, fit the machine they are for, and are few.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/operator/operator.h"
#include "schedules/matmul/decode.h"
#include "schedules/matmul/pipelined.h"
#include "schedules/matmul/pipelined_bytes.h"
#include "schedules/matmul/wgmma.h"
#include "schedules/matmul/wgmma_bytes.h"

namespace ladder {
namespace {

NormalizedOperator Op(const std::string& w, int64_t n, int64_t k, std::optional<int64_t> group = std::nullopt) {
  OperatorDescriptor d;
  d.w = w;
  d.n = n;
  d.k = k;
  d.group = group;
  return *Normalize(d);
}

void ExpectGoodCandidates(const Schedule& schedule, const NormalizedOperator& op, int64_t m, const Target& target) {
  SCOPED_TRACE(op.ToString() + " m=" + std::to_string(m) + " on " + target.model);
  ASSERT_TRUE(schedule.Supports(op, m, target).ok()) << schedule.Supports(op, m, target);
  const std::vector<Candidate> candidates = schedule.Enumerate(op, m, target);
  EXPECT_GE(candidates.size(), 1u);
  EXPECT_LE(candidates.size(), 60u);
  std::set<std::string> distinct;
  double last = 0;
  for (const Candidate& c : candidates) {
    EXPECT_TRUE(distinct.insert(c.ToString()).second) << c.ToString();
    const absl::StatusOr<LoweredKernel> kernel = schedule.Lower(op, c, target);
    ASSERT_TRUE(kernel.ok()) << c.ToString() << ": " << kernel.status();
    const LaunchSpec& launch = kernel->launch;
    EXPECT_LE(launch.shared_bytes, target.limits.shared_bytes_per_block) << c.ToString();
    EXPECT_LE(launch.threads, 1024);
    EXPECT_EQ(launch.threads % 32, 0);
    EXPECT_LT(launch.Grid(std::min<int64_t>(m, launch.max_m)), int64_t{1} << 31);
    // One counter per output tile where K is split.
    if (c["splits"] > 1 && launch.cluster == 1) {
      EXPECT_LE(launch.Grid(launch.max_m) / c["splits"], kCounterBytes / 4) << c.ToString();
      EXPECT_GT(launch.WorkspaceBytes(1), kCounterBytes);
    } else {
      EXPECT_EQ(launch.WorkspaceBytes(1), 0);
    }
    const double predicted = schedule.Predict(op, m, c, target);
    EXPECT_TRUE(std::isfinite(predicted) && predicted >= last) << c.ToString() << ": " << predicted;
    last = predicted;
  }
}

std::vector<std::unique_ptr<const Schedule>> ByteSchedules() {
  std::vector<std::unique_ptr<const Schedule>> schedules;
  schedules.push_back(MakeDecodeSchedule());
  schedules.push_back(MakePipelinedBytesSchedule());
  schedules.push_back(MakeWgmmaBytesSchedule());
  return schedules;
}

TEST(Candidates, FitTheirMachine) {
  for (const std::string name : {"h200", "a100-80g", "rtx4090", "b200", "rtx5090"}) {
    const Target target = *Target::FromName(name);
    for (const std::string w : {"int4", "nf4"}) {
      for (const auto& [n, k] : {std::pair{4096, 4096}, {8192, 28672}, {100, 96}, {1, 1}}) {
        for (const int64_t m : {1, 3, 16}) ExpectGoodCandidates(*MakeDecodeSchedule(), Op(w, n, k), m, target);
        for (const int64_t m : {1, 16, 100, 4096})
          ExpectGoodCandidates(*MakePipelinedSchedule(), Op(w, n, k), m, target);
      }
    }
  }
}

TEST(Candidates, ServeTheLargestOperators) {
  const Target target = *Target::FromName("h200");
  ExpectGoodCandidates(*MakePipelinedSchedule(), Op("int4", kMaxDimension, kMaxDimension), kMaxDimension, target);
  ExpectGoodCandidates(*MakeDecodeSchedule(), Op("int4", kMaxDimension, 4096), 1, target);
}

TEST(Candidates, DecodeSaysWhatItDoesNotServe) {
  const auto decode = MakeDecodeSchedule();
  const Target target = *Target::FromName("h200");
  EXPECT_EQ(decode->Supports(Op("int4", 64, 64), 17, target).message(), "decode: m = 17 is more than 16");
  EXPECT_EQ(decode->Supports(Op("fp16", 64, 64), 1, target).message(), "weights are not quantised");
  const absl::Status big = decode->Supports(Op("int4", 64, kMaxDimension), 16, target);
  EXPECT_EQ(big.message(), "decode: 16 rows of K = 16777216 fit no shared memory");
  EXPECT_TRUE(decode->Enumerate(Op("int4", 64, 64), 17, target).empty());
}

TEST(Candidates, RefusedFormatsNameTheFieldAndTheNearest) {
  const Target target = *Target::FromName("h200");
  struct Case {
    OperatorDescriptor d;
    std::string starts, nearest;
  };
  const auto table = [](float last) {
    std::vector<float> values(16, 1);
    values[15] = last;
    return ElementDefinition{.bits = 4, .table = values, .layout = {}};
  };
  std::vector<Case> cases = {
      {{.a = "int8", .w = "int8"}, "a: int8 activations with int8 weights", "nearest: fp16, bf16"},
      {{.w = "int4", .scale = "none"}, "scale: weights without scales", "nearest: fp16, bf16"},
      {{.w = "int4", .scale = "fp32"}, "scale: fp32 scales", "nearest: fp16, bf16"},
      {{.a = "bf16", .w = "uint4", .scale = "fp16", .zeros = "original"}, "zeros: original zeros of type fp16", "bf16"},
      {{.w = "nvfp4", .bias = true}, "tensor_scale: not served with a bias", "nearest: neither"},
      {{.w = "nvfp4", .act = "silu"}, "tensor_scale: not served with a bias", "nearest: neither"},
      // 65519 is the last number that rounds to a finite fp16; 1e-7 would lose digits as a subnormal.
      {{.element = table(65520)}, "w: the value of code 15, 65520, does not fit fp16", "nearest: bf16 activations"},
      {{.element = table(1e-7f)}, "w: the value of code 15, 1e-07, does not fit fp16", "nearest: bf16 activations"},
      {{.element = ElementDefinition{.layout = FloatLayout{2, 1, {}, "ieee"}}},
       "w: the value of code 6, inf",
       "finite"},
  };
  for (Case& c : cases) {
    c.d.n = c.d.k = 4096;
    const absl::StatusOr<NormalizedOperator> op = Normalize(c.d);
    ASSERT_TRUE(op.ok()) << op.status();
    for (const auto& schedule : {MakeDecodeSchedule(), MakePipelinedSchedule()}) {
      const absl::Status status = schedule->Supports(*op, 16, target);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << c.starts;
      EXPECT_EQ(std::string(status.message()).rfind(c.starts, 0), 0u) << status;
      EXPECT_NE(std::string(status.message()).find(c.nearest), std::string::npos) << status;
    }
  }
  for (const ElementDefinition& element : {table(65519), table(6.2e-5f)}) {
    const OperatorDescriptor d = {.element = element, .n = 4096, .k = 4096};
    EXPECT_TRUE(MakeDecodeSchedule()->Supports(*Normalize(d), 16, target).ok());
  }
}

// With activations of 8 bits.
TEST(Candidates, RefusedByteFormatsNameTheFieldAndTheNearest) {
  struct Case {
    OperatorDescriptor d;
    std::string starts, nearest;
  };
  const std::vector<float> steps = {1, 1.0625f};
  std::vector<Case> cases = {
      {{.a = "int8", .w = "nf4", .scale = "none"}, "w: nf4 weights with int8", "nearest: int1 to int8"},
      {{.a = "fp8_e4m3", .w = "int6", .scale = "none"}, "w: int6 weights with fp8_e4m3", "nearest: int1 to int4"},
      {{.a = "fp8_e5m2", .element = ElementDefinition{.bits = 1, .table = steps, .layout = {}}, .scale = "fp32"},
       "w: table1 weights",
       "nearest: int1 to int4"},
      {{.a = "int8", .w = "int4", .scale = "none"}, "scale: packed weights without scales", "nearest: fp16"},
      {{.a = "int8", .w = "int4", .scale = "fp32"}, "scale: fp32 scales", "nearest: fp16"},
  };
  const Target target = *Target::FromName("h200");
  for (Case& c : cases) {
    c.d.n = 4096;
    c.d.k = 4608;
    const absl::StatusOr<NormalizedOperator> op = Normalize(c.d);
    ASSERT_TRUE(op.ok()) << op.status();
    for (const auto& schedule : ByteSchedules()) {
      const absl::Status status = schedule->Supports(*op, 16, target);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << c.starts;
      EXPECT_EQ(std::string(status.message()).rfind(c.starts, 0), 0u) << status;
      EXPECT_NE(std::string(status.message()).find(c.nearest), std::string::npos) << status;
    }
  }
  const NormalizedOperator fp8 = *Normalize({.a = "fp8_e4m3", .w = "int4", .n = 4096, .k = 4096});
  EXPECT_EQ(std::string(MakeDecodeSchedule()->Supports(fp8, 16, *Target::FromName("a100-80g")).message()).substr(0, 34),
            "a: fp8 products need sm_89 or late");
}

TEST(Candidates, BytesFitTheirMachine) {
  const Target target = *Target::FromName("h200");
  for (const char* a : {"int8", "fp8_e4m3"}) {
    for (const char* w : {"int4", "int2", "int1"}) {
      for (const auto& [n, k] : {std::pair{8192, 28672}, {100, 96}, {1, 16}}) {
        const NormalizedOperator op = *Normalize({.a = a, .w = w, .n = n, .k = k});
        for (const int64_t m : {1, 3, 16}) ExpectGoodCandidates(*MakeDecodeSchedule(), op, m, target);
        for (const int64_t m : {1, 100, 4096}) {
          ExpectGoodCandidates(*MakePipelinedBytesSchedule(), op, m, target);
          ExpectGoodCandidates(*MakeWgmmaBytesSchedule(), op, m, target);
        }
      }
    }
  }
}

// Of any width, and where values are looked up.
TEST(Candidates, ServeEveryWidth) {
  const Target target = *Target::FromName("h200");
  ElementDefinition table = {.bits = 8, .table = {}, .layout = {}};
  for (int i = 0; i < 256; i++) table.table.push_back(static_cast<float>(i % 100) - 40.5f);
  const NormalizedOperator looked_up = *Normalize({.element = table, .n = 4096, .k = 4096});
  const std::vector<std::pair<NormalizedOperator, std::set<int64_t>>> cases = {
      {Op("int1", 4096, 4096), {0}},     {Op("uint3", 4096, 4096), {0}},
      {Op("int8", 4096, 4096), {0}},     {Op("fp8_e4m3", 4096, 4096), {0}},
      {Op("fp8_e5m2", 4096, 4096), {0}}, {Op("fp6_e2m3", 4096, 4096), {0}},
      {Op("nf4", 4096, 4096), {0, 1}},   {looked_up, {1}}};
  for (const auto& [op, pair_tables] : cases) {
    for (const auto& [schedule, m] :
         {std::pair{&MakeDecodeSchedule, 1}, {&MakePipelinedSchedule, 64}, {&MakeWgmmaSchedule, 64}}) {
      ExpectGoodCandidates(*schedule(), op, m, target);
      for (const Candidate& c : schedule()->Enumerate(op, m, target)) {
        EXPECT_TRUE(pair_tables.contains(c["pair_table"])) << op.ToString() << ": " << c.ToString();
      }
    }
  }
}

TEST(Candidates, LowerRefusesWhatDoesNotFit) {
  const Target target = *Target::FromName("h200");
  const NormalizedOperator op = Op("int4", 4096, 4096);
  for (const auto& schedule : {MakeDecodeSchedule(), MakePipelinedSchedule()}) {
    Candidate good = schedule->Enumerate(op, 16, target).front();
    for (auto& parameter : good.parameters) {
      for (const int64_t value : {int64_t{-1}, int64_t{0}, int64_t{1} << 40}) {
        if (value == 0 &&
            std::set<std::string>{"pair_table", "scale_in_weights", "cluster"}.contains(parameter.first)) {
          continue;
        }
        Candidate bad = good;
        for (auto& p : bad.parameters) {
          if (p.first == parameter.first) p.second = value;
        }
        const absl::StatusOr<LoweredKernel> kernel = schedule->Lower(op, bad, target);
        EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument) << bad.ToString();
      }
    }
    Candidate renamed = good;
    renamed.parameters.front().first = "tile";
    EXPECT_EQ(schedule->Lower(op, renamed, target).status().code(), absl::StatusCode::kInvalidArgument);
    Candidate table = good;
    for (auto& p : table.parameters) {
      if (p.first == "pair_table") p.second = 1;
    }
    EXPECT_EQ(schedule->Lower(op, table, target).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(Candidates, ScalesOfAnotherTypeStayOnTheSums) {
  OperatorDescriptor d;
  d.w = "int4";
  d.scale = "bf16";
  d.n = 4096;
  d.k = 4096;
  const NormalizedOperator op = *Normalize(d);
  for (const Candidate& c : MakePipelinedSchedule()->Enumerate(op, 4096, *Target::FromName("h200"))) {
    EXPECT_EQ(c["scale_in_weights"], 0) << c.ToString();
  }
}

// A scaled weight is rounded to the compute type only where it stays finite with every scale: 448, the greatest e4m3,
// times 255 does not.
TEST(ScaledWeights, StayWithinFp16) {
  const Target h200 = *Target::FromName("h200");
  std::vector<std::unique_ptr<const Schedule>> schedules;
  schedules.push_back(MakePipelinedSchedule());
  schedules.push_back(MakeWgmmaSchedule());
  const auto in_weights = [&](const std::string& a, const std::string& w, const std::string& scale) {
    const NormalizedOperator op = *Normalize({.a = a, .w = w, .scale = scale, .group = 64, .n = 512, .k = 1024});
    int count = 0;
    for (const auto& schedule : schedules) {
      for (const Candidate& c : schedule->Enumerate(op, 256, h200)) count += static_cast<int>(c["scale_in_weights"]);
    }
    return count;
  };
  for (const char* w : {"uint8", "fp8_e4m3", "fp8_e5m2"}) {
    EXPECT_EQ(in_weights("fp16", w, "fp8_e4m3"), 0) << w;
    EXPECT_GT(in_weights("bf16", w, "bf16"), 0) << w;
    EXPECT_GT(in_weights("fp16", w, "fp16"), 0) << w;
  }
  for (const char* w : {"int8", "nf4", "fp4_e2m1"}) EXPECT_GT(in_weights("fp16", w, "fp8_e4m3"), 0) << w;
  EXPECT_EQ(in_weights("fp16", "int4", "bf16"), 0);
  EXPECT_EQ(in_weights("fp16", "int4", "e8m0"), 0);
}

}  // namespace
}  // namespace ladder
