#include "tests/performance/bench_measure.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace ladder {
namespace {

constexpr ProfilePolicy kRough = {.repeats = 3, .replay_ms = 0.5, .preheat_ms = 1, .rotate_bytes = 0};

double MillisecondsSince(absl::Time start) { return absl::ToDoubleMilliseconds(absl::Now() - start); }

struct Trial {
  const BenchCandidate* candidate;
  KernelBinary binary;
  Verification verification;
  double us = 0;
};

}  // namespace

// A call that fails is the candidate's fault as long as the next one works.
bool BenchMeasurer::Lost(const absl::Status& status) {
  return !status.ok() &&
         device_.ProfileYardstick({}, "none", {}).status().code() == absl::StatusCode::kFailedPrecondition;
}

absl::Status BenchMeasurer::MeasureYardsticks(BenchResult& result) {
  const BenchProblem& p = result.problem;
  for (const std::string& name : options_.yardsticks) {
    const auto key = std::tuple(name, p.op.activation(), p.m, p.op.n(), p.op.k());
    auto found = yardsticks_.find(key);
    if (found == yardsticks_.end()) {
      watchdog_.Watch(absl::StrCat(name, " ", p.op.ToString(), " m=", p.m));
      const absl::StatusOr<Measurement> measured =
          device_.ProfileYardstick({p.op, p.m, options_.seed}, name, options_.policy);
      watchdog_.Watch("");
      if (Lost(measured.status())) return measured.status();
      if (!measured.ok()) {
        absl::FPrintF(stderr, "%s: %s\n", name, measured.status().message());
      }
      found = yardsticks_.emplace(key, measured.ok() ? measured->median_us : 0).first;
    }
    if (found->second > 0) result.yardstick_us[name] = found->second;
  }
  return absl::OkStatus();
}

absl::StatusOr<BenchResult> BenchMeasurer::Measure(const BenchJob& job, std::string& culprit) {
  BenchResult result;
  result.problem = job.problem;
  const Workload workload = {job.problem.op, job.problem.m, options_.seed};
  std::vector<Trial> trials;
  std::vector<std::string> fallen;
  const auto reject = [&](const BenchCandidate& candidate, absl::string_view why) {
    result.rejected++;
    fallen.push_back(absl::StrFormat("  rejected  predicted %9.2f  %s: %s", candidate.predicted_us,
                                     candidate.candidate.ToString(), why));
  };

  absl::Time start = absl::Now();
  for (const BenchCandidate& candidate : job.candidates) {
    result.tried++;
    if (candidate.kernel == nullptr || (!candidate.reason.empty() && !options_.keep_rejected)) {
      reject(candidate, candidate.reason);
      continue;
    }
    Trial trial{&candidate, {candidate.kernel->binary, candidate.lowered.launch, candidate.lowered.numerics}, {}, 0};
    culprit = DenyKey(job.problem, candidate.candidate);
    watchdog_.Watch(culprit);
    const absl::StatusOr<Verification> verified = device_.Verify(workload, trial.binary);
    watchdog_.Watch("");
    if (!verified.ok()) {
      if (Lost(verified.status())) return verified.status();
      reject(candidate, verified.status().message());
      continue;
    }
    if (!verified->passed) {
      reject(candidate, absl::StrFormat("wrong (ratio %.3g, norm %.2g): %s", verified->worst_ratio,
                                        verified->relative_norm, verified->detail));
      continue;
    }
    trial.verification = *verified;
    trials.push_back(std::move(trial));
  }
  result.verify_ms = MillisecondsSince(start);

  start = absl::Now();
  for (Trial& trial : trials) {
    culprit = DenyKey(job.problem, trial.candidate->candidate);
    watchdog_.Watch(culprit);
    const absl::StatusOr<std::vector<Measurement>> measured = device_.Profile(workload, {&trial.binary, 1}, kRough);
    watchdog_.Watch("");
    if (!measured.ok()) {
      if (Lost(measured.status())) return measured.status();
      reject(*trial.candidate, measured.status().message());
      continue;
    }
    trial.us = measured->front().median_us;
  }
  std::erase_if(trials, [](const Trial& trial) { return trial.us == 0; });
  const auto by_time = [](const Trial& a, const Trial& b) { return a.us < b.us; };
  std::ranges::sort(trials, by_time);
  const size_t finalists = std::min<size_t>(std::max(1, options_.finalists), trials.size());
  if (finalists > 0) {
    std::vector<KernelBinary> binaries;
    for (size_t i = 0; i < finalists; i++) binaries.push_back(trials[i].binary);
    culprit = DenyKey(job.problem, trials.front().candidate->candidate);
    watchdog_.Watch(culprit);
    const absl::StatusOr<std::vector<Measurement>> measured = device_.Profile(workload, binaries, options_.policy);
    watchdog_.Watch("");
    if (!measured.ok()) return measured.status();
    for (size_t i = 0; i < finalists; i++) trials[i].us = (*measured)[i].median_us;
    std::sort(trials.begin(), trials.begin() + static_cast<std::ptrdiff_t>(finalists), by_time);
    result.us = trials.front().us;
    result.error = trials.front().verification.worst_ratio;
    result.best = trials.front().candidate->candidate.ToString();
  }
  result.profile_ms = MillisecondsSince(start);
  for (const Trial& trial : trials) {
    result.times.push_back({trial.candidate->candidate, trial.us});
    result.lines.push_back(absl::StrFormat("  %9.2f us  predicted %9.2f  error %.3f  regs %3d  %s", trial.us,
                                           trial.candidate->predicted_us, trial.verification.worst_ratio,
                                           trial.candidate->kernel->registers, trial.candidate->candidate.ToString()));
  }
  // Finalists were timed again, so that one of them may be behind a candidate that was not.
  std::ranges::stable_sort(result.times, {}, &TimedCandidate::us);
  result.lines.insert(result.lines.end(), fallen.begin(), fallen.end());
  culprit.clear();
  if (absl::Status status = MeasureYardsticks(result); !status.ok()) return status;
  return result;
}

}  // namespace ladder
