#include "core/store/in_memory_kernel_store.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace ladder {

absl::StatusOr<std::optional<TuningRecord>> InMemoryKernelStore::Find(const CacheKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = records_.find(key.digest);
  if (it == records_.end()) return std::nullopt;
  return it->second;
}

absl::StatusOr<uint64_t> InMemoryKernelStore::Put(const TuningRecord& record,
                                                  const std::map<std::string, std::string>& binaries) {
  for (const auto& [sha256, binary] : binaries) {
    if (Sha256Hex(binary) != sha256) {
      return absl::InvalidArgumentError(absl::StrCat("binary ", sha256, ": its content has another digest"));
    }
  }
  const std::lock_guard lock(mutex_);
  for (const RankedKernel& kernel : record.ranked) {
    const std::string& sha256 = kernel.blob_sha256;
    if (!sha256.empty() && !binaries.contains(sha256) && !blobs_.contains(sha256)) {
      return absl::InvalidArgumentError(absl::StrCat("binary ", sha256, ": named by the record but not given"));
    }
  }
  blobs_.insert(binaries.begin(), binaries.end());
  for (const RankedKernel& kernel : record.ranked) {
    if (!kernel.blob_sha256.empty()) artifacts_[kernel.artifact.digest] = kernel.blob_sha256;
  }
  TuningRecord& stored = records_[record.key.digest] = record;
  stored.generation = ++generation_;
  return generation_;
}

absl::StatusOr<std::string> InMemoryKernelStore::ReadBlob(const std::string& sha256) {
  const std::lock_guard lock(mutex_);
  const auto it = blobs_.find(sha256);
  if (it == blobs_.end()) return absl::NotFoundError(absl::StrCat("no binary ", sha256));
  return it->second;
}

absl::StatusOr<std::optional<std::string>> InMemoryKernelStore::FindArtifact(const ArtifactKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = artifacts_.find(key.digest);
  if (it == artifacts_.end()) return std::nullopt;
  return blobs_.at(it->second);
}

absl::Status InMemoryKernelStore::PutArtifact(const ArtifactKey& key, const std::string& binary) {
  const std::lock_guard lock(mutex_);
  const std::string sha256 = Sha256Hex(binary);
  blobs_[sha256] = binary;
  artifacts_[key.digest] = sha256;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TuningRecord>> InMemoryKernelStore::FindSeeds(const NormalizedOperator& op, int64_t m) {
  const std::lock_guard lock(mutex_);
  std::vector<TuningRecord> seeds;
  for (const auto& [digest, record] : records_) {
    if (record.op == op && record.m >= m / 4 && record.m <= m * 4) seeds.push_back(record);
  }
  std::stable_sort(seeds.begin(), seeds.end(),
                   [&](const TuningRecord& a, const TuningRecord& b) { return std::abs(a.m - m) < std::abs(b.m - m); });
  return seeds;
}

uint64_t InMemoryKernelStore::Generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

}  // namespace ladder
