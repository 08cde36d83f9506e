#include "tests/schedules/policy_replay.h"

#include <algorithm>

#include "core/tuning/tuner.h"

namespace ladder {
namespace {

OperatorReplay ReplayOperator(const OperatorTrace& trace, const Target& target, const ScheduleCatalog& catalog,
                              int candidates) {
  OperatorReplay replay;
  replay.op_text = trace.op.ToString();
  replay.m = trace.m;
  double first_predicted = 0;
  std::vector<PlannedCandidate> known;
  for (const TimedCandidate& timed : trace.times) {
    const Schedule* schedule = catalog.Find(timed.candidate.schedule);
    // What lowers has the parameters that a prediction reads.
    if (schedule == nullptr || !schedule->Supports(trace.op, trace.m, target).ok() ||
        !schedule->Lower(trace.op, timed.candidate, target).ok()) {
      replay.unknown++;
      continue;
    }
    const double predicted = schedule->Predict(trace.op, trace.m, timed.candidate, target);
    if (replay.candidates == 0 || predicted < first_predicted) {
      replay.first = timed.candidate, replay.first_us = timed.us, first_predicted = predicted;
    }
    if (replay.candidates == 0 || timed.us < replay.best_us) replay.best = timed.candidate, replay.best_us = timed.us;
    replay.candidates++;
    known.push_back({timed.candidate, predicted});
  }
  std::ranges::stable_sort(known, {}, &PlannedCandidate::predicted_us);
  for (const PlannedCandidate& tried : SelectCandidates(known, {}, candidates)) {
    const auto timed = std::ranges::find(trace.times, tried.candidate, &TimedCandidate::candidate);
    if (replay.searched_us == 0 || timed->us < replay.searched_us) replay.searched_us = timed->us;
  }
  const absl::StatusOr<std::vector<PlannedCandidate>> plan = PlanCandidates(catalog, trace.op, trace.m, target);
  replay.prefers_unmeasured = plan.ok() && std::ranges::none_of(trace.times, [&](const TimedCandidate& timed) {
                                return timed.candidate == plan->front().candidate;
                              });
  return replay;
}

}  // namespace

double PolicyReplay::ShareWithin(double regret) const {
  if (operators.empty()) return 0;
  const auto within = std::ranges::count_if(operators, [&](const OperatorReplay& op) { return op.regret() <= regret; });
  return static_cast<double>(within) / static_cast<double>(operators.size());
}

double PolicyReplay::ShareFoundWithin(double regret) const {
  if (operators.empty()) return 0;
  const auto found =
      std::ranges::count_if(operators, [&](const OperatorReplay& op) { return op.search_regret() <= regret; });
  return static_cast<double>(found) / static_cast<double>(operators.size());
}

double PolicyReplay::MedianRegret() const {
  if (operators.empty()) return 0;
  std::vector<double> regrets;
  for (const OperatorReplay& op : operators) regrets.push_back(op.regret());
  std::ranges::nth_element(regrets, regrets.begin() + static_cast<std::ptrdiff_t>(regrets.size() / 2));
  return regrets[regrets.size() / 2];
}

PolicyReplay Replay(const PolicyTrace& trace, const ScheduleCatalog& catalog, int candidates) {
  PolicyReplay replay;
  for (const OperatorTrace& op : trace.operators) {
    OperatorReplay one = ReplayOperator(op, trace.target, catalog, candidates);
    if (one.candidates > 0) {
      replay.operators.push_back(std::move(one));
    } else {
      replay.lost++;
    }
  }
  return replay;
}

}  // namespace ladder
