#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/schedule/nearest_served.h"
#include "core/tuning/tuner.h"

namespace ladder {

absl::StatusOr<std::vector<PlannedCandidate>> PlanCandidates(const ScheduleCatalog& catalog,
                                                             const NormalizedOperator& op, int64_t m,
                                                             const Target& target) {
  std::vector<PlannedCandidate> plan;
  std::map<std::string, std::vector<absl::string_view>> refusals;  // reason -> schedules
  for (const auto& schedule : catalog.schedules) {
    const absl::Status supports = schedule->Supports(op, m, target);
    if (!supports.ok()) {
      refusals[std::string(supports.message())].push_back(schedule->name());
      continue;
    }
    for (Candidate& candidate : schedule->Enumerate(op, m, target)) {
      const double predicted_us = schedule->Predict(op, m, candidate, target);
      plan.push_back({std::move(candidate), predicted_us});
    }
  }
  if (plan.empty() && target.vendor == Vendor::kAmd) {
    return absl::UnimplementedError(
        absl::StrCat("no schedule generates matmul kernels for AMD GPUs yet, so none serves ", target.arch, " (",
                     target.model, "): name an NVIDIA target"));
  }
  if (plan.empty()) {
    const std::string reasons = absl::StrJoin(refusals, "; ", [](std::string* out, const auto& refusal) {
      absl::StrAppend(out, refusal.first, " (", absl::StrJoin(refusal.second, ", "), ")");
    });
    const std::optional<std::string> nearest = NearestServed(catalog, op, m, target);
    return absl::UnimplementedError(absl::StrCat("no schedule serves ", op.ToString(), " m=", m, " on ", target.arch,
                                                 ": ", reasons, nearest ? "; nearest: " : "", nearest.value_or("")));
  }
  std::stable_sort(plan.begin(), plan.end(),
                   [](const auto& a, const auto& b) { return a.predicted_us < b.predicted_us; });
  return plan;
}

void AddSeeds(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m, const Target& target,
              const std::vector<Candidate>& seeds, std::vector<PlannedCandidate>& plan) {
  for (const Candidate& seed : seeds) {
    if (std::any_of(plan.begin(), plan.end(), [&](const auto& entry) { return entry.candidate == seed; })) continue;
    const Schedule* schedule = catalog.Find(seed.schedule);
    if (schedule == nullptr || !schedule->Supports(op, m, target).ok()) continue;
    const absl::StatusOr<LoweredKernel> lowered = schedule->Lower(op, seed, target);
    if (lowered.ok() && lowered->launch.max_m >= m) plan.push_back({seed, schedule->Predict(op, m, seed, target)});
  }
}

namespace {

// What one parameter sets apart from a candidate that is tried anyway is predicted, and runs, much like it: it is
// ranked behind by this share of its prediction for each of these. Of the committed traces, 16 places then hold a
// candidate within 3% of the best of all on 58 of 60 operators instead of 56; from 0.03 to 0.05 hardly a thing changes.
// On 20 operators of other shapes and M, recorded after this was chosen, it is 18 either way.
constexpr double kNeighbourCost = 0.04;

bool DifferInOneParameter(const Candidate& a, const Candidate& b) {
  if (a.schedule != b.schedule || a.parameters.size() != b.parameters.size()) return false;
  int different = 0;
  // A schedule's parameters come in one order.
  for (size_t i = 0; i < a.parameters.size() && different < 2; i++) {
    different += a.parameters[i].second != b.parameters[i].second ? 1 : 0;
  }
  return different == 1;
}

}  // namespace

std::vector<PlannedCandidate> SelectCandidates(const std::vector<PlannedCandidate>& plan,
                                               const std::vector<Candidate>& seeds, int count) {
  std::vector<PlannedCandidate> selected;
  std::vector<bool> taken(plan.size());
  std::vector<int> neighbours(plan.size());  // that are taken
  std::map<std::string, int> of_schedule;
  const auto take = [&](size_t i) {
    if (taken[i] || static_cast<int>(selected.size()) >= count) return;
    taken[i] = true;
    of_schedule[plan[i].candidate.schedule]++;
    selected.push_back(plan[i]);
    for (size_t j = 0; j < plan.size(); j++) {
      if (!taken[j]) neighbours[j] += DifferInOneParameter(plan[i].candidate, plan[j].candidate) ? 1 : 0;
    }
  };
  for (const Candidate& seed : seeds) {
    for (size_t i = 0; i < plan.size(); i++) {
      if (plan[i].candidate == seed) take(i);
    }
  }
  // Places kept for a schedule that the ranking would leave out, a quarter of them each.
  const int share = std::max(1, count / 4);
  std::map<std::string, int> waiting;
  for (const PlannedCandidate& entry : plan) waiting[entry.candidate.schedule]++;
  int kept = 0;
  for (auto& [schedule, number] : waiting) {
    number = std::max(0, std::min(number, share) - of_schedule[schedule]);
    kept += number;
  }
  while (static_cast<int>(selected.size()) < count) {
    const bool only_kept = static_cast<int>(selected.size()) + kept >= count;
    std::optional<size_t> next;
    double least = 0;
    for (size_t i = 0; i < plan.size(); i++) {
      if (taken[i] || (only_kept && waiting[plan[i].candidate.schedule] == 0)) continue;
      const double cost = plan[i].predicted_us * (1 + kNeighbourCost * neighbours[i]);
      if (!next.has_value() || cost < least) next = i, least = cost;
    }
    if (!next.has_value()) break;
    int& own = waiting[plan[*next].candidate.schedule];
    if (own > 0) own--, kept--;
    take(*next);
  }
  return selected;
}

}  // namespace ladder
