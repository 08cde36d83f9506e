#include "core/kernel_service.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ladder {

namespace {

// About two thousand kernels.
constexpr size_t kCompiledBytes = size_t{64} << 20;

}  // namespace

// One tune and everyone who waits for it. Guarded by KernelService::mutex_, the listeners by their own: they are called
// under it, so that none is after its caller has left, and may call the service.
struct KernelService::InFlight {
  std::condition_variable finished;
  std::optional<absl::StatusOr<Acquired>> result;
  CancelToken cancel;
  int callers = 0;

  std::mutex listeners_mutex;  // never taken under KernelService::mutex_
  std::map<int, ProgressCallback> listeners;
  int next_listener = 0;
};

struct KernelService::FastFlight {
  std::condition_variable finished;
  std::optional<absl::StatusOr<Acquired>> result;
};

KernelService::KernelService(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler, Device* device)
    : catalog_(catalog), store_(store), compiler_(compiler, kCompiledBytes), device_(device) {}

KernelService::~KernelService() = default;

absl::StatusOr<Device*> KernelService::DeviceFor(const Target& target) {
  if (device_ == nullptr) return nullptr;
  const auto wanted = std::pair(target.arch, target.model);
  {
    // Remembered: a look-up must not wait for a device that is busy or down.
    const std::lock_guard lock(mutex_);
    if (identity_.has_value()) return *identity_ == wanted ? device_ : nullptr;
  }
  const absl::StatusOr<Target> own = device_->GetTarget();
  if (!own.ok()) return own.status();
  const std::lock_guard lock(mutex_);
  identity_ = std::pair(own->arch, own->model);
  return *identity_ == wanted ? device_ : nullptr;
}

