// Looking after the cache: listing, figures, eviction, verification.
#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/digest.h"
#include "server/storage/schema.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

constexpr int kRowsPerPage = 128;

int64_t FileBytes(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

}  // namespace

absl::Status SqliteKernelStore::ForEach(const std::function<bool(const TuningRecord&)>& visit) {
  int64_t last = 0;
  while (true) {
    std::vector<RecordRow> rows;
    {
      const std::lock_guard lock(read_mutex_);
      const absl::StatusOr<int64_t> next = reader_->Page(last, kRowsPerPage, rows);
      if (!next.ok()) {
        NoteDamage(next.status());
        return next.status();
      }
      last = *next;
    }
    if (last == 0) return absl::OkStatus();
    for (const RecordRow& row : rows) {
      const absl::StatusOr<std::shared_ptr<const TuningRecord>> record = Decode(row);
      if (record.ok() && !visit(**record)) return absl::OkStatus();
    }
  }
}

absl::StatusOr<std::vector<TuningRecord>> SqliteKernelStore::FindByPrefix(const std::string& hex_prefix, int limit) {
  absl::StatusOr<std::vector<std::string>> keys;
  {
    const std::lock_guard lock(read_mutex_);
    keys = reader_->KeysWithPrefix(hex_prefix, limit);
  }
  if (!keys.ok()) return keys.status();
  std::vector<TuningRecord> records;
  for (const std::string& key : *keys) {
    absl::StatusOr<std::optional<TuningRecord>> record = Find(CacheKey{key});
    if (!record.ok()) return record.status();
    if (*record) records.push_back(**std::move(record));
  }
  return records;
}

absl::StatusOr<StoreStats> SqliteKernelStore::Stats() {
  StoreStats stats;
  {
    const std::lock_guard lock(read_mutex_);
    const absl::StatusOr<StoreTotals> totals = reader_->Totals();
    if (!totals.ok()) return totals.status();
    stats.totals = *totals;
  }
  {
    const std::lock_guard lock(damage_mutex_);
    stats.totals.quarantined += static_cast<int64_t>(unwritten_.size());
  }
  stats.path = path_;
  stats.file_bytes = FileBytes(path_) + FileBytes(path_ + "-wal");
  stats.limit_bytes = options_.limit_bytes;
  stats.lookups = lookups_;
  stats.hits = hits_;
  stats.schema_version = kSchemaVersion;
  stats.generation = generation_;
  return stats;
}

absl::StatusOr<Removed> SqliteKernelStore::Evict(const EvictSelection& selection) {
  if (selection.keys.empty() && !selection.all && !selection.down_to_bytes) {
    return absl::InvalidArgumentError("keys: nothing to evict is named; give keys, a size to shrink to, or all");
  }
  Removed evicted;
  const absl::Status status = Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    if (!selection.keys.empty()) {
      for (const std::string& key : selection.keys) {
        const absl::StatusOr<Removed> gone = database.RemoveRecord(key);
        if (!gone.ok()) return gone.status();
        evicted += *gone;
      }
    } else if (selection.all) {
      const absl::StatusOr<StoreTotals> totals = database.Totals();
      if (!totals.ok()) return totals.status();
      for (const char* sql : {"DELETE FROM records", "DELETE FROM artifacts", "DELETE FROM blobs"}) {
        if (absl::Status s = database.connection().Run(sql); !s.ok()) return s;
      }
      evicted.records = totals->records;
      evicted.binaries = totals->binaries;
      evicted.bytes = blob_bytes_;
    } else {
      if (absl::Status s = WriteUses(database, SIZE_MAX); !s.ok()) return s;
      const absl::StatusOr<Removed> gone = database.Shrink(*selection.down_to_bytes, blob_bytes_, {});
      if (!gone.ok()) return gone.status();
      evicted += *gone;
    }
    blob_bytes_ -= evicted.bytes;
    removed += evicted;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (selection.all) {
    hot_.Clear();
    changes_.fetch_add(1, std::memory_order_acq_rel);
  }
  // Gives the room back to the file system. That it can't at the moment (a reader, a full disk) undoes no eviction.
  const std::lock_guard lock(write_mutex_);
  writer_->connection().Execute("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
  return evicted;
}

absl::StatusOr<VerifyReport> SqliteKernelStore::Verify() {
  VerifyReport report;
  const auto problem = [&](const std::string& text) { report.problems.push_back(text); };
  // A connection of its own, so that look-ups go on meanwhile.
  absl::StatusOr<std::unique_ptr<sqlite::Connection>> opened =
      sqlite::Connection::Open(path_, sqlite::Connection::Mode::kReadOnly, options_.vfs);
  if (!opened.ok()) return opened.status();
  StoreDatabase database(*std::move(opened));
  for (const char* check : {"PRAGMA integrity_check(10)", "PRAGMA foreign_key_check"}) {
    absl::StatusOr<sqlite::Cursor> cursor = database.connection().Query(check);
    while (cursor.ok()) {
      const absl::StatusOr<bool> row = cursor->Next();
      if (!row.ok()) problem(std::string(row.status().message()));
      if (!row.ok() || !*row) break;
      if (cursor->Bytes(0) != "ok") problem(absl::StrCat("database: ", cursor->Bytes(0)));
    }
  }
  if (!report.problems.empty()) NoteDamage(absl::DataLossError(report.problems.front()));

  std::vector<std::string> keys, blobs, artifacts;
  for (const auto& [list, sql] : {std::pair{&keys, "SELECT key FROM records WHERE superseded = 0"},
                                  {&blobs, "SELECT sha256 FROM blobs"},
                                  {&artifacts, "SELECT key FROM artifacts"}}) {
    absl::StatusOr<sqlite::Cursor> cursor = database.connection().Query(sql);
    while (cursor.ok()) {
      const absl::StatusOr<bool> row = cursor->Next();
      if (!row.ok()) problem(std::string(row.status().message()));
      if (!row.ok() || !*row) break;
      list->push_back(ToHex(cursor->Bytes(0)));
    }
  }
  for (const std::string& key : keys) {
    const absl::StatusOr<std::optional<RecordRow>> row = database.Current(key);
    if (!row.ok()) {
      problem(absl::StrCat("record ", key, ": ", row.status().message()));
    } else if (*row) {
      ++report.records;
      const absl::StatusOr<std::shared_ptr<const TuningRecord>> record = Decode(**row);
      if (!record.ok()) problem(absl::StrCat("record ", key, ": ", record.status().message()));
    }
  }
  for (const std::string& sha256 : blobs) {
    const absl::StatusOr<std::optional<std::string>> data = database.BlobData(sha256);
    if (data.ok() && !*data && !database.BlobId(sha256).value_or(std::nullopt)) continue;  // evicted meanwhile
    ++report.binaries;
    if (data.ok() && *data && ToHex(Sha256(**data)) == sha256) continue;
    const std::string reason = !data.ok() ? std::string(data.status().message())
                               : !*data   ? "its content is missing"
                                          : "its content has another digest";
    problem(absl::StrCat("binary ", sha256, ": ", reason));
    DropDamagedBlob(sha256, reason, data.ok() ? data->value_or("") : "");
  }
  for (const std::string& key : artifacts) {
    const absl::StatusOr<std::optional<std::string>> artifact = database.Artifact(key);
    if (artifact.ok()) continue;
    problem(absl::StrCat("artifact ", key, ": ", artifact.status().message()));
    FindArtifact(ArtifactKey{key}).IgnoreError();  // quarantines it
  }
  return report;
}

}  // namespace ladder
