#include "server/serving/tune_registry.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/store/keys.h"
#include "server/logging/log.h"
#include "server/serving/retry.h"

namespace ladder {
namespace {

constexpr size_t kRememberedTunes = 256;
constexpr size_t kRememberedFailures = 4096;
constexpr size_t kRememberedWinners = 20;
// Fewer leave compilers idle: a bucket brings about ten new kernels, and the slowest takes several times the average.
constexpr ptrdiff_t kBucketsAhead = 3;

std::string SpecDigest(const TuneSpec& spec) {
  CanonicalText text("tune 1");
  text.Field("op", spec.op.ToString()).Field("m", absl::StrJoin(spec.m, ",")).Field("target", spec.target);
  text.Field("candidates", spec.options.candidates).Field("finalists", spec.options.finalists);
  text.Field("budget_ms", absl::ToInt64Milliseconds(spec.options.budget)).Field("force", spec.options.force ? 1 : 0);
  text.Field("share_gpu", spec.options.share_gpu ? 1 : 0).Field("duty", spec.options.share_duty_percent);
  return text.Digest();
}

// A failure of one bucket that says nothing about the next.
bool IsOfOneBucket(const absl::Status& status) {
  return absl::IsInternal(status) || absl::IsUnimplemented(status) || absl::IsNotFound(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

}  // namespace

// Guarded by the tune's own mutex, so that slow listeners of one don't hold up another.
struct TuneRegistry::Tune {
  std::string id;
  std::string digest;
  TuneSpec spec;
  std::shared_ptr<CancelToken> cancel = std::make_shared<CancelToken>();
  absl::Time started = absl::InfinitePast();  // of the current bucket
  absl::Duration bucket_time = absl::ZeroDuration();
  size_t bucket = 0;

  std::recursive_mutex mutex;  // a listener may detach itself
  std::vector<TuneUpdate> finished;
  TuneUpdate latest;
  std::map<uint64_t, TuneListener> listeners;
  uint64_t next_listener = 1;
  bool ended = false;
  absl::Status status;

  double EtaMs() const {
    if (spec.m.empty() || started == absl::InfinitePast()) {
      return absl::ToDoubleMilliseconds(spec.options.budget) * static_cast<double>(spec.m.size());
    }
    const absl::Duration each = bucket > 0 ? bucket_time / static_cast<int64_t>(bucket) : spec.options.budget;
    const absl::Duration current = std::max(absl::ZeroDuration(), each - (absl::Now() - started));
    const auto later = static_cast<int64_t>(spec.m.size() - std::min(spec.m.size(), bucket + 1));
    return absl::ToDoubleMilliseconds(current + each * later);
  }
};

absl::StatusOr<std::string> TuneRegistry::Start(const TuneSpec& spec, bool background) {
  const std::string digest = SpecDigest(spec);
  std::shared_ptr<Tune> tune;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = running_.find(digest); found != running_.end()) return found->second->id;
    if (draining_) return WithRetry(absl::UnavailableError("the service is shutting down"), absl::Seconds(5));
    const auto failure = failures_.find(digest);
    if (background && failure != failures_.end() && absl::Now() < failure->second.until) {
      return WithRetry(failure->second.status, failure->second.until - absl::Now());
    }
    tune = std::make_shared<Tune>();
    tune->id = absl::StrCat("t", ++sequence_, "-", digest.substr(0, 8));
    tune->digest = digest;
    tune->spec = spec;
    tune->latest.m = spec.m.empty() ? 0 : spec.m.front();
    tune->latest.eta_ms = tune->EtaMs();
    running_[digest] = tune;
    by_id_[tune->id] = tune;
  }
  if (absl::Status status = executor_.Submit([this, tune] { Run(tune); }); !status.ok()) {
    // Others may have joined in the meantime; they hear the same.
    End(tune, status, /*ran=*/false);
    return status;
  }
  return tune->id;
}

absl::StatusOr<std::function<void()>> TuneRegistry::Attach(const std::string& id, TuneListener listener) {
  std::shared_ptr<Tune> tune;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) {
      return absl::NotFoundError(absl::StrCat("tune_id: there is no tune \"", id, "\"; it may have ended long ago"));
    }
    tune = found->second;
  }
  const std::lock_guard lock(tune->mutex);
  for (const TuneUpdate& update : tune->finished) listener.update(update);
  if (tune->ended) {
    listener.end(tune->status);
    return [] {};
  }
  if (tune->latest.record == nullptr) listener.update(tune->latest);
  const uint64_t key = tune->next_listener++;
  tune->listeners[key] = std::move(listener);
  return [tune, key] {
    const std::lock_guard detach(tune->mutex);
    tune->listeners.erase(key);
  };
}

