#include "server/serving/answer_cache.h"

#include <utility>

namespace ladder {

AnswerCache::Value AnswerCache::Find(std::string_view request, const AnswerBasis& basis) {
  Shard& shard = ShardOf(request);
  const std::lock_guard lock(shard.mutex);
  if (const auto it = shard.young.find(request); it != shard.young.end()) {
    return it->second.basis == basis ? it->second.value : nullptr;
  }
  const auto it = shard.old.find(request);
  if (it == shard.old.end() || it->second.basis != basis) return nullptr;
  auto node = shard.old.extract(it);
  Value value = node.mapped().value;
  InsertLocked(shard, std::move(node.key()), std::move(node.mapped()));
  return value;
}

void AnswerCache::Insert(std::string_view request, const AnswerBasis& basis, Value value) {
  // The nodes of the map, the answer's own fields and the digests that it names.
  const size_t bytes = request.size() + value->bytes.size() + 256 + 96 * value->binaries.size();
  Shard& shard = ShardOf(request);
  const std::lock_guard lock(shard.mutex);
  // Whoever was slow to answer must not take away what was made since.
  const auto newer = [&](const Map& half) {
    const auto it = half.find(request);
    return it != half.end() && it->second.basis.IsNewerThan(basis);
  };
  if (newer(shard.young) || newer(shard.old)) return;
  if (const auto it = shard.old.find(request); it != shard.old.end()) shard.old.erase(it);
  InsertLocked(shard, std::string(request), {basis, std::move(value), bytes});
}

void AnswerCache::InsertLocked(Shard& shard, std::string key, Entry entry) {
  if (entry.bytes > shard_capacity_) return;
  if (shard.young_bytes + entry.bytes > shard_capacity_) {
    shard.old = std::exchange(shard.young, {});
    shard.young_bytes = 0;
  }
  Entry& slot = shard.young[std::move(key)];
  shard.young_bytes += entry.bytes - slot.bytes;
  slot = std::move(entry);
}

}  // namespace ladder
