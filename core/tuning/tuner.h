// One tune, from candidates to a record: enumerate, lower, compile, keep what is correct, time, select.
#ifndef LADDER_CORE_TUNING_TUNER_H_
#define LADDER_CORE_TUNING_TUNER_H_

#include <functional>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"
#include "core/schedule/schedule.h"
#include "core/store/kernel_store.h"
#include "core/tuning/tuning_options.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

struct PlannedCandidate {
  Candidate candidate;
  double predicted_us = 0;
};

// Every candidate of every schedule that serves the operator, best predicted first. Unimplemented, with each schedule's
// reason and, after a last "nearest: ", the changes that make it one that is served, if none does.
absl::StatusOr<std::vector<PlannedCandidate>> PlanCandidates(const ScheduleCatalog& catalog,
                                                             const NormalizedOperator& op, int64_t m,
                                                             const Target& target);

// Adds to a plan those seeds that it lacks and that serve m all the same: the winner at a larger M is often no
// candidate of a smaller one, and must compete there, or fewer rows might take longer than more.
void AddSeeds(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m, const Target& target,
              const std::vector<Candidate>& seeds, std::vector<PlannedCandidate>& plan);

// What is worth measuring of a plan: `seeds` first (winners elsewhere; only those the plan holds), then by prediction,
// but each schedule with a quarter of the places while it has candidates, since the model may misjudge one against
// another, and what one parameter sets apart from a selected candidate a little behind its prediction, since it brings
// little news.
std::vector<PlannedCandidate> SelectCandidates(const std::vector<PlannedCandidate>& plan,
                                               const std::vector<Candidate>& seeds, int count);

// At which rows a kernel for m is verified, most first: at m, and at the fewest that a bucket of powers of two sends
// it, of which the last tile is partly filled.
std::vector<int64_t> RowsToVerify(int64_t m);

// A record with the binaries it names.
struct TuningResult {
  TuningRecord record;
  std::map<std::string, std::string> binaries;  // by SHA-256
};

// One use. Not thread-safe; the collaborators are.
class Tuner {
 public:
  struct Job {
    NormalizedOperator op;
    int64_t m = 1;
    Target target;
    TuningOptions options;
    const TuningRecord* incumbent = nullptr;  // replaced only by something better beyond noise
  };

  // `device` may be null: the result is then a seed.
  Tuner(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler, Device* device, Job job,
        ProgressCallback progress, const CancelToken& cancel);

  // The full search.
  absl::StatusOr<TuningResult> Tune(const std::vector<PlannedCandidate>& selected);
  // The first of `selected` that compiles and is correct (kFast). REQUIRES: a device.
  absl::StatusOr<TuningResult> First(const std::vector<PlannedCandidate>& selected);

 private:
  // A candidate on its way; index-aligned with trace_.candidates.
  struct Trial {
    LoweredKernel lowered;
    ArtifactKey artifact;
    CompiledKernel compiled;
    bool alive = false;
    double rank_us = 0;  // what Ranking sorts by once there are measurements
    KernelBinary binary() const { return {compiled.binary, lowered.launch, lowered.numerics}; }
  };

  absl::Status Lower(const std::vector<PlannedCandidate>& selected);
  absl::Status Compile(size_t first, size_t last);
  // Refuses a GPU that others use unless that is allowed; then measuring keeps to its share of the time.
  absl::StatusOr<DeviceConditions> CheckSharing();
  // Until nothing is known to disturb the GPU, but not beyond `until`; what does is noted in the trace.
  absl::Status AwaitQuiet(absl::Time until);
  void NoteDisturbance(const std::string& disturbance);
  absl::Status Pause(absl::Duration pause);
  // After `used` of the GPU's time: leaves it to the others as long as the duty limit says.
  absl::Status Rest(absl::Duration used);
  // Device::PrepareVerify, which whoever holds the future waits for.
  std::future<void> PrepareVerify();
  absl::Status Verify(size_t index);
  absl::Status Profile(size_t index);
  // A phase over the candidates that are alive; what isn't reached by `until` is skipped, but never all.
  absl::Status ForEachAlive(TuningPhase phase, absl::Time until, const std::function<absl::Status(size_t)>& step);
  absl::Status Final();
  // Times the finalists together, again while their times are spoilt and the budget lasts; the steadiest are the
  // result.
  absl::StatusOr<std::vector<Measurement>> TimeFinalists(const std::vector<KernelBinary>& binaries);
  void Fall(size_t index, CandidateStatus status, absl::string_view reason);
  // Fall for an error of a compiler or a device; that error if it ends the whole tune.
  absl::Status FallFor(size_t index, CandidateStatus fault, const absl::Status& status);
  // Alive candidates, best measured (or, without measurement, best predicted) first.
  std::vector<size_t> Ranking() const;
  absl::StatusOr<TuningResult> Finish(RecordKind kind);
  absl::Status CheckCancelled() const;
  void Report(TuningPhase phase, int done, int total);

  const ScheduleCatalog& catalog_;
  KernelStore& store_;
  Compiler& compiler_;
  Device* device_;
  Job job_;
  ProgressCallback progress_;
  const CancelToken& cancel_;
  absl::Time start_;
  absl::Time deadline_;
  Workload workload_;
  TuningTrace trace_;
  std::vector<Trial> trials_;
  bool shared_ = false;     // other processes use the GPU
  absl::Status exhausted_;  // the last candidate that lacked memory
};

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_TUNER_H_
