#include "server/storage/store_database.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/digest.h"

namespace ladder {

using sqlite::Blob;
using sqlite::Cursor;
using sqlite::Text;

namespace {

constexpr int kKeptQuarantine = 500;
constexpr size_t kKeptQuarantineData = size_t{1} << 20;

std::string Raw(const std::string& hex) { return FromHex(hex).value_or(std::string()); }

// Of a cursor over (key, generation, record, trace, digest).
RecordRow ToRow(const Cursor& cursor) {
  return {.key = std::string(cursor.Bytes(0)),
          .generation = cursor.Int(1),
          .record = std::string(cursor.Bytes(2)),
          .trace = std::string(cursor.Bytes(3)),
          .digest = std::string(cursor.Bytes(4))};
}

absl::StatusOr<std::optional<RecordRow>> OneRow(absl::StatusOr<Cursor> cursor) {
  if (!cursor.ok()) return cursor.status();
  const absl::StatusOr<bool> row = cursor->Next();
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  return ToRow(*cursor);
}

std::string ArtifactDigest(absl::string_view key, absl::string_view sha256) {
  return Sha256OfParts({"ladder artifact 1", key, sha256});
}

}  // namespace

Removed& Removed::operator+=(const Removed& other) {
  records += other.records;
  binaries += other.binaries;
  bytes += other.bytes;
  keys.insert(keys.end(), other.keys.begin(), other.keys.end());
  return *this;
}

absl::StatusOr<std::optional<RecordRow>> StoreDatabase::Current(const std::string& key) {
  const std::string raw = Raw(key);
  return OneRow(connection_->Query(
      "SELECT key, generation, record, trace, digest FROM records WHERE key = ? AND superseded = 0", Blob{raw}));
}

absl::StatusOr<std::optional<RecordRow>> StoreDatabase::At(const std::string& key, uint64_t generation) {
  const std::string raw = Raw(key);
  const int64_t newest = static_cast<int64_t>(std::min<uint64_t>(generation, INT64_MAX));
  return OneRow(
      connection_->Query("SELECT key, generation, record, trace, digest FROM records WHERE key = ? AND generation <= ? "
                         "ORDER BY generation DESC LIMIT 1",
                         Blob{raw}, newest));
}

absl::StatusOr<int64_t> StoreDatabase::Page(int64_t after_id, int limit, std::vector<RecordRow>& rows) {
  absl::StatusOr<Cursor> cursor = connection_->Query(
      "SELECT key, generation, record, trace, digest, id FROM records WHERE id > ? AND superseded = 0 "
      "ORDER BY id LIMIT ?",
      after_id, int64_t{limit});
  if (!cursor.ok()) return cursor.status();
  int64_t last = 0;
  while (true) {
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row) return last;
    rows.push_back(ToRow(*cursor));
    last = cursor->Int(5);
  }
}

absl::StatusOr<std::vector<RecordRow>> StoreDatabase::OfOperator(int64_t op_hash, int64_t m, int limit) {
  absl::StatusOr<Cursor> cursor = connection_->Query(
      "SELECT key, generation, record, trace, digest FROM records WHERE op_hash = ?1 AND superseded = 0 "
      "AND m BETWEEN ?2 / 4 AND ?2 * 4 ORDER BY abs(m - ?2), generation DESC LIMIT ?3",
      op_hash, m, int64_t{limit});
  if (!cursor.ok()) return cursor.status();
  std::vector<RecordRow> rows;
  while (true) {
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row) return rows;
    rows.push_back(ToRow(*cursor));
  }
}

absl::StatusOr<std::vector<std::string>> StoreDatabase::KeysWithPrefix(const std::string& hex_prefix, int limit) {
  std::vector<std::string> keys;
  // An odd digit is dropped for the search and compared afterwards.
  const std::optional<std::string> start = FromHex(hex_prefix.substr(0, hex_prefix.size() / 2 * 2));
  if (!start) return keys;
  absl::StatusOr<Cursor> cursor =
      connection_->Query("SELECT key FROM records WHERE key >= ? AND superseded = 0 ORDER BY key", Blob{*start});
  if (!cursor.ok()) return cursor.status();
  while (static_cast<int>(keys.size()) < limit) {
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row || cursor->Bytes(0).substr(0, start->size()) != *start) break;
    const std::string key = ToHex(cursor->Bytes(0));
    if (key.compare(0, hex_prefix.size(), hex_prefix) == 0) keys.push_back(key);
  }
  return keys;
}

absl::StatusOr<int64_t> StoreDatabase::Generation() {
  const absl::StatusOr<int64_t> stored = connection_->Number(0, "SELECT value FROM meta WHERE name = 'generation'");
  if (!stored.ok()) return stored.status();
  const absl::StatusOr<int64_t> newest = connection_->Number(0, "SELECT MAX(generation) FROM records");
  if (!newest.ok()) return newest.status();
  return std::max(*stored, *newest);  // whatever happened to the counter, no generation is given out twice
}

absl::Status StoreDatabase::SetGeneration(int64_t generation) {
  return connection_->Run(
      "INSERT INTO meta VALUES('generation', ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value", generation);
}

