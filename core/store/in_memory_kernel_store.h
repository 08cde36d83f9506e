// A store that forgets: for tests and for services without a cache file.
#ifndef LADDER_CORE_STORE_IN_MEMORY_KERNEL_STORE_H_
#define LADDER_CORE_STORE_IN_MEMORY_KERNEL_STORE_H_

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/store/kernel_store.h"

namespace ladder {

class InMemoryKernelStore : public KernelStore {
 public:
  absl::StatusOr<std::optional<TuningRecord>> Find(const CacheKey& key) override;
  absl::StatusOr<uint64_t> Put(const TuningRecord& record, const std::map<std::string, std::string>& binaries) override;
  absl::StatusOr<std::string> ReadBlob(const std::string& sha256) override;
  absl::StatusOr<std::optional<std::string>> FindArtifact(const ArtifactKey& key) override;
  absl::Status PutArtifact(const ArtifactKey& key, const std::string& binary) override;
  absl::StatusOr<std::vector<TuningRecord>> FindSeeds(const NormalizedOperator& op, int64_t m) override;
  uint64_t Generation() override;

 private:
  std::mutex mutex_;
  std::map<std::string, TuningRecord> records_;   // by key digest
  std::map<std::string, std::string> blobs_;      // by SHA-256
  std::map<std::string, std::string> artifacts_;  // artifact key -> SHA-256
  uint64_t generation_ = 0;
};

}  // namespace ladder

#endif  // LADDER_CORE_STORE_IN_MEMORY_KERNEL_STORE_H_
