// The support matrix in pairs: of all that the schedules say they serve (formats, epilogues, M, remainders of N and K,
// architectures, schedules) every two values that go together meet in one of some 300 kernels, each of which the
// emulator runs against the float64 reference, every element held to core/tuning/error_bound.h. What is served is asked
// of the schedules: a new format, or one that a schedule comes to serve, is in it by itself.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/schedule/support_matrix.h"
#include "schedules/catalog.h"
#include "tests/emulator/emulator_device.h"
#include "tests/schedules/kernel_check.h"
#include "tests/schedules/operators.h"
#include "tests/schedules/pair_cover.h"

namespace ladder {
namespace {

// Of the kernels, so that they run beside each other and a failure is found sooner.
constexpr int kShards = 4;

// Small, but for every way in which a size can fail to fill a tile: N in row tiles of 16 and blocks of 64; K in steps
// of 16 or 32, blocks of 64 to 256, groups; deep enough once for rings to wrap and splits to be offered.
SupportSizes Sizes() {
  SupportSizes sizes;
  sizes.rows = {1, 3, 16, 24, 64, 77};
  sizes.n = {64, 100, 67, 208};
  sizes.k_names = {"whole", "remainder", "odd", "deep"};
  sizes.k = [](int64_t group) -> std::vector<int64_t> {
    if (group == 0) return {512, 104, 101, 2048};
    // 208, 160, 192, 384, 768: groups of an odd number.
    return {512, group * (group < 32 ? 13 : group < 64 ? 5 : 3), 0, 2048};
  };
  return sizes;
}

struct Space {
  ScheduleCatalog catalog = MakeCatalog();
  SupportSpace space{catalog, EmulatedTargets(), Sizes()};
  PairSet served = ServedPairs(space);
  std::vector<Cell> cells = CoverPairs(space, served);

  static std::vector<Target> EmulatedTargets() {
    std::vector<Target> targets;
    for (const Target& target : EveryArchitecture()) {
      if (target.vendor == Vendor::kNvidia) targets.push_back(*EmulatedTarget({.arch = target.arch}));
    }
    return targets;
  }
};

const Space& TheSpace() {
  static const Space& space = *new Space();
  return space;
}

// Of this process and of the compilers it ran.
double CpuSeconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage = {};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    }
  }
  return seconds;
}

int IndexOf(const SupportSpace& space, Factor factor, const std::string& value) {
  const std::vector<std::string>& values = space.values(factor);
  const auto at = std::ranges::find(values, value);
  EXPECT_NE(at, values.end()) << value;
  return static_cast<int>(at - values.begin());
}

bool ServedTogether(Factor a, const std::string& x, Factor b, const std::string& y) {
  const auto& [catalog, space, served, cells] = TheSpace();
  return served.Has(a, IndexOf(space, a, x), b, IndexOf(space, b, y));
}

TEST(PairwiseCover, HoldsEveryServedPair) {
  const auto& [catalog, space, served, cells] = TheSpace();
  PairSet covered(space);
  for (const Cell& cell : cells) {
    EXPECT_TRUE(space.Served(cell)) << space.Text(cell);
    covered.Add(cell);
  }
  for (int a = 0; a < kFactors; a++) {
    for (int b = a + 1; b < kFactors; b++) {
      for (int x = 0; x < static_cast<int>(space.values(a).size()); x++) {
        for (int y = 0; y < static_cast<int>(space.values(b).size()); y++) {
          EXPECT_EQ(covered.Has(a, x, b, y), served.Has(a, x, b, y))
              << space.values(a)[x] << " with " << space.values(b)[y];
        }
      }
    }
  }
  std::printf(
      "%zu pairs of values that are served together, all in %zu kernels, of %zu formats by schedule and "
      "architecture\n",
      served.size(), cells.size(), space.formats().size());
}