absl::StatusOr<StoreTotals> StoreDatabase::Totals() {
  StoreTotals totals;
  const std::pair<int64_t*, absl::StatusOr<int64_t>> numbers[] = {
      {&totals.records, connection_->Number(0, "SELECT COUNT(*) FROM records WHERE superseded = 0")},
      {&totals.seeds, connection_->Number(0, "SELECT COUNT(*) FROM records WHERE superseded = 0 AND kind = ?",
                                          static_cast<int64_t>(RecordKind::kSeed))},
      {&totals.binaries, connection_->Number(0, "SELECT COUNT(*) FROM blobs")},
      {&totals.binary_bytes, connection_->Number(0, "SELECT SUM(size) FROM blobs")},
      {&totals.quarantined, connection_->Number(0, "SELECT COUNT(*) FROM quarantine")}};
  for (const auto& [total, number] : numbers) {
    if (!number.ok()) return number.status();
    *total = *number;
  }
  return totals;
}

absl::StatusOr<std::optional<int64_t>> StoreDatabase::BlobId(const std::string& sha256) {
  const std::string raw = Raw(sha256);
  const absl::StatusOr<int64_t> id = connection_->Number(-1, "SELECT id FROM blobs WHERE sha256 = ?", Blob{raw});
  if (!id.ok()) return id.status();
  return *id < 0 ? std::nullopt : std::optional(*id);
}

absl::StatusOr<std::optional<std::string>> StoreDatabase::BlobData(const std::string& sha256) {
  const std::string raw = Raw(sha256);
  absl::StatusOr<Cursor> cursor = connection_->Query(
      "SELECT data_row.id IS NULL, data_row.data FROM blobs LEFT JOIN blob_data AS data_row "
      "ON data_row.id = blobs.id WHERE blobs.sha256 = ?",
      Blob{raw});
  if (!cursor.ok()) return cursor.status();
  const absl::StatusOr<bool> row = cursor->Next();
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  if (cursor->Int(0) != 0) return absl::DataLossError("it is listed, but its content is gone");
  return std::string(cursor->Bytes(1));
}

absl::StatusOr<int64_t> StoreDatabase::AddBlob(const std::string& sha256, absl::string_view data, int64_t now) {
  const std::string raw = Raw(sha256);
  absl::Status status = connection_->Run("INSERT INTO blobs(sha256, size, last_used) VALUES(?, ?, ?)", Blob{raw},
                                         static_cast<int64_t>(data.size()), now);
  if (!status.ok()) return status;
  const int64_t id = connection_->LastInsertId();
  if (status = SetBlobData(id, data); !status.ok()) return status;
  return id;
}

absl::StatusOr<bool> StoreDatabase::HasBlobData(int64_t blob_id) {
  const absl::StatusOr<int64_t> found = connection_->Number(0, "SELECT COUNT(*) FROM blob_data WHERE id = ?", blob_id);
  if (!found.ok()) return found.status();
  return *found > 0;
}

absl::Status StoreDatabase::SetBlobData(int64_t blob_id, absl::string_view data) {
  // What damage left under that number is nobody's.
  return connection_->Run("INSERT OR REPLACE INTO blob_data(id, data) VALUES(?, ?)", blob_id, Blob{data});
}

absl::Status StoreDatabase::SetUsed(const std::string& sha256, int64_t time) {
  const std::string raw = Raw(sha256);
  return connection_->Run("UPDATE blobs SET last_used = ? WHERE sha256 = ?", time, Blob{raw});
}

absl::StatusOr<int64_t> StoreDatabase::NewestUse() {
  return connection_->Number(0, "SELECT MAX(last_used) FROM blobs");
}

absl::Status StoreDatabase::SetArtifact(const std::string& key, const std::string& sha256, int64_t blob_id) {
  const std::string raw = Raw(key);
  const std::string digest = ArtifactDigest(raw, Raw(sha256));
  return connection_->Run("INSERT OR REPLACE INTO artifacts(key, blob_id, digest) VALUES(?, ?, ?)", Blob{raw}, blob_id,
                          Blob{digest});
}

absl::StatusOr<std::optional<std::string>> StoreDatabase::Artifact(const std::string& key) {
  const std::string raw = Raw(key);
  absl::StatusOr<Cursor> cursor = connection_->Query(
      "SELECT blobs.sha256, artifacts.digest FROM artifacts JOIN blobs ON blobs.id = artifacts.blob_id "
      "WHERE artifacts.key = ?",
      Blob{raw});
  if (!cursor.ok()) return cursor.status();
  const absl::StatusOr<bool> row = cursor->Next();
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  if (cursor->Bytes(1) != ArtifactDigest(raw, cursor->Bytes(0))) {
    return absl::DataLossError("its row does not match its digest");
  }
  return ToHex(cursor->Bytes(0));
}

absl::Status StoreDatabase::RemoveArtifact(const std::string& key) {
  const std::string raw = Raw(key);
  return connection_->Run("DELETE FROM artifacts WHERE key = ?", Blob{raw});
}

absl::Status StoreDatabase::AddQuarantine(absl::string_view what, absl::string_view reason, absl::string_view data) {
  absl::Status status = connection_->Run("INSERT INTO quarantine(what, reason, at_unix, data) VALUES(?, ?, ?, ?)",
                                         Text{what}, Text{reason}, static_cast<int64_t>(std::time(nullptr)),
                                         Blob{data.substr(0, kKeptQuarantineData)});
  if (!status.ok()) return status;
  return connection_->Run("DELETE FROM quarantine WHERE id <= ?", connection_->LastInsertId() - kKeptQuarantine);
}

}  // namespace ladder
