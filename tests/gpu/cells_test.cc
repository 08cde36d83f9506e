// 60 cells of the support matrix at large shapes on the hardware, chosen for what they have in pairs (tests/schedules/
// pair_cover.h), each with the candidate that its schedule's cost model likes best: every element against the
// reference, and how near the worst one comes to the bound. LADDER_CELLS_JSON=FILE keeps the table.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/gpu/gpu_test.h"
#include "tests/schedules/pair_cover.h"

namespace ladder {
namespace {

constexpr size_t kCells = 60;

SupportSizes LargeSizes() {
  SupportSizes sizes;
  sizes.rows = {1, 16, 24, 64, 1024};
  sizes.n = {4096, 8192};
  sizes.k_names = {"4096", "8192"};
  sizes.k = [](int64_t) { return std::vector<int64_t>{4096, 8192}; };
  return sizes;
}

// The candidate predicted to be fastest.
Candidate FirstRanked(const Schedule& schedule, const NormalizedOperator& op, int64_t m, const Target& target) {
  Candidate best;
  double least = HUGE_VAL;
  for (const Candidate& candidate : schedule.Enumerate(op, m, target)) {
    const double us = schedule.Predict(op, m, candidate, target);
    if (us < least) best = candidate, least = us;
  }
  return best;
}

class GpuCells : public GpuTest {};

TEST_F(GpuCells, AreWithinTheBoundAtLargeShapes) {
  const SupportSpace space(gpu().catalog, {gpu().target}, LargeSizes());
  const PairSet served = ServedPairs(space);
  const std::vector<Cell> cells = CoverPairs(space, served, kCells);
  ASSERT_EQ(cells.size(), kCells);
  PairSet covered(space);
  std::vector<NormalizedOperator> operators;
  std::vector<Candidate> candidates;
  std::vector<LoweredKernel> kernels;
  std::vector<CompileRequest> requests;
  for (const Cell& cell : cells) {
    covered.Add(cell);
    operators.push_back(*space.Operator(cell));
    candidates.push_back(FirstRanked(space.schedule(cell), operators.back(), space.rows(cell), gpu().target));
    absl::StatusOr<LoweredKernel> lowered =
        space.schedule(cell).Lower(operators.back(), candidates.back(), gpu().target);
    ASSERT_TRUE(lowered.ok()) << space.Text(cell) << ": " << lowered.status();
    kernels.push_back(*std::move(lowered));
    requests.push_back({gpu().target.arch, kernels.back().source, kernels.back().launch.entry});
  }
  const std::vector<absl::StatusOr<CompiledKernel>> compiled = gpu().compiler->Compile(requests, nullptr);

  nlohmann::json rows = nlohmann::json::array();
  std::printf("%-11s %-8s %-8s %5s %4s  %-15s %-9s %-9s %s\n", "N x K", "w", "a", "group", "M", "schedule", "error/bnd",
              "norm", "the rest of the operator");
  for (size_t i = 0; i < cells.size(); i++) {
    const NormalizedOperator& op = operators[i];
    const int64_t m = space.rows(cells[i]);
    ASSERT_TRUE(compiled[i].ok()) << space.Text(cells[i]) << ": " << compiled[i].status();
    const absl::StatusOr<Verification> result =
        gpu().device->Verify({op, m, 100 + i}, {compiled[i]->binary, kernels[i].launch, kernels[i].numerics});
    ASSERT_TRUE(result.ok()) << space.Text(cells[i]) << ": " << result.status();
    EXPECT_TRUE(result->passed) << candidates[i].ToString() << " for " << op.ToString() << " m=" << m << ": "
                                << result->detail;
    std::string rest;
    for (const int factor :
         {kScale, kTensorScale, kZeros, kActivationScale, kOut, kBias, kAct, kOutputScale, kResidual}) {
      const uint8_t value = cells[i][factor];
      const std::string& name = space.values(factor)[value];
      if (factor == kScale || factor == kOut || value != 0)
        absl::StrAppend(&rest, " ", kFactorNames[factor], "=", name);
    }
    std::printf("%-11s %-8s %-8s %5s %4d  %-15s %9.3f %9.1e%s\n", absl::StrCat(op.n(), " x ", op.k()).c_str(),
                space.values(kWeight)[cells[i][kWeight]].c_str(),
                space.values(kActivation)[cells[i][kActivation]].c_str(),
                space.values(kGroup)[cells[i][kGroup]].c_str(), static_cast<int>(m), candidates[i].schedule.c_str(),
                result->worst_ratio, result->relative_norm, rest.c_str());
    rows.push_back({{"operator", op.ToString()},
                    {"w", space.values(kWeight)[cells[i][kWeight]]},
                    {"m", m},
                    {"candidate", candidates[i].ToString()},
                    {"error_over_bound", result->worst_ratio},
                    {"relative_norm", result->relative_norm},
                    {"wrong_elements", result->wrong_elements}});
  }
  std::printf("%zu cells with %zu of the %zu pairs that %s serves\n", cells.size(), covered.size(), served.size(),
              gpu().target.arch.c_str());
  const char* const path = std::getenv("LADDER_CELLS_JSON");
  if (path == nullptr) return;
  const char* const commit = std::getenv("LADDER_COMMIT");
  const absl::StatusOr<DeviceEnvironment> environment = gpu().device->GetEnvironment();
  ASSERT_TRUE(environment.ok()) << environment.status();
  const nlohmann::json record = {
      {"gpu", gpu().target.model},
      {"driver", environment->driver},
      {"compiler", gpu().compiler->Version()},
      {"date", absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone())},
      {"commit", commit == nullptr ? "unknown" : commit},
      {"schedules_digest", gpu().catalog.sources_digest},
      {"pairs", {{"covered", covered.size()}, {"served", served.size()}}},
      {"cells", rows},
  };
  std::ofstream(path) << record.dump(1) << "\n";
}

}  // namespace
}  // namespace ladder
