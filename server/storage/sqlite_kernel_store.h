// The store of a daemon or a tool: one SQLite database with one owner, and what is done to look after it.
#ifndef LADDER_SERVER_STORAGE_SQLITE_KERNEL_STORE_H_
#define LADDER_SERVER_STORAGE_SQLITE_KERNEL_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/store/kernel_store.h"
#include "server/storage/cache_lock.h"
#include "server/storage/filesystem.h"
#include "server/storage/hot_records.h"
#include "server/storage/store_database.h"
#include "server/storage/use_log.h"

namespace ladder {

struct SqliteStoreOptions {
  std::string path;                        // of the database; empty: DefaultCachePath()
  int64_t limit_bytes = int64_t{2} << 30;  // of binaries, the least recently used go first; 0: no limit
  int64_t hot_bytes = int64_t{64} << 20;   // of records kept decoded in memory
  FilesystemProbe filesystem_probe;        // null: statfs
  std::string vfs;                         // a registered SQLite VFS; empty: the system's
};

struct StoreStats {
  std::string path;
  StoreTotals totals;      // quarantined counts what could not be written down, too
  int64_t file_bytes = 0;  // database and write-ahead log
  int64_t limit_bytes = 0;
  int64_t lookups = 0, hits = 0;  // since it was opened
  int schema_version = 0;
  uint64_t generation = 0;
};

struct EvictSelection {
  std::vector<std::string> keys = {};  // these records and the binaries only they need; if empty:
  std::optional<int64_t> down_to_bytes =
      std::nullopt;  // least recently used binaries with their records, until the rest fits; or
  bool all = false;
};

struct VerifyReport {
  int64_t records = 0, binaries = 0;  // checked
  std::vector<std::string> problems;  // one sentence each; what was damaged is quarantined
};

struct QuarantineEntry {
  std::string what, reason;
  int64_t at_unix = 0;
};

// The next record; nothing at the end.
using RecordSource = std::function<absl::StatusOr<std::optional<TuningRecord>>()>;
// A binary by its SHA-256.
using BinarySource = std::function<absl::StatusOr<std::string>(const std::string&)>;

struct MergeOutcome {
  int64_t records = 0, binaries = 0, skipped = 0;
  Removed evicted;  // to hold the size limit
};

// Thread-safe. Look-ups answer from memory or by one read of the database; they wait for no writer.
class SqliteKernelStore : public KernelStore {
 public:
  // Makes the file and its folder where missing. A damaged database is moved to "<path>.corrupt-<time>" and a fresh one
  // started, which Quarantined() tells. FailedPrecondition if the cache is in use by another process, lies on a network
  // file system, or has a newer schema.
  static absl::StatusOr<std::unique_ptr<SqliteKernelStore>> Open(const SqliteStoreOptions& options);
  ~SqliteKernelStore() override;

  absl::StatusOr<std::optional<TuningRecord>> Find(const CacheKey& key) override;
  absl::StatusOr<std::shared_ptr<const TuningRecord>> FindShared(const CacheKey& key) override;
  absl::StatusOr<uint64_t> Put(const TuningRecord& record, const std::map<std::string, std::string>& binaries) override;
  absl::StatusOr<std::string> ReadBlob(const std::string& sha256) override;
  absl::StatusOr<std::optional<std::string>> FindArtifact(const ArtifactKey& key) override;
  absl::Status PutArtifact(const ArtifactKey& key, const std::string& binary) override;
  absl::StatusOr<std::vector<TuningRecord>> FindSeeds(const NormalizedOperator& op, int64_t m) override;
  uint64_t Generation() override;

  // The record as it was at a generation: the newest not newer than that. Four former ones are kept per key.
  absl::StatusOr<std::optional<TuningRecord>> FindAt(const CacheKey& key, uint64_t generation);
  // Current records whose key starts with these hex digits, at most `limit`.
  absl::StatusOr<std::vector<TuningRecord>> FindByPrefix(const std::string& hex_prefix, int limit);
  // Every current record until `visit` returns false. Holds no lock meanwhile.
  absl::Status ForEach(const std::function<bool(const TuningRecord&)>& visit);

