#include "server/storage/hot_records.h"

#include <utility>

namespace ladder {

HotRecords::Value HotRecords::Find(const std::string& key) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto it = shard.young.find(key); it != shard.young.end()) return it->second.value;
  const auto it = shard.old.find(key);
  if (it == shard.old.end()) return nullptr;
  Entry entry = std::move(it->second);
  shard.old.erase(it);
  Value value = entry.value;
  InsertLocked(shard, key, std::move(entry));
  return value;
}

void HotRecords::Insert(const std::string& key, Value value, size_t bytes, uint64_t epoch) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  if (epoch != Epoch()) return;
  shard.old.erase(key);
  InsertLocked(shard, key, {std::move(value), bytes});
}

void HotRecords::InsertLocked(Shard& shard, const std::string& key, Entry entry) {
  if (entry.bytes > shard_capacity_) return;
  if (shard.young_bytes + entry.bytes > shard_capacity_) {
    shard.old = std::move(shard.young);
    shard.young.clear();
    shard.young_bytes = 0;
  }
  Entry& slot = shard.young[key];
  shard.young_bytes += entry.bytes - slot.bytes;
  slot = std::move(entry);
}

void HotRecords::Erase(const std::string& key) {
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  shard.old.erase(key);
  if (const auto it = shard.young.find(key); it != shard.young.end()) {
    shard.young_bytes -= it->second.bytes;
    shard.young.erase(it);
  }
}

void HotRecords::Clear() {
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.young.clear();
    shard.old.clear();
    shard.young_bytes = 0;
  }
}

}  // namespace ladder
