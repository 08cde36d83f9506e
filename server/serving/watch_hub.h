// Tells watchers of a key about its new records.
#ifndef LADDER_SERVER_SERVING_WATCH_HUB_H_
#define LADDER_SERVER_SERVING_WATCH_HUB_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/store/kernel_store.h"

namespace ladder {

// Thread-safe.
class WatchHub {
 public:
  using Callback = std::function<void(const TuningRecord&)>;
  // `callback` is called from any thread, for each record of one of the keys, until Unwatch; `end` when the hub closes.
  uint64_t Watch(const std::vector<std::string>& keys, Callback callback, std::function<void()> end);
  // Does not wait for a call under way on another thread.
  void Unwatch(uint64_t id);
  void Publish(const TuningRecord& record);
  // What is being watched.
  std::vector<std::string> Keys() const;
  // Ends every watch, and those that come later at once.
  void Close();

 private:
  mutable std::mutex mutex_;
  uint64_t next_ = 1;
  struct Watcher {
    Callback callback;
    std::function<void()> end;
  };
  bool closed_ = false;
  std::map<uint64_t, std::shared_ptr<Watcher>> watchers_;
  std::multimap<std::string, uint64_t> by_key_;
};

// A store that tells a hub what was put.
class PublishingStore final : public KernelStore {
 public:
  PublishingStore(KernelStore& store, WatchHub& hub) : store_(store), hub_(hub) {}
  absl::StatusOr<std::optional<TuningRecord>> Find(const CacheKey& key) override { return store_.Find(key); }
  absl::StatusOr<std::shared_ptr<const TuningRecord>> FindShared(const CacheKey& key) override {
    return store_.FindShared(key);
  }
  absl::StatusOr<uint64_t> Put(const TuningRecord& record, const std::map<std::string, std::string>& binaries) override;
  absl::StatusOr<std::string> ReadBlob(const std::string& sha256) override { return store_.ReadBlob(sha256); }
  absl::StatusOr<std::optional<std::string>> FindArtifact(const ArtifactKey& key) override {
    return store_.FindArtifact(key);
  }
  absl::Status PutArtifact(const ArtifactKey& key, const std::string& binary) override {
    return store_.PutArtifact(key, binary);
  }
  absl::StatusOr<std::vector<TuningRecord>> FindSeeds(const NormalizedOperator& op, int64_t m) override {
    return store_.FindSeeds(op, m);
  }
  uint64_t Generation() override { return store_.Generation(); }

 private:
  KernelStore& store_;
  WatchHub& hub_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_WATCH_HUB_H_
