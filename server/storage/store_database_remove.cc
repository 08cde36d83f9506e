// Adding and removing records, which keep binaries alive.
#include <algorithm>
#include <utility>

#include "server/storage/digest.h"
#include "server/storage/store_database.h"

namespace ladder {

using sqlite::Blob;
using sqlite::Cursor;

absl::StatusOr<std::vector<int64_t>> StoreDatabase::Ids(absl::StatusOr<Cursor> cursor) {
  if (!cursor.ok()) return cursor.status();
  std::vector<int64_t> ids;
  while (true) {
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row) return ids;
    ids.push_back(cursor->Int(0));
  }
}

absl::StatusOr<Removed> StoreDatabase::AddRecord(const RecordRow& row, const TuningRecord& record,
                                                 const std::vector<int64_t>& blobs) {
  absl::Status status =
      connection_->Run("UPDATE records SET superseded = 1 WHERE key = ? AND superseded = 0", Blob{row.key});
  if (!status.ok()) return status;
  status = connection_->Run(
      "INSERT INTO records(key, generation, superseded, kind, op_hash, m, digest, record, trace) "
      "VALUES(?, ?, 0, ?, ?, ?, ?, ?, ?)",
      Blob{row.key}, row.generation, static_cast<int64_t>(record.kind), OperatorHash(record.op), record.m,
      Blob{row.digest}, Blob{row.record}, Blob{row.trace});
  if (!status.ok()) return status;
  const int64_t id = connection_->LastInsertId();
  for (const int64_t blob : blobs) {
    status = connection_->Run("INSERT OR IGNORE INTO blob_refs(record_id, blob_id) VALUES(?, ?)", id, blob);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<std::vector<int64_t>> old =
      Ids(connection_->Query("SELECT id FROM records WHERE key = ? AND superseded = 1 ORDER BY generation DESC "
                             "LIMIT -1 OFFSET ?",
                             Blob{row.key}, int64_t{kKeptGenerations}));
  if (!old.ok()) return old.status();
  Removed removed;
  for (const int64_t former : *old) {
    const absl::StatusOr<std::vector<int64_t>> used =
        Ids(connection_->Query("SELECT blob_id FROM blob_refs WHERE record_id = ?", former));
    if (!used.ok()) return used.status();
    if (absl::StatusOr<Removed> r = RemoveRow(former); !r.ok()) return r.status();
    for (const int64_t blob : *used) {
      absl::StatusOr<Removed> r = RemoveIfUnused(blob, /*with_artifacts=*/false);
      if (!r.ok()) return r.status();
      removed += *r;
    }
  }
  return removed;
}

absl::StatusOr<Removed> StoreDatabase::RemoveRow(int64_t record_id) {
  Removed removed;
  {
    absl::StatusOr<Cursor> cursor = connection_->Query("SELECT key, superseded FROM records WHERE id = ?", record_id);
    if (!cursor.ok()) return cursor.status();
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row) return removed;
    removed.keys.push_back(ToHex(cursor->Bytes(0)));
    removed.records = cursor->Int(1) == 0 ? 1 : 0;
  }
  if (absl::Status s = connection_->Run("DELETE FROM records WHERE id = ?", record_id); !s.ok()) return s;
  return removed;
}

absl::StatusOr<Removed> StoreDatabase::RemoveIfUnused(int64_t blob_id, bool with_artifacts) {
  const absl::StatusOr<int64_t> users =
      connection_->Number(0,
                          "SELECT (SELECT COUNT(*) FROM blob_refs WHERE blob_id = ?1) + "
                          "(CASE ?2 WHEN 0 THEN (SELECT COUNT(*) FROM artifacts WHERE blob_id = ?1) ELSE 0 END)",
                          blob_id, int64_t{with_artifacts});
  if (!users.ok()) return users.status();
  Removed removed;
  if (*users > 0) return removed;
  const absl::StatusOr<int64_t> size = connection_->Number(-1, "SELECT size FROM blobs WHERE id = ?", blob_id);
  if (!size.ok()) return size.status();
  if (*size < 0) return removed;
  if (absl::Status s = connection_->Run("DELETE FROM blobs WHERE id = ?", blob_id); !s.ok()) return s;
  removed.binaries = 1;
  removed.bytes = *size;
  return removed;
}

absl::StatusOr<Removed> StoreDatabase::RemoveRecord(const std::string& key) {
  const std::string raw = FromHex(key).value_or(std::string());
  const absl::StatusOr<std::vector<int64_t>> blobs = Ids(connection_->Query(
      "SELECT DISTINCT blob_id FROM blob_refs WHERE record_id IN (SELECT id FROM records WHERE key = ?)", Blob{raw}));
  if (!blobs.ok()) return blobs.status();
  const absl::StatusOr<std::vector<int64_t>> rows =
      Ids(connection_->Query("SELECT id FROM records WHERE key = ?", Blob{raw}));
  if (!rows.ok()) return rows.status();
  Removed removed;
  for (const int64_t id : *rows) {
    absl::StatusOr<Removed> r = RemoveRow(id);
    if (!r.ok()) return r.status();
    removed += *r;
  }
  for (const int64_t blob : *blobs) {
    absl::StatusOr<Removed> r = RemoveIfUnused(blob, /*with_artifacts=*/true);
    if (!r.ok()) return r.status();
    removed += *r;
  }
  return removed;
}

absl::StatusOr<Removed> StoreDatabase::RemoveBlob(int64_t blob_id) {
  const absl::StatusOr<std::vector<int64_t>> rows =
      Ids(connection_->Query("SELECT record_id FROM blob_refs WHERE blob_id = ?", blob_id));
  if (!rows.ok()) return rows.status();
  Removed removed;
  for (const int64_t id : *rows) {
    absl::StatusOr<Removed> r = RemoveRow(id);
    if (!r.ok()) return r.status();
    removed += *r;
  }
  absl::StatusOr<Removed> r = RemoveIfUnused(blob_id, /*with_artifacts=*/true);
  if (!r.ok()) return r.status();
  removed += *r;
  return removed;
}

absl::StatusOr<Removed> StoreDatabase::Shrink(int64_t bytes, int64_t total, const std::vector<int64_t>& keep) {
  Removed removed;
  while (total - removed.bytes > bytes) {
    // Those to keep are the newest or few, so a handful of rows is enough to find one that may go.
    const absl::StatusOr<std::vector<int64_t>> oldest = Ids(
        connection_->Query("SELECT id FROM blobs ORDER BY last_used LIMIT ?", static_cast<int64_t>(keep.size() + 1)));
    if (!oldest.ok()) return oldest.status();
    const auto victim = std::find_if(oldest->begin(), oldest->end(),
                                     [&](int64_t id) { return std::find(keep.begin(), keep.end(), id) == keep.end(); });
    if (victim == oldest->end()) break;
    absl::StatusOr<Removed> r = RemoveBlob(*victim);
    if (!r.ok()) return r.status();
    if (r->binaries == 0) return absl::DataLossError("a binary cannot be removed: its references are damaged");
    removed += *r;
  }
  return removed;
}

}  // namespace ladder
