#include "core/tuning/tuner.h"

#include <algorithm>
#include <future>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/backend/compile_log.h"
#include "core/tuning/quiet.h"

namespace ladder {
namespace {

// The first, rough timing of every candidate; finalists get ProfilePolicy's defaults.
constexpr ProfilePolicy kRough = {.repeats = 3, .replay_ms = 0.5, .preheat_ms = 1, .rotate_bytes = 0};

// An incumbent stays unless it is beaten by more than this share and by more than this many of its deviations.
constexpr double kNoiseShare = 0.02;
constexpr double kNoiseDeviations = 3;

// How often the GPU is looked at while others keep it busy, and finalists are timed while their times spread.
constexpr absl::Duration kLookPause = absl::Milliseconds(100);
constexpr int kMostFinals = 4;

double MillisecondsSince(absl::Time start) { return absl::ToDoubleMilliseconds(absl::Now() - start); }

// Errors that mean "nothing can be tried here now", not "this candidate is bad".
bool EndsTuning(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsFailedPrecondition(status) || absl::IsCancelled(status);
}

}  // namespace

std::vector<int64_t> RowsToVerify(int64_t m) {
  const int64_t fewest = m / 2 + 1;
  return fewest < m ? std::vector<int64_t>{m, fewest} : std::vector<int64_t>{m};
}

Tuner::Tuner(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler, Device* device, Job job,
             ProgressCallback progress, const CancelToken& cancel)
    : catalog_(catalog),
      store_(store),
      compiler_(compiler),
      device_(device),
      job_(std::move(job)),
      progress_(std::move(progress)),
      cancel_(cancel),
      start_(absl::Now()),
      deadline_(start_ + job_.options.budget) {
  // A fixed seed per operator makes a search repeatable and lets a device keep the weight, and what it computed from
  // it, from one M to the next; it derives fresh inputs for each of its buffers from the seed.
  const std::string digest = Sha256Hex(job_.op.ToString());
  trace_.seed = std::stoull(digest.substr(0, 15), nullptr, 16);
  workload_ = {job_.op, job_.m, trace_.seed};
}

void Tuner::Report(TuningPhase phase, int done, int total) {
  if (!progress_) return;
  TuningProgress progress{.phase = phase, .done = done, .failed = 0, .total = total, .best_us = 0, .best = ""};
  for (const CandidateTrace& entry : trace_.candidates) {
    if (entry.status != CandidateStatus::kRanked && entry.status != CandidateStatus::kTimed) progress.failed++;
    if (entry.status == CandidateStatus::kTimed &&
        (progress.best_us == 0 || entry.measurement.median_us < progress.best_us)) {
      progress.best_us = entry.measurement.median_us;
      progress.best = entry.candidate.ToString();
    }
  }
  progress_(progress);
}

void Tuner::Fall(size_t index, CandidateStatus status, absl::string_view reason) {
  trials_[index].alive = false;
  trace_.candidates[index].status = status;
  trace_.candidates[index].reason = std::string(reason.substr(0, 2000));
}

absl::Status Tuner::FallFor(size_t index, CandidateStatus fault, const absl::Status& status) {
  if (EndsTuning(status)) return status;
  // One candidate's workspace may not fit where another's does; if none fits, that is the caller's answer.
  if (absl::IsResourceExhausted(status)) exhausted_ = status;
  Fall(index, absl::IsPermissionDenied(status) ? CandidateStatus::kDenied : fault, status.message());
  return absl::OkStatus();
}

absl::Status Tuner::CheckCancelled() const {
  return cancel_.cancelled() ? absl::CancelledError("tuning was cancelled") : absl::OkStatus();
}

absl::Status Tuner::Lower(const std::vector<PlannedCandidate>& selected) {
  for (const PlannedCandidate& planned : selected) {
    CandidateTrace trace;
    trace.candidate = planned.candidate;
    trace.predicted_us = planned.predicted_us;
    trace_.candidates.push_back(std::move(trace));
    Trial& trial = trials_.emplace_back();
    const Schedule* schedule = catalog_.Find(planned.candidate.schedule);
    if (schedule == nullptr) return absl::InternalError(absl::StrCat("no schedule ", planned.candidate.schedule));
    absl::StatusOr<LoweredKernel> lowered = schedule->Lower(job_.op, planned.candidate, job_.target);
    if (!lowered.ok()) {
      Fall(trials_.size() - 1, CandidateStatus::kCompileFailed, lowered.status().message());
      continue;
    }
    trial.alive = true;
    trial.lowered = *std::move(lowered);
    trial.artifact = MakeArtifactKey({job_.target.arch, trial.lowered.source, trial.lowered.launch.entry},
                                     catalog_.sources_digest, compiler_.Version());
  }
  return absl::OkStatus();
}

absl::Status Tuner::Compile(size_t first, size_t last) {
  const absl::Time begin = absl::Now();
  std::vector<CompileRequest> requests;
  std::vector<size_t> owners;
  for (size_t i = first; i < last; i++) {
    if (!trials_[i].alive) continue;
    // A machine without a GPU compiles for what the compiler says of it, so a cached binary is no use there.
    if (device_ != nullptr) {
      absl::StatusOr<std::optional<std::string>> binary = store_.FindArtifact(trials_[i].artifact);
      if (binary.ok() && binary->has_value()) {
        trials_[i].compiled.binary = **std::move(binary);
        continue;
      }
    }
    requests.push_back({job_.target.arch, trials_[i].lowered.source, trials_[i].lowered.launch.entry});
    owners.push_back(i);
  }
  const int total = static_cast<int>(requests.size());
  std::mutex mutex;
  int done = 0;
  Report(TuningPhase::kCompile, 0, total);
  std::vector<absl::StatusOr<CompiledKernel>> results = compiler_.Compile(requests, [&](size_t) {
    const std::lock_guard lock(mutex);
    Report(TuningPhase::kCompile, ++done, total);
  });
  for (size_t j = 0; j < owners.size(); j++) {
    const size_t i = owners[j];
    if (!results[j].ok()) {
      // Without any compiler no candidate can live: that is the caller's answer, not a trace entry.
      const absl::Status fallen = FallFor(i, CandidateStatus::kCompileFailed, results[j].status());
      if (!fallen.ok()) return fallen;
      continue;
    }
    Trial& trial = trials_[i];
    trial.compiled = *std::move(results[j]);
    CandidateTrace& trace = trace_.candidates[i];
    trace.registers = trial.compiled.registers;
    trace.spill_bytes = trial.compiled.spill_bytes;
    trace.compile_ms = trial.compiled.compile_ms;
    if (trial.compiled.spill_bytes > 0) {
      Fall(i, CandidateStatus::kSpilled, absl::StrCat(trial.compiled.spill_bytes, " bytes of spills"));
    } else if (HasSerialisedWgmma(trial.compiled.log)) {
      Fall(i, CandidateStatus::kSpilled, "the assembler serialised the warp group instructions");
    }
  }
  trace_.compile_ms += MillisecondsSince(begin);
  return absl::OkStatus();
}

absl::StatusOr<DeviceConditions> Tuner::CheckSharing() {
  absl::StatusOr<DeviceConditions> conditions = device_->GetConditions();
  // A device that can't tell is no reason not to tune; one that is gone is.
  if (!conditions.ok() && !EndsTuning(conditions.status())) return DeviceConditions{};
  if (!conditions.ok()) return conditions;
  shared_ = IsShared(*conditions);
  if (shared_ && !job_.options.share_gpu) return RefuseToShare(*conditions, "options.share_gpu");
  return conditions;
}

void Tuner::NoteDisturbance(const std::string& disturbance) {
  if (trace_.disturbance.empty()) trace_.disturbance = disturbance;
}

absl::Status Tuner::Pause(absl::Duration pause) {
  for (const absl::Time end = absl::Now() + pause; absl::Now() < end;) {
    if (absl::Status s = CheckCancelled(); !s.ok()) return s;
    absl::SleepFor(std::min(kLookPause, end - absl::Now()));
  }
  return CheckCancelled();
}

absl::Status Tuner::AwaitQuiet(absl::Time until) {
  const absl::Time begin = absl::Now();
  while (true) {
    const absl::StatusOr<DeviceConditions> conditions = CheckSharing();
    if (!conditions.ok()) return conditions.status();
    const std::string disturbance = Disturbance(*conditions);
    NoteDisturbance(disturbance);
    if (disturbance.empty()) break;
    if (absl::Now() >= until) {
      trace_.disturbed = true;
      break;
    }
    Report(TuningPhase::kWait, 0, 0);
    if (absl::Status s = Pause(kLookPause); !s.ok()) return s;
  }
  if (!trace_.disturbance.empty()) trace_.waited_ms += MillisecondsSince(begin);
  return absl::OkStatus();
}

absl::Status Tuner::Rest(absl::Duration used) {
  const int duty_percent = job_.options.share_duty_percent;
  if (!shared_ || duty_percent >= 100) return absl::OkStatus();
  const absl::Duration pause = used * (100.0 / duty_percent - 1);
  trace_.rested_ms += absl::ToDoubleMilliseconds(pause);
  return Pause(pause);
}

std::future<void> Tuner::PrepareVerify() {
  // Beside others the GPU's time is rationed, and this isn't counted.
  if (device_ == nullptr || shared_) return {};
  return std::async(std::launch::async, [this] { device_->PrepareVerify(workload_); });
}

absl::Status Tuner::Verify(size_t i) {
  CandidateTrace& trace = trace_.candidates[i];
  Workload workload = workload_;
  for (const int64_t m : RowsToVerify(job_.m)) {
    workload.m = m;
    const absl::Time begin = absl::Now();
    const absl::StatusOr<Verification> result = device_->Verify(workload, trials_[i].binary());
    trace_.verify_ms += MillisecondsSince(begin);
    if (absl::Status s = Rest(absl::Now() - begin); !s.ok()) return s;
    if (!result.ok()) return FallFor(i, CandidateStatus::kCrashed, result.status());
    trace.worst_ratio = std::max(trace.worst_ratio, result->worst_ratio);
    trace.relative_norm = std::max(trace.relative_norm, result->relative_norm);
    if (result->passed) continue;
    const std::string where = m == job_.m ? "" : absl::StrCat("at ", m, " rows ");
    Fall(i, CandidateStatus::kWrong,
         absl::StrCat(where, result->wrong_elements, " elements beyond the bound; ", result->detail));
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Tuner::Profile(size_t i) {
  const absl::Time begin = absl::Now();
  const KernelBinary binary = trials_[i].binary();
  const absl::StatusOr<std::vector<Measurement>> result = device_->Profile(workload_, {&binary, 1}, kRough);
  trace_.profile_ms += MillisecondsSince(begin);
  if (absl::Status s = Rest(absl::Now() - begin); !s.ok()) return s;
  if (!result.ok()) return FallFor(i, CandidateStatus::kCrashed, result.status());
  trace_.candidates[i].measurement = result->front();
  trace_.candidates[i].status = CandidateStatus::kTimed;
  trials_[i].rank_us = result->front().median_us;
  return absl::OkStatus();
}

absl::Status Tuner::ForEachAlive(TuningPhase phase, absl::Time until, const std::function<absl::Status(size_t)>& step) {
  const int total = static_cast<int>(trials_.size());
  bool survivor = false;
  for (size_t i = 0; i < trials_.size(); i++) {
    if (!trials_[i].alive) continue;
    if (absl::Status s = CheckCancelled(); !s.ok()) return s;
    // The budget bounds the search, not the answer: the search goes on until one candidate is correct and timed.
    if (survivor && absl::Now() > until) {
      Fall(i, CandidateStatus::kSkipped, "the time budget ran out");
      continue;
    }
    Report(phase, static_cast<int>(i), total);
    if (absl::Status s = step(i); !s.ok()) return s;
    survivor = survivor || trials_[i].alive;
  }
  Report(phase, total, total);
  return absl::OkStatus();
}

std::vector<size_t> Tuner::Ranking() const {
  std::vector<size_t> order;
  for (size_t i = 0; i < trials_.size(); i++) {
    if (trials_[i].alive) order.push_back(i);
  }
  const auto cost = [&](size_t i) {
    return device_ == nullptr ? trace_.candidates[i].predicted_us : trials_[i].rank_us;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost(a) < cost(b); });
  return order;
}

absl::StatusOr<std::vector<Measurement>> Tuner::TimeFinalists(const std::vector<KernelBinary>& binaries) {
  std::vector<Measurement> steadiest;
  double least_spread = 0;
  for (int final = 1;; final++) {
    if (absl::Status s = AwaitQuiet(deadline_); !s.ok()) return s;
    Report(TuningPhase::kFinal, 0, static_cast<int>(binaries.size()));
    const absl::Time begin = absl::Now();
    absl::StatusOr<std::vector<Measurement>> result = device_->Profile(workload_, binaries, ProfilePolicy{});
    trace_.profile_ms += MillisecondsSince(begin);
    if (absl::Status s = Rest(absl::Now() - begin); !s.ok()) return s;
    if (!result.ok()) return steadiest.empty() ? result : steadiest;
    // The best decides, and its time is the one that is told.
    const Measurement& best = *std::ranges::min_element(*result, {}, &Measurement::median_us);
    const double spread = best.spread_us / best.median_us;
    const std::string disturbance = Disturbance(best);
    if (steadiest.empty() || spread < least_spread || disturbance.empty()) {
      steadiest = *std::move(result);
      least_spread = spread;
    }
    if (disturbance.empty()) return steadiest;
    NoteDisturbance(disturbance);
    if (final == kMostFinals || absl::Now() >= deadline_) {
      trace_.disturbed = true;
      return steadiest;
    }
    if (absl::Status s = Pause(kLookPause); !s.ok()) return s;
    trace_.waited_ms += absl::ToDoubleMilliseconds(kLookPause);
  }
}

absl::Status Tuner::Final() {
  std::vector<size_t> finalists = Ranking();
  if (finalists.empty()) return absl::OkStatus();
  const auto is_incumbent = [&](size_t i) {
    return job_.incumbent != nullptr && job_.incumbent->kind != RecordKind::kSeed &&
           trace_.candidates[i].candidate == job_.incumbent->winner().candidate;
  };
  const auto incumbent = std::find_if(finalists.begin(), finalists.end(), is_incumbent);
  const size_t count = std::min<size_t>(finalists.size(), job_.options.finalists);
  if (incumbent != finalists.end() && incumbent - finalists.begin() >= static_cast<ptrdiff_t>(count)) {
    std::iter_swap(incumbent, finalists.begin() + count - 1);
  }
  finalists.resize(count);
  std::vector<KernelBinary> binaries;
  binaries.reserve(count);
  for (size_t i : finalists) binaries.push_back(trials_[i].binary());
  const absl::StatusOr<std::vector<Measurement>> result = TimeFinalists(binaries);
  if (!result.ok()) {
    // Each finalist ran alone, was correct and has its rough time: a final that can't be held costs precision only.
    return EndsTuning(result.status()) ? result.status() : absl::OkStatus();
  }
  // A rough time must not beat a final one: what did not reach the final ranks behind it.
  double slowest = 0;
  for (const Measurement& m : *result) slowest = std::max(slowest, m.median_us);
  for (size_t i : Ranking()) trials_[i].rank_us += slowest;
  for (size_t j = 0; j < count; j++) {
    trace_.candidates[finalists[j]].measurement = (*result)[j];
    trials_[finalists[j]].rank_us = (*result)[j].median_us;
  }
  const double best_us = trials_[Ranking().front()].rank_us;
  for (size_t i : finalists) {
    if (!is_incumbent(i)) continue;
    const Measurement& own = trace_.candidates[i].measurement;
    const double margin = std::max(kNoiseShare * own.median_us, kNoiseDeviations * own.spread_us);
    if (own.median_us - best_us <= margin) trials_[i].rank_us = 0;  // within the noise the incumbent stays
  }
  return absl::OkStatus();
}

absl::StatusOr<TuningResult> Tuner::Tune(const std::vector<PlannedCandidate>& selected) {
  Report(TuningPhase::kEnumerate, static_cast<int>(selected.size()), static_cast<int>(selected.size()));
  if (device_ != nullptr) {
    if (const absl::Status sharing = CheckSharing().status(); !sharing.ok()) return sharing;
  }
  if (absl::Status s = Lower(selected); !s.ok()) return s;
  trace_.enumerate_ms = MillisecondsSince(start_);
  {
    const std::future<void> prepared = PrepareVerify();
    if (absl::Status s = Compile(0, trials_.size()); !s.ok()) return s;
  }
  if (device_ == nullptr) return Finish(RecordKind::kSeed);
  // All are verified before any is timed: the reference and the copies of the weight that timing rotates would take
  // each other's memory at every turn. Verifying leaves half of the time for timing.
  const absl::Time verified_by = absl::Now() + (deadline_ - absl::Now()) / 2;
  const auto verify = [this](size_t i) { return Verify(i); };
  if (absl::Status s = ForEachAlive(TuningPhase::kVerify, verified_by, verify); !s.ok()) return s;
  // The rough times choose the finalists, so half of what is left is theirs.
  if (absl::Status s = AwaitQuiet(absl::Now() + (deadline_ - absl::Now()) / 2); !s.ok()) return s;
  const auto profile = [this](size_t i) { return Profile(i); };
  if (absl::Status s = ForEachAlive(TuningPhase::kProfile, deadline_, profile); !s.ok()) return s;
  if (absl::Status s = Final(); !s.ok()) return s;
  return Finish(RecordKind::kMeasured);
}

absl::StatusOr<TuningResult> Tuner::First(const std::vector<PlannedCandidate>& selected) {
  if (absl::Status s = Lower(selected); !s.ok()) return s;
  trace_.enumerate_ms = MillisecondsSince(start_);
  const std::future<void> prepared = PrepareVerify();
  for (size_t i = 0; i < trials_.size(); i++) {
    if (absl::Status s = CheckCancelled(); !s.ok()) return s;
    if (!trials_[i].alive) continue;
    if (absl::Status s = Compile(i, i + 1); !s.ok()) return s;
    if (!trials_[i].alive) continue;
    if (absl::Status s = Verify(i); !s.ok()) return s;
    if (!trials_[i].alive) continue;
    for (size_t rest = i + 1; rest < trials_.size(); rest++)
      Fall(rest, CandidateStatus::kSkipped, "the fast answer needs one");
    return Finish(RecordKind::kFast);
  }
  return Finish(RecordKind::kFast);
}

absl::StatusOr<TuningResult> Tuner::Finish(RecordKind kind) {
  const std::vector<size_t> ranking = Ranking();
  if (ranking.empty() && !exhausted_.ok()) return exhausted_;
  if (ranking.empty()) {
    std::string reasons;
    for (const CandidateTrace& entry : trace_.candidates) {
      const std::vector<std::string> lines = absl::StrSplit(entry.reason, absl::MaxSplits('\n', 1));
      absl::StrAppend(&reasons, "\n  ", entry.candidate.ToString(), ": ", Name(entry.status), ", ", lines.front());
    }
    return absl::InternalError(absl::StrCat("none of ", trace_.candidates.size(), " candidates for ",
                                            job_.op.ToString(), " m=", job_.m, " on ", job_.target.model,
                                            " survived:", reasons));
  }
  TuningResult result;
  TuningRecord& record = result.record;
  record.key = MakeCacheKey(job_.op, job_.m, job_.target);
  record.key_text = CacheKeyText(job_.op, job_.m, job_.target);
  record.kind = kind;
  record.op = job_.op;
  record.m = job_.m;
  record.target = job_.target;
  record.environment = {compiler_.Version(), catalog_.sources_digest, "", LADDER_VERSION};
  if (device_ != nullptr) {
    const absl::StatusOr<DeviceEnvironment> environment = device_->GetEnvironment();
    if (!environment.ok()) return environment.status();
    record.environment.driver = environment->driver;
  }
  for (size_t i : ranking) {
    const Trial& trial = trials_[i];
    const CandidateTrace& trace = trace_.candidates[i];
    RankedKernel& kernel = record.ranked.emplace_back();
    kernel.candidate = trace.candidate;
    kernel.schedule_revision = catalog_.Find(trace.candidate.schedule)->revision();
    kernel.artifact = trial.artifact;
    kernel.launch = trial.lowered.launch;
    kernel.numerics = trial.lowered.numerics;
    kernel.predicted_us = trace.predicted_us;
    kernel.worst_ratio = trace.worst_ratio;
    kernel.relative_norm = trace.relative_norm;
    if (trace.status == CandidateStatus::kTimed) kernel.measurement = trace.measurement;
    if (kind != RecordKind::kSeed && i == ranking.front()) {
      kernel.blob_sha256 = Sha256Hex(trial.compiled.binary);
      result.binaries[kernel.blob_sha256] = trial.compiled.binary;
    }
  }
  trace_.total_ms = MillisecondsSince(start_);
  record.trace = trace_;
  record.created_unix = absl::ToUnixSeconds(absl::Now());
  return result;
}

}  // namespace ladder
