#include "tests/performance/bench_compile.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/backend/compile_log.h"
#include "core/tuning/tuner.h"

namespace ladder {
namespace {

constexpr size_t kJobsAhead = 3;

std::string SourceKey(const KernelSource& source) {
  std::string key = source.text;
  for (const auto& [name, text] : source.extra_headers) absl::StrAppend(&key, "\n//", name, "\n", text);
  return key;
}

}  // namespace

std::string DenyKey(const BenchProblem& problem, const Candidate& candidate) {
  return absl::StrCat(problem.op.ToString(), " m=", problem.m, " ", candidate.ToString());
}

CompileAhead::CompileAhead(const ScheduleCatalog& catalog, Compiler& compiler, Target target, BenchSelection selection,
                           std::vector<BenchProblem> problems, size_t first)
    : catalog_(catalog),
      compiler_(compiler),
      target_(std::move(target)),
      selection_(std::move(selection)),
      problems_(std::move(problems)),
      thread_([this, first] { Run(first); }) {}

CompileAhead::~CompileAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::unique_ptr<BenchJob> CompileAhead::Next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || finished_; });
  if (ready_.empty()) return nullptr;
  std::unique_ptr<BenchJob> job = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return job;
}

void CompileAhead::Run(size_t first) {
  for (size_t i = first; i < problems_.size(); i++) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ready_.size() < kJobsAhead || stopping_; });
      if (stopping_) return;
    }
    std::unique_ptr<BenchJob> job = MakeJob(i);
    const std::lock_guard lock(mutex_);
    ready_.push_back(std::move(job));
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

std::unique_ptr<BenchJob> CompileAhead::MakeJob(size_t index) {
  auto job = std::make_unique<BenchJob>();
  job->index = index;
  job->problem = problems_[index];
  absl::StatusOr<std::vector<PlannedCandidate>> plan =
      PlanCandidates(catalog_, job->problem.op, job->problem.m, target_);
  if (!plan.ok()) {
    job->error = std::string(plan.status().message());
    return job;
  }
  if (!selection_.schedules.empty()) {
    std::erase_if(*plan, [&](const auto& p) { return !selection_.schedules.contains(p.candidate.schedule); });
  }
  std::vector<PlannedCandidate> selected;
  for (const std::string& text : selection_.only) {
    const absl::StatusOr<Candidate> candidate = Candidate::Parse(text);
    const Schedule* schedule = candidate.ok() ? catalog_.Find(candidate->schedule) : nullptr;
    if (schedule == nullptr) continue;
    selected.push_back({*candidate, schedule->Predict(job->problem.op, job->problem.m, *candidate, target_)});
  }
  if (selection_.only.empty()) selected = SelectCandidates(*plan, {}, selection_.candidates);
  for (const PlannedCandidate& planned : selected) {
    BenchCandidate& candidate = job->candidates.emplace_back();
    candidate.candidate = planned.candidate;
    candidate.predicted_us = planned.predicted_us;
    absl::StatusOr<LoweredKernel> lowered =
        catalog_.Find(planned.candidate.schedule)->Lower(job->problem.op, planned.candidate, target_);
    if (!lowered.ok()) {
      candidate.reason = absl::StrCat("not lowered: ", lowered.status().message());
    } else if (selection_.denied.contains(DenyKey(job->problem, planned.candidate))) {
      candidate.reason = "broke or hung the GPU before";
    } else {
      candidate.lowered = *std::move(lowered);
    }
  }
  if (job->candidates.empty()) job->error = "no candidate of the schedules asked for";
  Compile(*job);
  return job;
}

void CompileAhead::Compile(BenchJob& job) {
  const absl::Time start = absl::Now();
  std::vector<CompileRequest> requests;
  std::map<std::string, std::vector<size_t>> wanted;  // by source
  for (size_t i = 0; i < job.candidates.size(); i++) {
    if (!job.candidates[i].reason.empty()) continue;
    const std::string key = SourceKey(job.candidates[i].lowered.source);
    if (!compiled_.contains(key) && !wanted.contains(key)) {
      requests.push_back({selection_.arch.empty() ? target_.arch : selection_.arch, job.candidates[i].lowered.source,
                          job.candidates[i].lowered.launch.entry});
    }
    wanted[key].push_back(i);
  }
  std::vector<absl::StatusOr<CompiledKernel>> results = compiler_.Compile(requests, nullptr);
  std::map<std::string, std::string> failures;
  for (size_t r = 0; r < requests.size(); r++) {
    const std::string key = SourceKey(requests[r].source);
    if (results[r].ok()) {
      compiled_[key] = std::make_shared<const CompiledKernel>(*std::move(results[r]));
    } else {
      failures[key] = std::string(results[r].status().message());
    }
  }
  for (const auto& [key, indices] : wanted) {
    for (const size_t i : indices) {
      BenchCandidate& candidate = job.candidates[i];
      const auto found = compiled_.find(key);
      if (found == compiled_.end()) {
        candidate.reason = absl::StrCat("not compiled: ", failures[key]);
      } else {
        candidate.kernel = found->second;
        if (candidate.kernel->spill_bytes > 0) {
          candidate.reason = absl::StrCat("spills ", candidate.kernel->spill_bytes, " bytes");
        } else if (HasSerialisedWgmma(candidate.kernel->log)) {
          candidate.reason = "wgmma serialised or setmaxnreg ignored";
        }
      }
    }
  }
  job.compile_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
}

}  // namespace ladder