  // Rises with all that may change what a look-up answers, before the change is told to whoever made it.
  uint64_t Changes() const { return changes_.load(std::memory_order_acquire); }
  // For answers remembered elsewhere: counted as look-ups that hit.
  void CountHits(int64_t records);
  // Those binaries were used now.
  void NoteUse(const std::vector<std::string>& binaries);

  absl::StatusOr<StoreStats> Stats();
  absl::StatusOr<Removed> Evict(const EvictSelection& selection);
  // Reads everything. Takes as long as reading the file does.
  absl::StatusOr<VerifyReport> Verify();
  absl::StatusOr<std::vector<QuarantineEntry>> Quarantined();
  // For a kernel that turned out bad in use: the binary goes, and its records become misses. NotFound if it isn't here.
  absl::Status QuarantineBlob(const std::string& sha256, const std::string& reason);
  // Writes down when binaries were last used; otherwise the next change does.
  absl::Status FlushUses();

  // Stores records in one transaction, all or none. On a conflict of kernels the one that `is_current` (if given)
  // stays, then the better kind (measured, fast, seed), then the newer one. `read_binary` gives the binaries that
  // records name and the store lacks. `dry_run` changes nothing. None of the functions may use this store.
  absl::StatusOr<MergeOutcome> Merge(const RecordSource& next_record, const BinarySource& read_binary, bool dry_run,
                                     const std::function<bool(const TuningRecord&)>& is_current = nullptr);
  const std::string& path() const { return path_; }

 private:
  SqliteKernelStore(const SqliteStoreOptions& options, std::string path, std::unique_ptr<CacheLock> lock);
  absl::Status Start();
  absl::Status OpenDatabases();
  absl::Status MoveAside(const absl::Status& reason);
  // Runs `change` in a transaction; what it adds to `removed` leaves memory, too, once that is committed.
  absl::Status Write(const std::function<absl::Status(StoreDatabase&, Removed&)>& change);
  // The ids of the binaries a record names, added where missing. Adds their sizes to `added_bytes`.
  absl::StatusOr<std::vector<int64_t>> AddBinaries(StoreDatabase& database, const TuningRecord& record,
                                                   const BinarySource& read_binary, int64_t& added,
                                                   int64_t& added_bytes);
  absl::Status WriteUses(StoreDatabase& database, size_t limit);
  absl::StatusOr<std::shared_ptr<const TuningRecord>> Decode(const RecordRow& row);
  // Bookkeeping of damage. None of it fails: what can't be written down is remembered until the program ends.
  void QuarantineRow(const RecordRow& row, const absl::Status& reason);
  void DropDamagedBlob(const std::string& sha256, const std::string& reason, const std::string& data);
  void Remember(const std::string& what, const std::string& reason);
  bool AlreadyKnown(const std::string& what);
  // Leaves word that the next Open has to check the file.
  void NoteDamage(const absl::Status& status);
  bool NamesDamagedBlob(const TuningRecord& record);

  const SqliteStoreOptions options_;
  const std::string path_;
  const std::unique_ptr<CacheLock> lock_;
  std::mutex write_mutex_, read_mutex_;
  std::unique_ptr<StoreDatabase> writer_, reader_;  // in this order: the writer, closed last, tidies the log away
  HotRecords hot_;
  UseLog uses_;
  int64_t blob_bytes_ = 0;         // by write_mutex_
  uint64_t given_generation_ = 0;  // by write_mutex_: the highest of the running change, told once it is committed
  std::atomic<uint64_t> generation_ = 0;
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<int64_t> lookups_ = 0, hits_ = 0;

  std::mutex damage_mutex_;
  std::set<std::string> known_damage_;
  std::vector<QuarantineEntry> unwritten_;
  std::set<std::string> damaged_blobs_;
  std::atomic<bool> any_damaged_blob_ = false;
  std::set<std::string> checked_blobs_;  // read and found whole by this process
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_SQLITE_KERNEL_STORE_H_