void TuneRegistry::Publish(Tune& tune, TuneUpdate update) {
  const std::lock_guard lock(tune.mutex);
  update.eta_ms = tune.EtaMs();
  tune.latest = update;
  if (update.record != nullptr) tune.finished.push_back(update);
  const std::map<uint64_t, TuneListener> listeners = tune.listeners;
  for (const auto& [key, listener] : listeners) listener.update(update);
}

void TuneRegistry::Run(const std::shared_ptr<Tune>& tune) { End(tune, RunBuckets(*tune), /*ran=*/true); }

absl::Status TuneRegistry::RunBuckets(Tune& tune) {
  absl::StatusOr<Place> place = machines_.Resolve(tune.spec.target);
  if (!place.ok()) return place.status();
  absl::Status first_failure;
  // Compile for the next buckets while this one is measured; the end waits for them.
  std::vector<std::future<void>> ahead;
  auto next = tune.spec.m.rbegin();  // the first that nobody compiles for yet
  // Most rows first: their winners then compete at fewer rows, so that these never take longer.
  for (auto bucket = tune.spec.m.rbegin(); bucket != tune.spec.m.rend(); ++bucket) {
    const int64_t m = *bucket;
    if (tune.cancel->cancelled()) return absl::CancelledError("the tune was cancelled");
    if (next <= bucket) next = std::next(bucket);
    if (absl::Status status = machines_.InService(*place); !status.ok()) return status;
    const absl::Time begin = absl::Now();
    {
      const std::lock_guard lock(tune.mutex);
      tune.started = begin;
    }
    const auto progress = [&](const TuningProgress& step) {
      // The end of a bucket is told with its record.
      if (step.phase != TuningPhase::kDone) Publish(tune, {m, step, 0, nullptr, false});
      // Once what this bucket needs is in the compilers' queue, the next ones may line up behind it.
      if (step.phase != TuningPhase::kVerify && (step.phase != TuningPhase::kCompile || step.done == 0)) return;
      for (; next != tune.spec.m.rend() && next - bucket <= kBucketsAhead; ++next) {
        ahead.push_back(std::async(std::launch::async, [&tune, &place, rows = *next] {
          place->service->CompileAhead(tune.spec.op, rows, place->target, tune.spec.options);
        }));
      }
    };
    absl::StatusOr<Acquired> acquired =
        place->service->Acquire(tune.spec.op, m, place->target, tune.spec.options, progress, tune.cancel);
    {
      const std::lock_guard lock(tune.mutex);
      tune.bucket_time += absl::Now() - begin;
      ++tune.bucket;
    }
    if (!acquired.ok()) {
      if (tune.cancel->cancelled() || !IsOfOneBucket(acquired.status())) return acquired.status();
      if (first_failure.ok()) {
        first_failure =
            absl::Status(acquired.status().code(), absl::StrCat(acquired.status().message(), " (M = ", m, ")"));
      }
      continue;
    }
    TuneUpdate update;
    update.m = m;
    {
      const std::lock_guard lock(tune.mutex);
      if (tune.latest.m == m) update.progress = tune.latest.progress;
    }
    update.progress.phase = TuningPhase::kDone;
    update.cache_hit = acquired->cache_hit;
    if (!acquired->record.ranked.empty()) {
      update.progress.best = acquired->record.winner().candidate.ToString();
      update.progress.best_us = acquired->record.winner().measurement.median_us;
    }
    if (!acquired->cache_hit) {
      const std::lock_guard lock(mutex_);
      winners_.push_front({absl::Now(), tune.spec.op.ToString(), m, update.progress.best, update.progress.best_us});
      if (winners_.size() > kRememberedWinners) winners_.pop_back();
    }
    if (const TuningTrace& trace = acquired->record.trace; !acquired->cache_hit && trace.disturbed) {
      LogEvent(LogLevel::kWarning, "timed on a disturbed GPU",
               {{"tune", tune.id}, {"m", absl::StrCat(m)}, {"disturbance", trace.disturbance}});
    }
    update.record = std::make_shared<const TuningRecord>(std::move(acquired->record));
    Publish(tune, std::move(update));
  }
  return first_failure;
}

