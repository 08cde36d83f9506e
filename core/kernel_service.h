// The request path: look up, or tune once for everyone who asks.
#ifndef LADDER_CORE_KERNEL_SERVICE_H_
#define LADDER_CORE_KERNEL_SERVICE_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/backend/compile_cache.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"
#include "core/schedule/schedule.h"
#include "core/store/kernel_store.h"
#include "core/tuning/tuner.h"
#include "core/tuning/tuning_options.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

struct Acquired {
  TuningRecord record;
  bool cache_hit = false;
};

// Thread-safe. `device` may be null: then records are seeds, compiled and ranked for the named target.
class KernelService {
 public:
  KernelService(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler, Device* device);
  ~KernelService();

  // The stored record if it is current for `target` (never compiles), nothing on a miss.
  absl::StatusOr<std::optional<TuningRecord>> LookUp(const NormalizedOperator& op, int64_t m, const Target& target);
  // LookUp without a copy, which a trace makes long; null on a miss.
  absl::StatusOr<std::shared_ptr<const TuningRecord>> LookUpShared(const NormalizedOperator& op, int64_t m,
                                                                   const Target& target);
  // The record, tuned now if need be. Concurrent callers of one key share one tune and all see its progress.
  absl::StatusOr<Acquired> Acquire(const NormalizedOperator& op, int64_t m, const Target& target,
                                   const TuningOptions& options, const ProgressCallback& progress,
                                   const std::shared_ptr<CancelToken>& cancel);
  // Compiles what Acquire will probably try, so that compiling one M overlaps measuring another; whatever fails here
  // fails again, and is told, there. Nothing where a record is current or there is no device.
  void CompileAhead(const NormalizedOperator& op, int64_t m, const Target& target, const TuningOptions& options);
  // A verified first choice at once (kFast), for callers that can't wait; a current record if there is one. Concurrent
  // callers of one key share the work.
  absl::StatusOr<Acquired> AcquireFast(const NormalizedOperator& op, int64_t m, const Target& target);
  // What tuning would try, best predicted first. Needs neither GPU nor compiler.
  absl::StatusOr<std::vector<PlannedCandidate>> Plan(const NormalizedOperator& op, int64_t m,
                                                     const Target& target) const;
  // Keys being tuned now, and a way to stop one (all its callers get Cancelled). NotFound if it isn't running.
  std::vector<CacheKey> Running() const;
  absl::Status Cancel(const CacheKey& key);

  // Whether a stored record can be served as it is: same sources and compiler, kind measured (or a seed when there is
  // no device). Otherwise the differing component by name. The driver is none: binaries are the GPU's own code.
  absl::Status CheckCurrent(const TuningRecord& record) const;

  // The support kernels (schedules/support) for a target: compiled once, kept in the store.
  absl::StatusOr<CompiledKernel> Support(const Target& target);

 private:
  struct InFlight;
  struct FastFlight;
  absl::StatusOr<TuningRecord> TuneOrRefresh(const NormalizedOperator& op, int64_t m, const Target& target,
                                             const TuningOptions& options, const ProgressCallback& progress,
                                             const CancelToken& cancel);
  // The winners of the operator's other records that may win here too, at most so many, those of more rows first.
  absl::StatusOr<std::vector<Candidate>> WinnersElsewhere(const NormalizedOperator& op, int64_t m, const Target& target,
                                                          int most);
  absl::StatusOr<Acquired> MakeFast(const NormalizedOperator& op, int64_t m, const Target& target);
  // The device, if there is one and the target is it. An error if it can't tell what it is.
  absl::StatusOr<Device*> DeviceFor(const Target& target);

  const ScheduleCatalog& catalog_;
  KernelStore& store_;
  CompileCache compiler_;
  Device* device_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<InFlight>> in_flight_;       // by CacheKey digest
  std::map<std::string, std::shared_ptr<FastFlight>> fast_flights_;  // likewise
  std::optional<std::pair<std::string, std::string>> identity_;      // the device's architecture and model
  std::mutex put_mutex_;  // held over looking whether a fast record is still wanted and putting it, and over other puts
};

}  // namespace ladder

#endif  // LADDER_CORE_KERNEL_SERVICE_H_
