// The rows of the store: one function per thing that is done to them. Knows neither threads nor caches nor limits.
#ifndef LADDER_SERVER_STORAGE_STORE_DATABASE_H_
#define LADDER_SERVER_STORAGE_STORE_DATABASE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/store/keys.h"
#include "core/tuning/tuning_record.h"
#include "server/storage/record_codec.h"
#include "server/storage/sqlite.h"

namespace ladder {

inline constexpr int kKeptGenerations = 4;  // superseded ones, per key

struct StoreTotals {
  int64_t records = 0, seeds = 0;
  int64_t binaries = 0, binary_bytes = 0;
  int64_t quarantined = 0;
};

struct Removed {
  int64_t records = 0, binaries = 0, bytes = 0;
  std::vector<std::string> keys;  // of the removed records, hex
  Removed& operator+=(const Removed& other);
};

// Not thread-safe. Digests and keys are hex in arguments; a text that is no digest is simply not found. Functions that
// change rows want a transaction around them.
class StoreDatabase {
 public:
  explicit StoreDatabase(std::unique_ptr<sqlite::Connection> connection) : connection_(std::move(connection)) {}
  sqlite::Connection& connection() { return *connection_; }

  // Rows are unchecked; DecodeRecord checks.
  absl::StatusOr<std::optional<RecordRow>> Current(const std::string& key);
  absl::StatusOr<std::optional<RecordRow>> At(const std::string& key, uint64_t generation);
  // Current rows in the order of their ids, after `after_id`; returns the last id given, 0 at the end.
  absl::StatusOr<int64_t> Page(int64_t after_id, int limit, std::vector<RecordRow>& rows);
  // Current rows of an operator for a quarter to four times m, the nearest first.
  absl::StatusOr<std::vector<RecordRow>> OfOperator(int64_t op_hash, int64_t m, int limit);
  absl::StatusOr<std::vector<std::string>> KeysWithPrefix(const std::string& hex_prefix, int limit);

  absl::StatusOr<int64_t> Generation();
  absl::Status SetGeneration(int64_t generation);
  absl::StatusOr<StoreTotals> Totals();

  // The blob's row id, if it is stored.
  absl::StatusOr<std::optional<int64_t>> BlobId(const std::string& sha256);
  // DataLoss for one that is listed and has no content.
  absl::StatusOr<std::optional<std::string>> BlobData(const std::string& sha256);
  // REQUIRES: sha256 is the content's, and it isn't stored.
  absl::StatusOr<int64_t> AddBlob(const std::string& sha256, absl::string_view data, int64_t now);
  absl::StatusOr<bool> HasBlobData(int64_t blob_id);
  absl::Status SetBlobData(int64_t blob_id, absl::string_view data);
  absl::Status SetUsed(const std::string& sha256, int64_t time);
  absl::StatusOr<int64_t> NewestUse();
  absl::Status SetArtifact(const std::string& key, const std::string& sha256, int64_t blob_id);
  // The blob that an artifact key stands for. DataLoss if the row doesn't match its digest.
  absl::StatusOr<std::optional<std::string>> Artifact(const std::string& key);
  absl::Status RemoveArtifact(const std::string& key);

  // Makes the row the key's current one, keeps kKeptGenerations former ones. Blobs by their row ids.
  absl::StatusOr<Removed> AddRecord(const RecordRow& row, const TuningRecord& record,
                                    const std::vector<int64_t>& blobs);
  // Every generation of a key, and the binaries that nothing else refers to.
  absl::StatusOr<Removed> RemoveRecord(const std::string& key);
  // A binary with all records and artifacts that need it.
  absl::StatusOr<Removed> RemoveBlob(int64_t blob_id);
  // Least recently used binaries until the rest is at most `bytes`, but never those in `keep`. `total` is what is
  // stored.
  absl::StatusOr<Removed> Shrink(int64_t bytes, int64_t total, const std::vector<int64_t>& keep);

  // Keeps the data beside the reason; the oldest entries beyond a few hundred go.
  absl::Status AddQuarantine(absl::string_view what, absl::string_view reason, absl::string_view data);

 private:
  absl::StatusOr<std::vector<int64_t>> Ids(absl::StatusOr<sqlite::Cursor> cursor);
  absl::StatusOr<Removed> RemoveRow(int64_t record_id);
  // Removes a blob if neither record nor, unless they are to go with it, artifact refers to it.
  absl::StatusOr<Removed> RemoveIfUnused(int64_t blob_id, bool with_artifacts);

  std::unique_ptr<sqlite::Connection> connection_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_STORE_DATABASE_H_
