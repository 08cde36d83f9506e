// Answers to look-ups as they were sent, by the bytes of the request: callers repeat the same few descriptors, and
// understanding one, hashing its key and writing its record out again costs far more than remembering.
#ifndef LADDER_SERVER_SERVING_ANSWER_CACHE_H_
#define LADDER_SERVER_SERVING_ANSWER_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ladder {

// What an answer rests on, read before it is looked for or made: it holds while neither has changed.
struct AnswerBasis {
  uint64_t store = 0;     // SqliteKernelStore::Changes()
  uint64_t machines = 0;  // Machines::Changes()
  friend bool operator==(const AnswerBasis&, const AnswerBasis&) = default;
  // Both only rise.
  bool IsNewerThan(const AnswerBasis& other) const { return store > other.store || machines > other.machines; }
};

struct KnownAnswer {
  std::string bytes;                  // a LookupResponse
  std::vector<std::string> binaries;  // that it names, by SHA-256
  int64_t records = 0;
  mutable std::atomic<int64_t> told_use_s = 0;  // when their use was last written down
};

// Thread-safe, in shards. Equal bytes mean equal requests; unequal bytes that mean the same are remembered apart, which
// costs room and nothing else. Bounded as HotRecords is: a full young half becomes the old one.
class AnswerCache {
 public:
  using Value = std::shared_ptr<const KnownAnswer>;
  explicit AnswerCache(size_t capacity_bytes) : shard_capacity_(capacity_bytes / kShards / 2) {}

  // Null if nothing that holds on this basis is here.
  Value Find(std::string_view request, const AnswerBasis& basis);
  // Not if what is here rests on a newer basis.
  void Insert(std::string_view request, const AnswerBasis& basis, Value value);

 private:
  static constexpr size_t kShards = 16;
  struct Entry {
    AnswerBasis basis;
    Value value;
    size_t bytes = 0;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Map = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  struct Shard {
    std::mutex mutex;
    Map young, old;
    size_t young_bytes = 0;
  };
  Shard& ShardOf(std::string_view request) { return shards_[Hash()(request) % kShards]; }
  void InsertLocked(Shard& shard, std::string key, Entry entry);

  const size_t shard_capacity_;  // of one half
  std::array<Shard, kShards> shards_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_ANSWER_CACHE_H_
