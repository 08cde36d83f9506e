#include "tests/performance/selection_repeat.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/backend/compile_cache.h"
#include "core/kernel_service.h"
#include "core/store/in_memory_kernel_store.h"

namespace ladder {
namespace {

constexpr size_t kCompiledBytes = size_t{64} << 20;
// Three times the repeats of a tune's own final.
constexpr ProfilePolicy kCareful = {.repeats = 21};

absl::StatusOr<std::map<std::string, double>> TimeTogether(const ScheduleCatalog& catalog, Compiler& compiler,
                                                           Device& device, const Workload& workload,
                                                           const Target& target,
                                                           const std::map<std::string, Candidate>& candidates) {
  std::vector<KernelBinary> kernels;
  for (const auto& [name, candidate] : candidates) {
    absl::StatusOr<LoweredKernel> lowered = catalog.Find(candidate.schedule)->Lower(workload.op, candidate, target);
    if (!lowered.ok()) return lowered.status();
    const CompileRequest request = {target.arch, std::move(lowered->source), lowered->launch.entry};
    const absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&request, 1}, nullptr).front();
    if (!compiled.ok()) return compiled.status();
    kernels.push_back({compiled->binary, lowered->launch, lowered->numerics});
  }
  const absl::StatusOr<std::vector<Measurement>> measured = device.Profile(workload, kernels, kCareful);
  if (!measured.ok()) return measured.status();
  std::map<std::string, double> us;
  size_t i = 0;
  for (const auto& [name, candidate] : candidates) us[name] = (*measured)[i++].median_us;
  return us;
}

}  // namespace

absl::StatusOr<RepeatedSelection> RepeatSelection(const ScheduleCatalog& catalog, Compiler& compiler, Device& device,
                                                  const BenchProblem& problem, int repeats) {
  const absl::StatusOr<Target> target = device.GetTarget();
  if (!target.ok()) return target.status();
  CompileCache remembered(compiler, kCompiledBytes);
  RepeatedSelection result;
  result.problem = problem;
  std::map<std::string, Candidate> finalists;
  std::vector<std::string> winners;
  std::vector<double> told_us;
  uint64_t seed = 0;
  const absl::Time begin = absl::Now();
  for (int repeat = 0; repeat < repeats; repeat++) {
    InMemoryKernelStore nothing;
    KernelService service(catalog, nothing, remembered, &device);
    const TuningOptions options;
    const absl::StatusOr<Acquired> tuned = service.Acquire(problem.op, problem.m, *target, options, nullptr, nullptr);
    if (!tuned.ok()) return tuned.status();
    const TuningRecord& record = tuned->record;
    seed = record.trace.seed;
    winners.push_back(record.winner().candidate.ToString());
    told_us.push_back(record.winner().measurement.median_us);
    result.chosen[winners.back()]++;
    for (size_t i = 0; i < record.ranked.size() && i < static_cast<size_t>(options.finalists); i++) {
      finalists.emplace(record.ranked[i].candidate.ToString(), record.ranked[i].candidate);
    }
  }
  result.tune_seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  const absl::StatusOr<std::map<std::string, double>> us =
      TimeTogether(catalog, remembered, device, {problem.op, problem.m, seed}, *target, finalists);
  if (!us.ok()) return us.status();
  result.best_us = std::ranges::min_element(*us, {}, [](const auto& entry) { return entry.second; })->second;
  for (const std::string& winner : winners) result.ratios.push_back(us->at(winner) / result.best_us);
  const auto [fastest, slowest] = std::ranges::minmax(told_us);
  result.time_spread = (slowest - fastest) / result.best_us;
  return result;
}

int Within(const std::vector<double>& ratios, double limit) {
  return static_cast<int>(std::ranges::count_if(ratios, [limit](double ratio) { return ratio <= limit; }));
}

}  // namespace ladder
