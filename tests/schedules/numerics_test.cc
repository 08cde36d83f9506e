// Every schedule's own .cuh in the emulator against the float64 reference: every weight type, activation, output, odd
// M, N and K, and candidates in which every parameter takes every value that enumeration offers.
#include <gtest/gtest.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "tests/emulator/emulator_compiler.h"
#include "tests/emulator/emulator_device.h"
#include "tests/schedules/kernel_check.h"
#include "tests/schedules/operators.h"

namespace ladder {
namespace {

struct Case {
  std::string schedule;
  std::string arch;
  std::string operators;
  std::vector<int64_t> m;
  size_t candidates;  // of each operator
  std::string test_name;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.test_name; }

class NumericsTest : public testing::TestWithParam<Case> {
 protected:
  static const ScheduleCatalog& Catalog() {
    static const ScheduleCatalog& catalog = *new ScheduleCatalog(MakeCatalog());
    return catalog;
  }
};

// The kernels of a case: for each operator the next m in turn, and some candidates.
std::vector<EmulatedKernel> Choose(const Case& c, const Schedule& schedule, const Target& target) {
  std::vector<EmulatedKernel> kernels;
  PairCoverage coverage;
  size_t turn = 0;
  for (const NormalizedOperator& op : ReadOperators(c.operators)) {
    const int64_t m = c.m[turn++ % c.m.size()];
    const absl::Status supported = schedule.Supports(op, m, target);
    if (!supported.ok()) {
      EXPECT_EQ(supported.code(), absl::StatusCode::kUnimplemented) << supported;
      continue;
    }
    const std::vector<Candidate> all = schedule.Enumerate(op, m, target);
    EXPECT_FALSE(all.empty()) << op.ToString() << " at m = " << m;
    for (const Candidate& candidate : PickCandidates(all, c.candidates, coverage)) {
      absl::StatusOr<LoweredKernel> lowered = schedule.Lower(op, candidate, target);
      EXPECT_TRUE(lowered.ok()) << candidate.ToString() << " for " << op.ToString() << ": " << lowered.status();
      if (lowered.ok()) kernels.push_back({c.arch, op, m, candidate, *std::move(lowered)});
    }
  }
  return kernels;
}

NormalizedOperator Deepened(const NormalizedOperator& op, int64_t times) {
  OperatorDescriptor d = op.ToDescriptor();
  if (d.group == d.k) d.group = -1;
  d.k *= times;
  return *Normalize(d);
}

// For each operator of the epilogues a candidate without splits and, eight times as deep, one with them.
std::vector<EmulatedKernel> ChooseBySplits(const Case& c, const Schedule& schedule, const Target& target) {
  std::vector<EmulatedKernel> kernels;
  PairCoverage coverage;
  size_t turn = 0;
  for (const NormalizedOperator& shallow : ReadOperators("epilogue_operators.txt")) {
    const int64_t m = c.m[turn++ % c.m.size()];
    if (!schedule.Supports(shallow, m, target).ok()) continue;
    for (const bool split : {false, true}) {
      const NormalizedOperator op = split ? Deepened(shallow, 8) : shallow;
      std::vector<Candidate> all = schedule.Enumerate(op, m, target);
      std::erase_if(all, [&](const Candidate& candidate) { return (candidate["splits"] > 1) != split; });
      EXPECT_FALSE(all.empty()) << op.ToString() << " at m = " << m << (split ? " split" : "");
      for (const Candidate& candidate : PickCandidates(all, 1, coverage)) {
        absl::StatusOr<LoweredKernel> lowered = schedule.Lower(op, candidate, target);
        EXPECT_TRUE(lowered.ok()) << candidate.ToString() << " for " << op.ToString() << ": " << lowered.status();
        if (lowered.ok()) kernels.push_back({c.arch, op, m, candidate, *std::move(lowered)});
      }
    }
  }
  return kernels;
}

void ExpectWithinBound(const Case& c, const std::vector<EmulatedKernel>& kernels) {
  const size_t wrong = ExpectWithinBound(kernels, 2);
  std::printf("%s on %s: %zu kernels, %zu wrong\n", c.schedule.c_str(), c.arch.c_str(), kernels.size(), wrong);
}

void ExpectWithinBound(const Case& c, const Schedule* schedule) {
  ASSERT_NE(schedule, nullptr);
  absl::StatusOr<Target> target = EmulatedTarget({.arch = c.arch});
  ASSERT_TRUE(target.ok()) << target.status();
  const std::vector<EmulatedKernel> kernels = Choose(c, *schedule, *target);
  ASSERT_FALSE(kernels.empty());
  ExpectWithinBound(c, kernels);
}

TEST_P(NumericsTest, EveryElementIsWithinTheBound) {
  ExpectWithinBound(GetParam(), Catalog().Find(GetParam().schedule));
}

// Weights of other widths, and activations of 8 bits, differ in nothing after the products, so in no epilogue.
class WidthsTest : public NumericsTest {};
TEST_P(WidthsTest, EveryElementIsWithinTheBound) { ExpectWithinBound(GetParam(), Catalog().Find(GetParam().schedule)); }

TEST_P(NumericsTest, EveryEpilogueWithAndWithoutSplits) {
  const Case& c = GetParam();
  const Schedule* schedule = Catalog().Find(c.schedule);
  ASSERT_NE(schedule, nullptr);
  absl::StatusOr<Target> target = EmulatedTarget({.arch = c.arch});
  ASSERT_TRUE(target.ok()) << target.status();
  const std::vector<EmulatedKernel> kernels = ChooseBySplits(c, *schedule, *target);
  ASSERT_FALSE(kernels.empty());
  ExpectWithinBound(c, kernels);
}

// Clusters, and groups that share rows, which take several items one after the other: enumeration offers them for one
// round, but any number of rows may come.
TEST(NamedCandidatesTest, SumsThatMeetTakeSeveralItems) {
  const ScheduleCatalog catalog = MakeCatalog();
  absl::StatusOr<Target> target = EmulatedTarget({.arch = "sm_90a"});
  ASSERT_TRUE(target.ok()) << target.status();
  const auto normalized = [](const char* w, int64_t n, int64_t k, bool bias, const char* act = "") {
    OperatorDescriptor descriptor;
    descriptor.act = act;
    descriptor.residual = descriptor.output_scale = *act != 0;
    descriptor.w = w;
    descriptor.n = n;
    descriptor.k = k;
    descriptor.bias = bias;
    return *Normalize(descriptor);
  };
  const std::string tail = ",raster=2,blocks=1,steps=2,scale_in_weights=1,pair_table=";
  struct Named {
    std::string candidate;
    NormalizedOperator op;
    int64_t m;
  };
  const std::vector<Named> cases = {
      {"wgmma(tokens=16,groups=1,row_tiles=1,stages=4,splits=2,cluster=2" + tail + "0)",
       normalized("int4", 208, 512, true, "swiglu"), 45},
      {"wgmma(tokens=8,groups=2,row_tiles=2,stages=8,splits=2,cluster=2" + tail + "1)",
       normalized("nf4", 300, 2048, false), 30},
      {"dense_wgmma(tokens=32,groups=2,row_tiles=1,stages=4,splits=2,cluster=2,raster=1,blocks=1)",
       normalized("fp16", 390, 320, true, "silu"), 70},
      // Math groups that share rows, with parts of K of different lengths, and as a cluster.
      {"wgmma(tokens=16,groups=4,row_tiles=1,stages=8,splits=1,cluster=1,depth=4" + tail + "0)",
       normalized("int4", 208, 1408, true, "swiglu"), 37},
      {"wgmma(tokens=24,groups=4,row_tiles=2,stages=6,splits=1,cluster=1,depth=2" + tail + "0)",
       normalized("uint4", 300, 640, true), 50},
      {"wgmma(tokens=8,groups=2,row_tiles=1,stages=8,splits=2,cluster=2,depth=2" + tail + "1)",
       normalized("nf4", 130, 2048, false, "gelu"), 21},
  };
  EmulatorCompiler compiler;
  for (const Named& c : cases) {
    const Candidate candidate = *Candidate::Parse(c.candidate);
    absl::StatusOr<LoweredKernel> lowered = catalog.Find(candidate.schedule)->Lower(c.op, candidate, *target);
    ASSERT_TRUE(lowered.ok()) << lowered.status();
    const EmulatedKernel kernel = {"sm_90a", c.op, c.m, candidate, *std::move(lowered)};
    const CompileRequest request{.arch = "sm_90a", .source = kernel.lowered.source};
    absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&request, 1}, nullptr)[0];
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    EXPECT_EQ(CheckKernel(kernel, compiled->binary), "") << kernel.name();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, NumericsTest,
    testing::Values(Case{"decode", "sm_90a", "quantised_operators.txt", {1, 3, 16, 2, 9, 5, 12}, 6, "decode"},
                    Case{"decode", "sm_80", "quantised_operators.txt", {16, 1, 7, 33}, 1, "decode_sm80"},
                    Case{"pipelined", "sm_80", "quantised_operators.txt", {17, 33, 70, 1, 130, 3}, 6, "pipelined"},
                    Case{"wgmma", "sm_90a", "quantised_operators.txt", {33, 70, 17, 1, 130, 300}, 6, "wgmma"},
                    Case{"dense", "sm_89", "dense_operators.txt", {1, 17, 33, 3, 70, 130}, 10, "dense"},
                    Case{"dense_wgmma", "sm_90a", "dense_operators.txt", {33, 70, 1, 130, 17, 3}, 10, "dense_wgmma"}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.test_name; });

INSTANTIATE_TEST_SUITE_P(
    Widths, WidthsTest,
    testing::Values(
        Case{"decode", "sm_90a", "width_operators.txt", {1, 3, 16, 2, 9}, 1, "decode"},
        Case{"pipelined", "sm_80", "width_operators.txt", {17, 33, 3, 70}, 1, "pipelined"},
        Case{"wgmma", "sm_90a", "width_operators.txt", {33, 17, 70, 3}, 1, "wgmma"},
        Case{"decode", "sm_90a", "widened_operators.txt", {1, 3, 16, 2, 9}, 1, "decode_widened"},
        Case{"pipelined", "sm_80", "widened_operators.txt", {17, 33, 3, 70}, 1, "pipelined_widened"},
        Case{"wgmma", "sm_90a", "widened_operators.txt", {33, 17, 70, 3, 130}, 1, "wgmma_widened"},
        Case{"decode", "sm_90a", "byte_operators.txt", {1, 3, 16, 2, 9}, 1, "decode_bytes"},
        Case{"wgmma_bytes", "sm_90a", "byte_tile_operators.txt", {33, 70, 17, 1, 130}, 1, "wgmma_bytes"},
        Case{"pipelined_bytes", "sm_89", "byte_tile_operators.txt", {33, 70, 17, 1, 130}, 1, "pipelined_bytes"}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.test_name; });

}  // namespace
}  // namespace ladder
