// Where records and binaries are kept. Implementations: SQLite (server/storage), a map (in_memory_kernel_store.h).
#ifndef LADDER_CORE_STORE_KERNEL_STORE_H_
#define LADDER_CORE_STORE_KERNEL_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/store/keys.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

// Thread-safe. A Put that returned ok survives a crash.
class KernelStore {
 public:
  virtual ~KernelStore() = default;
  // The record of a key, or nothing. A damaged row is quarantined and is nothing.
  virtual absl::StatusOr<std::optional<TuningRecord>> Find(const CacheKey& key) = 0;
  // Find without a copy where records are kept decoded; null instead of nothing.
  virtual absl::StatusOr<std::shared_ptr<const TuningRecord>> FindShared(const CacheKey& key) {
    absl::StatusOr<std::optional<TuningRecord>> found = Find(key);
    if (!found.ok()) return found.status();
    return found->has_value() ? std::make_shared<const TuningRecord>(**std::move(found)) : nullptr;
  }
  // Stores a record and its binaries (by the SHA-256 that its ranked kernels name) in one transaction, replacing the
  // key's former record; returns the record's generation. Binaries already present may be left out.
  // InvalidArgument if a named binary is neither given nor present, or if its digest is not its content's.
  virtual absl::StatusOr<uint64_t> Put(const TuningRecord& record,
                                       const std::map<std::string, std::string>& binaries) = 0;
  // A binary by digest, checked. NotFound; DataLoss if it was damaged (then quarantined, and its records are misses).
  virtual absl::StatusOr<std::string> ReadBlob(const std::string& sha256) = 0;
  // A binary compiled before under this key, checked like ReadBlob, or nothing: spares a compilation.
  virtual absl::StatusOr<std::optional<std::string>> FindArtifact(const ArtifactKey& key) = 0;
  // Keeps a binary that belongs to no record (the support kernels) under its key; evicted like any other.
  virtual absl::Status PutArtifact(const ArtifactKey& key, const std::string& binary) = 0;
  // Records that could seed this operator: same operator and M on a sibling device, or a near M.
  virtual absl::StatusOr<std::vector<TuningRecord>> FindSeeds(const NormalizedOperator& op, int64_t m) = 0;
  // Highest generation given out.
  virtual uint64_t Generation() = 0;
};

}  // namespace ladder

#endif  // LADDER_CORE_STORE_KERNEL_STORE_H_
