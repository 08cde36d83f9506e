// 60 cells of the support matrix at large shapes on the hardware, chosen for what they have in pairs (tests/schedules/
// pair_cover.h), each with the candidate that its schedule's cost model likes best: every element against the
// reference, and how near the worst one comes to the bound. LADDER_CELLS_JSON=FILE keeps the table.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
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

// Of these the first that does not spill is taken, as tuning would.
constexpr size_t kCandidates = 3;

// Those predicted to be fastest, the best first.
std::vector<Candidate> FirstRanked(const Schedule& schedule, const NormalizedOperator& op, int64_t m,
                                   const Target& target) {
  std::vector<Candidate> all = schedule.Enumerate(op, m, target);
  std::ranges::stable_sort(all, {}, [&](const Candidate& c) { return schedule.Predict(op, m, c, target); });
  all.resize(std::min(all.size(), kCandidates));
  return all;
}

struct CellKernel {
  size_t cell;  // index
  Candidate candidate;
  LoweredKernel lowered;
};

class GpuCells : public GpuTest {};

TEST_F(GpuCells, AreWithinTheBoundAtLargeShapes) {
  // With its rates, which predictions need: measured once the support kernels are there.
  const absl::StatusOr<Target> target = gpu().device->GetTarget();
  ASSERT_TRUE(target.ok()) << target.status();
  const SupportSpace space(gpu().catalog, {*target}, LargeSizes());
  const PairSet served = ServedPairs(space);
  const std::vector<Cell> cells = CoverPairs(space, served, kCells);
  ASSERT_EQ(cells.size(), kCells);
  PairSet covered(space);
  std::vector<NormalizedOperator> operators;
  std::vector<CellKernel> kernels;
  std::vector<CompileRequest> requests;
  for (size_t i = 0; i < cells.size(); i++) {
    covered.Add(cells[i]);
    operators.push_back(*space.Operator(cells[i]));
    const Schedule& schedule = space.schedule(cells[i]);
    for (const Candidate& candidate : FirstRanked(schedule, operators[i], space.rows(cells[i]), *target)) {
      absl::StatusOr<LoweredKernel> lowered = schedule.Lower(operators[i], candidate, *target);
      ASSERT_TRUE(lowered.ok()) << space.Text(cells[i]) << ": " << lowered.status();
      requests.push_back({target->arch, lowered->source, lowered->launch.entry});
      kernels.push_back({i, candidate, *std::move(lowered)});
    }
  }
  const std::vector<absl::StatusOr<CompiledKernel>> compiled = gpu().compiler->Compile(requests, nullptr);
  std::vector<std::optional<size_t>> chosen(cells.size());  // of the kernels
  for (size_t k = 0; k < kernels.size(); k++) {
    ASSERT_TRUE(compiled[k].ok()) << space.Text(cells[kernels[k].cell]) << ": " << compiled[k].status();
    std::optional<size_t>& choice = chosen[kernels[k].cell];
    if (!choice || (compiled[*choice]->spill_bytes > 0 && compiled[k]->spill_bytes == 0)) choice = k;
  }

  nlohmann::json rows = nlohmann::json::array();
  std::printf("%-11s %-8s %-8s %5s %4s  %-15s %-9s %-9s %s\n", "N x K", "w", "a", "group", "M", "schedule", "error/bnd",
              "norm", "the rest of the operator");
  for (size_t i = 0; i < cells.size(); i++) {
    const NormalizedOperator& op = operators[i];
    const int64_t m = space.rows(cells[i]);
    ASSERT_TRUE(chosen[i]) << "no candidate for " << space.Text(cells[i]);
    const Candidate& candidate = kernels[*chosen[i]].candidate;
    const LoweredKernel& lowered = kernels[*chosen[i]].lowered;
    const absl::StatusOr<Verification> result =
        gpu().device->Verify({op, m, 100 + i}, {compiled[*chosen[i]]->binary, lowered.launch, lowered.numerics});
    if (!result.ok()) {
      ADD_FAILURE() << space.Text(cells[i]) << ": " << result.status();
      continue;
    }
    EXPECT_TRUE(result->passed) << candidate.ToString() << " for " << op.ToString() << " m=" << m << ": "
                                << result->detail;
    std::string rest;
    for (const int factor :
         {kScale, kTensorScale, kZeros, kActivationScale, kOut, kBias, kAct, kOutputScale, kResidual}) {
      const uint8_t value = cells[i][factor];
      const std::string& name = space.values(factor)[value];
      if (factor != kScale && factor != kOut && value == 0) continue;
      absl::StrAppend(&rest, " ", kFactorNames[factor], "=", name);
    }
    std::printf("%-11s %-8s %-8s %5s %4d  %-15s %9.3f %9.1e%s\n", absl::StrCat(op.n(), " x ", op.k()).c_str(),
                space.values(kWeight)[cells[i][kWeight]].c_str(),
                space.values(kActivation)[cells[i][kActivation]].c_str(),
                space.values(kGroup)[cells[i][kGroup]].c_str(), static_cast<int>(m), candidate.schedule.c_str(),
                result->worst_ratio, result->relative_norm, rest.c_str());
    rows.push_back({{"operator", op.ToString()},
                    {"w", space.values(kWeight)[cells[i][kWeight]]},
                    {"m", m},
                    {"candidate", candidate.ToString()},
                    {"error_over_bound", result->worst_ratio},
                    {"relative_norm", result->relative_norm},
                    {"wrong_elements", result->wrong_elements}});
  }
  std::printf("%zu cells with %zu of the %zu pairs that %s serves\n", cells.size(), covered.size(), served.size(),
              target->arch.c_str());
  const char* const path = std::getenv("LADDER_CELLS_JSON");
  if (path == nullptr) return;
  const char* const commit = std::getenv("LADDER_COMMIT");
  const absl::StatusOr<DeviceEnvironment> environment = gpu().device->GetEnvironment();
  ASSERT_TRUE(environment.ok()) << environment.status();
  const nlohmann::json record = {
      {"gpu", target->model},
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
