// Recently used records in memory, decoded, so that most look-ups never reach SQLite.
#ifndef LADDER_SERVER_STORAGE_HOT_RECORDS_H_
#define LADDER_SERVER_STORAGE_HOT_RECORDS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/tuning/tuning_record.h"

namespace ladder {

// Thread-safe, in shards. Approximately least recently used: a shard has a young and an old half; when the young one is
// full it becomes the old one, and what was not asked for since is dropped.
class HotRecords {
 public:
  using Value = std::shared_ptr<const TuningRecord>;

  explicit HotRecords(size_t capacity_bytes) : shard_capacity_(capacity_bytes / kShards / 2) {}

  // Null if it isn't here.
  Value Find(const std::string& key);
  // Taken before a row is read and given to Insert, which drops the value if anything was written in between: a reader
  // that was overtaken must not bring an old record back.
  uint64_t Epoch() const { return epoch_.load(std::memory_order_acquire); }
  void Insert(const std::string& key, Value value, size_t bytes, uint64_t epoch);
  // After a write was committed.
  void Erase(const std::string& key);
  void Clear();

 private:
  static constexpr size_t kShards = 16;
  struct Entry {
    Value value;
    size_t bytes = 0;
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Entry> young, old;
    size_t young_bytes = 0;
  };
  Shard& ShardOf(const std::string& key) { return shards_[std::hash<std::string>()(key) % kShards]; }
  void InsertLocked(Shard& shard, const std::string& key, Entry entry);

  const size_t shard_capacity_;  // of one half
  std::atomic<uint64_t> epoch_ = 0;
  std::array<Shard, kShards> shards_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_HOT_RECORDS_H_