// The pairs are found by changing at most two values of a plain operator; what is drawn at random and is served has no
// other.
TEST(PairwiseCover, NothingServedHasAnotherPair) {
  const auto& [catalog, space, served, cells] = TheSpace();
  std::mt19937 random(5);
  int drawn = 0;
  for (int i = 0; i < 50'000; i++) {
    Cell cell = space.formats()[random() % space.formats().size()];
    for (int factor = kFormatFactors; factor < kFactors; factor++) {
      cell[factor] = static_cast<uint8_t>(random() % space.values(factor).size());
    }
    if (!space.Served(cell)) continue;
    drawn++;
    ASSERT_EQ(served.Lacks(cell), 0) << space.Text(cell);
  }
  EXPECT_GT(drawn, 1000);
}

// Neither everything nor nothing: what the support matrix says, by hand.
TEST(PairwiseCover, KnowsWhatIsServed) {
  const auto& [catalog, space, served, cells] = TheSpace();
  for (const Factor factor : {kArchitecture, kSchedule, kWeight, kActivation, kScale, kZeros, kGroup, kAct, kRows}) {
    for (size_t value = 0; value < space.values(factor).size(); value++) {
      const auto has = [&](const Cell& cell) { return cell[factor] == value; };
      EXPECT_TRUE(std::ranges::any_of(cells, has)) << space.values(factor)[value];
    }
  }
  EXPECT_TRUE(ServedTogether(kWeight, "uint4", kZeros, "original"));
  EXPECT_TRUE(ServedTogether(kWeight, "mxfp4", kActivation, "fp8_e4m3"));
  EXPECT_TRUE(ServedTogether(kActivation, "int8", kActivationScale, "row"));
  EXPECT_TRUE(ServedTogether(kAct, "swiglu", kResidual, "1"));
  EXPECT_TRUE(ServedTogether(kSchedule, "wgmma", kRows, "24"));
  EXPECT_TRUE(ServedTogether(kGroup, "channel", kK, "odd"));
  EXPECT_FALSE(ServedTogether(kWeight, "int4", kZeros, "original"));
  EXPECT_FALSE(ServedTogether(kSchedule, "wgmma", kArchitecture, "sm_89"));
  EXPECT_FALSE(ServedTogether(kSchedule, "dense", kWeight, "int4"));
  EXPECT_FALSE(ServedTogether(kSchedule, "decode", kRows, "24"));
  EXPECT_FALSE(ServedTogether(kActivation, "fp16", kActivationScale, "row"));
  EXPECT_FALSE(ServedTogether(kAct, "swiglu", kN, "67"));
}

// LADDER_LONG=1 takes four candidates of each cell.
class PairwiseKernels : public testing::TestWithParam<int> {};
TEST_P(PairwiseKernels, AreWithinTheBound) {
  const auto& [catalog, space, served, cells] = TheSpace();
  const char* const long_run = std::getenv("LADDER_LONG");
  const size_t candidates = long_run != nullptr && std::string(long_run) == "1" ? 4 : 1;
  const double before = CpuSeconds();
  std::vector<EmulatedKernel> kernels;
  PairCoverage coverage;
  for (size_t i = GetParam(); i < cells.size(); i += kShards) {
    const Schedule& schedule = space.schedule(cells[i]);
    const Target& target = space.target(cells[i]);
    const NormalizedOperator op = *space.Operator(cells[i]);
    const int64_t m = space.rows(cells[i]);
    const std::vector<Candidate> all = schedule.Enumerate(op, m, target);
    EXPECT_FALSE(all.empty()) << space.Text(cells[i]);
    for (const Candidate& candidate : PickCandidates(all, candidates, coverage)) {
      absl::StatusOr<LoweredKernel> lowered = schedule.Lower(op, candidate, target);
      EXPECT_TRUE(lowered.ok()) << candidate.ToString() << " for " << space.Text(cells[i]) << ": " << lowered.status();
      if (lowered.ok()) kernels.push_back({target.arch, op, m, candidate, *std::move(lowered)});
    }
  }
  const size_t wrong = ExpectWithinBound(kernels, /*threads=*/1);
  std::printf("pairwise, part %d of %d: %zu kernels, %zu wrong, %.1f s of CPU\n", GetParam() + 1, kShards,
              kernels.size(), wrong, CpuSeconds() - before);
}
INSTANTIATE_TEST_SUITE_P(Part, PairwiseKernels, testing::Range(0, kShards));

}  // namespace
}  // namespace ladder
