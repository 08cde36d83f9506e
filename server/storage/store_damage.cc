// What is done about damaged rows: never served, kept aside where that is possible, told by Quarantined().
#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/digest.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {

absl::StatusOr<std::shared_ptr<const TuningRecord>> SqliteKernelStore::Decode(const RecordRow& row) {
  absl::StatusOr<TuningRecord> record = DecodeRecord(row);
  if (!record.ok()) {
    QuarantineRow(row, record.status());
    return record.status();
  }
  return std::make_shared<const TuningRecord>(*std::move(record));
}

bool SqliteKernelStore::AlreadyKnown(const std::string& what) {
  const std::lock_guard lock(damage_mutex_);
  return !known_damage_.insert(what).second;
}

void SqliteKernelStore::Remember(const std::string& what, const std::string& reason) {
  const std::lock_guard lock(damage_mutex_);
  known_damage_.insert(what);
  const bool there = std::any_of(unwritten_.begin(), unwritten_.end(),
                                 [&](const QuarantineEntry& entry) { return entry.what == what; });
  if (!there) unwritten_.push_back({what, reason, static_cast<int64_t>(std::time(nullptr))});
}

void SqliteKernelStore::QuarantineRow(const RecordRow& row, const absl::Status& reason) {
  const std::string what = absl::StrCat("record ", ToHex(row.key), " of generation ", row.generation);
  if (AlreadyKnown(what)) return;
  const std::string sentence(reason.message());
  const absl::Status written = Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    removed.keys.push_back(ToHex(row.key));
    if (absl::Status s = database.AddQuarantine(what, sentence, row.record); !s.ok()) return s;
    return database.connection().Run("DELETE FROM records WHERE key = ? AND generation = ?", sqlite::Blob{row.key},
                                     row.generation);
  });
  if (!written.ok()) Remember(what, sentence);
}

void SqliteKernelStore::DropDamagedBlob(const std::string& sha256, const std::string& reason, const std::string& data) {
  {
    const std::lock_guard lock(damage_mutex_);
    damaged_blobs_.insert(sha256);
    any_damaged_blob_ = true;
  }
  changes_.fetch_add(1, std::memory_order_acq_rel);
  const std::string what = absl::StrCat("binary ", sha256);
  const absl::Status written = Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    if (absl::Status s = database.AddQuarantine(what, reason, data); !s.ok()) return s;
    const absl::StatusOr<std::optional<int64_t>> id = database.BlobId(sha256);
    if (!id.ok()) return id.status();
    if (!*id) return absl::OkStatus();
    const absl::StatusOr<Removed> gone = database.RemoveBlob(**id);
    if (!gone.ok()) return gone.status();
    removed += *gone;
    blob_bytes_ -= gone->bytes;
    return absl::OkStatus();
  });
  if (!written.ok()) {
    Remember(what, reason);
    return;
  }
  const std::lock_guard lock(damage_mutex_);
  damaged_blobs_.erase(sha256);
  any_damaged_blob_ = !damaged_blobs_.empty();
}

bool SqliteKernelStore::NamesDamagedBlob(const TuningRecord& record) {
  const std::lock_guard lock(damage_mutex_);
  return std::any_of(record.ranked.begin(), record.ranked.end(),
                     [&](const RankedKernel& kernel) { return damaged_blobs_.contains(kernel.blob_sha256); });
}

absl::Status SqliteKernelStore::QuarantineBlob(const std::string& sha256, const std::string& reason) {
  absl::StatusOr<std::string> data = ReadBlob(sha256);
  if (absl::IsDataLoss(data.status())) return absl::OkStatus();  // it is quarantined now
  if (!data.ok()) return data.status();
  DropDamagedBlob(sha256, reason, *data);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<QuarantineEntry>> SqliteKernelStore::Quarantined() {
  std::vector<QuarantineEntry> entries;
  {
    const std::lock_guard lock(read_mutex_);
    absl::StatusOr<sqlite::Cursor> cursor =
        reader_->connection().Query("SELECT what, reason, at_unix FROM quarantine ORDER BY id");
    if (!cursor.ok()) return cursor.status();
    while (true) {
      const absl::StatusOr<bool> row = cursor->Next();
      if (!row.ok()) return row.status();
      if (!*row) break;
      entries.push_back({std::string(cursor->Bytes(0)), std::string(cursor->Bytes(1)), cursor->Int(2)});
    }
  }
  const std::lock_guard lock(damage_mutex_);
  entries.insert(entries.end(), unwritten_.begin(), unwritten_.end());
  return entries;
}

}  // namespace ladder