void TuneRegistry::End(const std::shared_ptr<Tune>& tune, const absl::Status& status, bool ran) {
  {
    const std::lock_guard lock(mutex_);
    running_.erase(tune->digest);
    ++telling_;
    ended_.push_back(tune->id);
    if (ended_.size() > kRememberedTunes) {
      by_id_.erase(ended_.front());
      ended_.pop_front();
    }
    if (ran) ++(status.ok() ? totals_.done : absl::IsCancelled(status) ? totals_.cancelled : totals_.failed);
    if (status.ok() || absl::IsCancelled(status)) {
      failures_.erase(tune->digest);
    } else if (ran) {
      if (failures_.size() >= kRememberedFailures) failures_.clear();
      Failure& failure = failures_[tune->digest];
      failure.status = status;
      failure.pause =
          failure.pause == absl::ZeroDuration() ? absl::Minutes(1) : std::min(failure.pause * 2, absl::Hours(1));
      failure.until = absl::Now() + failure.pause;
    }
  }
  if (ran) {
    LogEvent(status.ok() || absl::IsCancelled(status) ? LogLevel::kInfo : LogLevel::kWarning, "tune ended",
             {{"tune", tune->id},
              {"op", tune->spec.op.ToString()},
              {"code", absl::StrCat(status.raw_code())},
              {"message", std::string(status.message())}});
  }
  std::map<uint64_t, TuneListener> listeners;
  {
    const std::lock_guard lock(tune->mutex);
    tune->ended = true;
    tune->status = status;
    listeners.swap(tune->listeners);
    for (const auto& [key, listener] : listeners) listener.end(status);
  }
  const std::lock_guard lock(mutex_);
  --telling_;
  idle_.notify_all();
}

absl::Status TuneRegistry::Cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || !running_.contains(found->second->digest) ||
      running_[found->second->digest] != found->second) {
    return absl::NotFoundError(absl::StrCat("tune_id: no tune \"", id, "\" is running"));
  }
  found->second->cancel->Cancel();
  return absl::OkStatus();
}

std::vector<TuneSummary> TuneRegistry::Running() const {
  std::vector<std::shared_ptr<Tune>> tunes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [digest, tune] : running_) tunes.push_back(tune);
  }
  std::vector<TuneSummary> summaries;
  for (const std::shared_ptr<Tune>& tune : tunes) {
    const std::lock_guard lock(tune->mutex);
    summaries.push_back({tune->id, tune->spec.op.ToString(), tune->latest, static_cast<int>(tune->listeners.size())});
  }
  return summaries;
}

TuneTotals TuneRegistry::Totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

std::vector<TuneWinner> TuneRegistry::LastWinners() const {
  const std::lock_guard lock(mutex_);
  return {winners_.begin(), winners_.end()};
}

void TuneRegistry::Close() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool TuneRegistry::WaitIdle(absl::Time deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, absl::ToChronoTime(deadline), [this] { return running_.empty() && telling_ == 0; });
}

void TuneRegistry::CancelAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& [digest, tune] : running_) tune->cancel->Cancel();
}

}  // namespace ladder