absl::Status KernelService::CheckCurrent(const TuningRecord& record) const {
  const auto differs = [](absl::string_view component, absl::string_view then, absl::string_view now) {
    return absl::FailedPreconditionError(absl::StrCat(component, ": was ", then, ", is ", now));
  };
  if (record.environment.sources_digest != catalog_.sources_digest) {
    return differs("kernel sources", record.environment.sources_digest.substr(0, 12),
                   catalog_.sources_digest.substr(0, 12));
  }
  // Where there is no compiler a verified binary is as good as ever.
  const std::string compiler = compiler_.Version();
  if (!compiler.empty() && record.environment.compiler != compiler) {
    return differs("compiler", record.environment.compiler, compiler);
  }
  for (const RankedKernel& kernel : record.ranked) {
    const Schedule* schedule = catalog_.Find(kernel.candidate.schedule);
    if (schedule == nullptr) return differs("schedule", kernel.candidate.schedule, "unknown");
    if (schedule->revision() != kernel.schedule_revision) {
      return differs(absl::StrCat("revision of schedule ", schedule->name()), absl::StrCat(kernel.schedule_revision),
                     absl::StrCat(schedule->revision()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TuningRecord>> KernelService::LookUpShared(const NormalizedOperator& op, int64_t m,
                                                                                const Target& target) {
  absl::StatusOr<std::shared_ptr<const TuningRecord>> found = store_.FindShared(MakeCacheKey(op, m, target));
  if (!found.ok() || *found == nullptr) return found;
  if (!CheckCurrent(**found).ok()) return nullptr;
  // A seed is all that a machine without this GPU can have, and nothing to a machine that can measure.
  if ((*found)->kind == RecordKind::kSeed && DeviceFor(target).value_or(nullptr) != nullptr) return nullptr;
  return found;
}

absl::StatusOr<std::optional<TuningRecord>> KernelService::LookUp(const NormalizedOperator& op, int64_t m,
                                                                  const Target& target) {
  const absl::StatusOr<std::shared_ptr<const TuningRecord>> found = LookUpShared(op, m, target);
  if (!found.ok()) return found.status();
  if (*found == nullptr) return std::nullopt;
  return **found;
}

absl::StatusOr<Acquired> KernelService::Acquire(const NormalizedOperator& op, int64_t m, const Target& target,
                                                const TuningOptions& options, const ProgressCallback& progress,
                                                const std::shared_ptr<CancelToken>& cancel) {
  // A kernel that was searched for, unless the caller wants a new search.
  const auto find = [&]() -> absl::StatusOr<std::optional<Acquired>> {
    if (options.force) return std::nullopt;
    const absl::StatusOr<std::shared_ptr<const TuningRecord>> hit = LookUpShared(op, m, target);
    if (!hit.ok()) return hit.status();
    if (*hit == nullptr || (*hit)->kind == RecordKind::kFast) return std::nullopt;
    return Acquired{**hit, true};
  };
  absl::StatusOr<std::optional<Acquired>> hit = find();
  if (!hit.ok()) return hit.status();
  if (hit->has_value()) return **std::move(hit);
  const std::string digest = MakeCacheKey(op, m, target).digest;
  std::unique_lock lock(mutex_);
  std::shared_ptr<InFlight>& slot = in_flight_[digest];
  const bool leads = slot == nullptr;
  if (leads) slot = std::make_shared<InFlight>();
  const std::shared_ptr<InFlight> flight = slot;
  flight->callers++;
  lock.unlock();
  int listener = 0;
  {
    const std::lock_guard guard(flight->listeners_mutex);
    listener = flight->next_listener++;
    if (progress) flight->listeners[listener] = progress;
  }

  if (leads) {
    // The leader's thread does the work for all; its own wish to stop counts as one caller's.
    const auto tell = [&](const TuningProgress& p) {
      {
        const std::lock_guard guard(mutex_);
        if (cancel != nullptr && cancel->cancelled() && flight->callers == 1) flight->cancel.Cancel();
      }
      const std::lock_guard guard(flight->listeners_mutex);
      for (const auto& [id, callback] : flight->listeners) callback(p);
    };
    // Another tune may have ended between looking up and taking the lead.
    hit = find();
    absl::StatusOr<Acquired> result = Acquired{};
    if (!hit.ok()) {
      result = hit.status();
    } else if (hit->has_value()) {
      result = **std::move(hit);
    } else if (absl::StatusOr<TuningRecord> tuned = TuneOrRefresh(op, m, target, options, tell, flight->cancel);
               tuned.ok()) {
      result->record = *std::move(tuned);
    } else {
      result = tuned.status();
    }
    lock.lock();
    flight->callers--;
    flight->result = result;
    in_flight_.erase(digest);
    flight->finished.notify_all();
    return result;
  }
  lock.lock();
  while (!flight->result.has_value() && (cancel == nullptr || !cancel->cancelled())) {
    flight->finished.wait_for(lock, std::chrono::milliseconds(50));
  }
  flight->callers--;
  absl::StatusOr<Acquired> result =
      flight->result.has_value() ? *flight->result
                                 : absl::CancelledError("the caller stopped waiting; the tune goes on for the others");
  lock.unlock();
  const std::lock_guard guard(flight->listeners_mutex);
  flight->listeners.erase(listener);
  return result;
}

absl::StatusOr<std::vector<Candidate>> KernelService::WinnersElsewhere(const NormalizedOperator& op, int64_t m,
                                                                       const Target& target, int most) {
  absl::StatusOr<std::vector<TuningRecord>> records = store_.FindSeeds(op, m);
  if (!records.ok()) return records.status();
  // More rows on this very machine first, the nearest before the others: fewer rows must not take longer.
  const auto promises = [&](const TuningRecord& record) {
    return record.m > m && record.kind == RecordKind::kMeasured && record.target.arch == target.arch &&
           record.target.model == target.model;
  };
  std::stable_partition(records->begin(), records->end(), promises);
  const std::string own = MakeCacheKey(op, m, target).digest;
  std::vector<Candidate> winners;
  for (const TuningRecord& record : *records) {
    if (winners.size() == static_cast<size_t>(most)) break;
    if (record.ranked.empty() || record.key.digest == own) continue;
    if (std::ranges::count(winners, record.winner().candidate) == 0) winners.push_back(record.winner().candidate);
  }
  return winners;
}

absl::StatusOr<TuningRecord> KernelService::TuneOrRefresh(const NormalizedOperator& op, int64_t m, const Target& target,
                                                          const TuningOptions& options,
                                                          const ProgressCallback& progress, const CancelToken& cancel) {
  const absl::StatusOr<Device*> own = DeviceFor(target);
  // A GPU that is down at the moment must not end as a ranking in the place of a measured record.
  if (!own.ok()) return own.status();
  Device* const device = *own;
  if (device != nullptr) {
    const absl::StatusOr<CompiledKernel> support = Support(target);
    if (!support.ok()) return support.status();
    if (absl::Status loaded = device->LoadSupport(*support); !loaded.ok()) return loaded;
  }
  absl::StatusOr<std::vector<PlannedCandidate>> plan = PlanCandidates(catalog_, op, m, target);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<std::optional<TuningRecord>> former = store_.Find(MakeCacheKey(op, m, target));
  if (!former.ok()) return former.status();

  std::vector<Candidate> seeds;
  const TuningRecord* incumbent = former->has_value() ? &**former : nullptr;
  const bool searched = incumbent != nullptr && incumbent->kind != RecordKind::kFast;
  bool refresh = false;
  if (searched) {
    for (const RankedKernel& kernel : incumbent->ranked) {
      const Schedule* schedule = catalog_.Find(kernel.candidate.schedule);
      // New parameters in a schedule can hide a better kernel than any that was measured: then search again.
      refresh = schedule != nullptr && schedule->revision() == kernel.schedule_revision;
      if (!refresh) break;
    }
    // Only a measured record spares the search; a seed only says what to measure first.
    refresh = refresh && device != nullptr && incumbent->kind == RecordKind::kMeasured && !options.force;
    for (const RankedKernel& kernel : incumbent->ranked) {
      if (seeds.size() < static_cast<size_t>(options.finalists)) seeds.push_back(kernel.candidate);
    }
  }
  if (device != nullptr) {
    const absl::StatusOr<std::vector<Candidate>> elsewhere = WinnersElsewhere(op, m, target, options.finalists);
    if (!elsewhere.ok()) return elsewhere.status();
    for (const Candidate& winner : *elsewhere) {
      if (std::ranges::count(seeds, winner) == 0) seeds.push_back(winner);
    }
  }

  AddSeeds(catalog_, op, m, target, seeds, *plan);
  const auto tune = [&](int candidates) {
    Tuner tuner(catalog_, store_, compiler_, device, {op, m, target, options, incumbent}, progress, cancel);
    return tuner.Tune(SelectCandidates(*plan, seeds, candidates));
  };
  absl::StatusOr<TuningResult> result = tune(refresh ? static_cast<int>(seeds.size()) : options.candidates);
  // Of the former winners none may survive a new compiler; others may.
  if (refresh && absl::IsInternal(result.status())) result = tune(options.candidates);
  if (!result.ok()) return result.status();
  const std::lock_guard putting(put_mutex_);
  const absl::StatusOr<uint64_t> generation = store_.Put(result->record, result->binaries);
  if (!generation.ok()) return generation.status();
  result->record.generation = *generation;
  return std::move(result->record);
}

void KernelService::CompileAhead(const NormalizedOperator& op, int64_t m, const Target& target,
                                 const TuningOptions& options) {
  const absl::StatusOr<Device*> own = DeviceFor(target);
  if (!own.ok() || *own == nullptr) return;
  // Of a record that is stale only the best few are tried again, which compile soon enough.
  const absl::StatusOr<std::optional<TuningRecord>> former = store_.Find(MakeCacheKey(op, m, target));
  if (!former.ok() || (former->has_value() && !options.force)) return;
  const absl::StatusOr<std::vector<PlannedCandidate>> plan = PlanCandidates(catalog_, op, m, target);
  if (!plan.ok()) return;
  std::vector<CompileRequest> requests;
  for (const PlannedCandidate& planned : SelectCandidates(*plan, {}, options.candidates)) {
    absl::StatusOr<LoweredKernel> lowered =
        catalog_.Find(planned.candidate.schedule)->Lower(op, planned.candidate, target);
    if (!lowered.ok()) continue;
    CompileRequest request{target.arch, std::move(lowered->source), lowered->launch.entry};
    const ArtifactKey key = MakeArtifactKey(request, catalog_.sources_digest, compiler_.Version());
    const absl::StatusOr<std::optional<std::string>> kept = store_.FindArtifact(key);
    if (!kept.ok() || !kept->has_value()) requests.push_back(std::move(request));
  }
  (void)compiler_.Compile(requests, nullptr);
}

absl::StatusOr<Acquired> KernelService::AcquireFast(const NormalizedOperator& op, int64_t m, const Target& target) {
  const absl::StatusOr<std::optional<TuningRecord>> hit = LookUp(op, m, target);
  if (!hit.ok()) return hit.status();
  if (hit->has_value()) return Acquired{**hit, true};
  const std::string digest = MakeCacheKey(op, m, target).digest;
  std::unique_lock lock(mutex_);
  std::shared_ptr<FastFlight>& slot = fast_flights_[digest];
  const bool leads = slot == nullptr;
  if (leads) slot = std::make_shared<FastFlight>();
  const std::shared_ptr<FastFlight> flight = slot;
  if (leads) {
    lock.unlock();
    absl::StatusOr<Acquired> result = MakeFast(op, m, target);
    lock.lock();
    flight->result = std::move(result);
    fast_flights_.erase(digest);
    flight->finished.notify_all();
  }
  flight->finished.wait(lock, [&] { return flight->result.has_value(); });
  return *flight->result;
}

absl::StatusOr<Acquired> KernelService::MakeFast(const NormalizedOperator& op, int64_t m, const Target& target) {
  const absl::StatusOr<Device*> own = DeviceFor(target);
  if (!own.ok()) return own.status();
  Device* const device = *own;
  if (device == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("target: no ", target.model, " in this machine to verify a kernel on"));
  }
  const absl::StatusOr<CompiledKernel> support = Support(target);
  if (!support.ok()) return support.status();
  if (absl::Status loaded = device->LoadSupport(*support); !loaded.ok()) return loaded;
  const absl::StatusOr<std::vector<PlannedCandidate>> plan = PlanCandidates(catalog_, op, m, target);
  if (!plan.ok()) return plan.status();
  const CancelToken never;
  Tuner tuner(catalog_, store_, compiler_, device, {op, m, target, TuningOptions{}, nullptr}, nullptr, never);
  absl::StatusOr<TuningResult> result = tuner.First(SelectCandidates(*plan, {}, TuningOptions{}.candidates));
  if (!result.ok()) return result.status();
  // A tune may have finished meanwhile: its record is better than this one and must not be replaced by it.
  const std::lock_guard putting(put_mutex_);
  absl::StatusOr<std::optional<TuningRecord>> newer = LookUp(op, m, target);
  if (newer.ok() && newer->has_value()) return Acquired{**std::move(newer), true};
  const absl::StatusOr<uint64_t> generation = store_.Put(result->record, result->binaries);
  if (!generation.ok()) return generation.status();
  result->record.generation = *generation;
  return Acquired{std::move(result->record), false};
}

absl::StatusOr<std::vector<PlannedCandidate>> KernelService::Plan(const NormalizedOperator& op, int64_t m,
                                                                  const Target& target) const {
  return PlanCandidates(catalog_, op, m, target);
}

std::vector<CacheKey> KernelService::Running() const {
  const std::lock_guard lock(mutex_);
  std::vector<CacheKey> keys;
  for (const auto& [digest, flight] : in_flight_) keys.push_back(CacheKey{digest});
  return keys;
}

absl::Status KernelService::Cancel(const CacheKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = in_flight_.find(key.digest);
  if (it == in_flight_.end()) return absl::NotFoundError(absl::StrCat("no tune of ", key.digest, " is running"));
  it->second->cancel.Cancel();
  return absl::OkStatus();
}

absl::StatusOr<CompiledKernel> KernelService::Support(const Target& target) {
  const CompileRequest request = {target.arch, catalog_.support, ""};
  const ArtifactKey key = MakeArtifactKey(request, catalog_.sources_digest, compiler_.Version());
  const absl::StatusOr<std::optional<std::string>> kept = store_.FindArtifact(key);
  if (kept.ok() && kept->has_value()) {
    CompiledKernel support;
    support.binary = **kept;
    return support;
  }
  absl::StatusOr<CompiledKernel> compiled = std::move(compiler_.Compile({&request, 1}, nullptr).front());
  // A store that can't keep it costs a compilation next time, no more.
  if (compiled.ok()) (void)store_.PutArtifact(key, compiled->binary);
  return compiled;
}

}  // namespace ladder
