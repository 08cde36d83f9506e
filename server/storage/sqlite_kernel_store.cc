// Look-ups and changes.
#include "server/storage/sqlite_kernel_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/digest.h"

namespace ladder {

namespace {
constexpr size_t kUsesPerWrite = 1024;
constexpr int kSeedsPerLookup = 16;
}  // namespace

// --- look-ups -------------------------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<const TuningRecord>> SqliteKernelStore::FindShared(const CacheKey& key) {
  lookups_.fetch_add(1, std::memory_order_relaxed);
  std::shared_ptr<const TuningRecord> record = hot_.Find(key.digest);
  if (record == nullptr) {
    const uint64_t epoch = hot_.Epoch();
    absl::StatusOr<std::optional<RecordRow>> row;
    {
      const std::lock_guard lock(read_mutex_);
      row = reader_->Current(key.digest);
    }
    if (!row.ok()) {
      if (!absl::IsDataLoss(row.status())) return row.status();
      NoteDamage(row.status());
      Remember(absl::StrCat("record ", key.digest), std::string(row.status().message()));
      return nullptr;
    }
    if (!*row) return nullptr;
    absl::StatusOr<std::shared_ptr<const TuningRecord>> decoded = Decode(**row);
    if (!decoded.ok()) return nullptr;
    if ((*decoded)->key != key) return nullptr;  // an index that points to another record
    record = *std::move(decoded);
    // A decoded record takes a few times the room of its bytes.
    hot_.Insert(key.digest, record, 1024 + 4 * ((*row)->record.size() + (*row)->trace.size()), epoch);
  }
  if (any_damaged_blob_.load(std::memory_order_relaxed) && NamesDamagedBlob(*record)) return nullptr;
  const std::string& binary = record->winner().blob_sha256;
  if (!binary.empty()) uses_.Touch(binary);
  hits_.fetch_add(1, std::memory_order_relaxed);
  return record;
}

absl::StatusOr<std::optional<TuningRecord>> SqliteKernelStore::Find(const CacheKey& key) {
  absl::StatusOr<std::shared_ptr<const TuningRecord>> record = FindShared(key);
  if (!record.ok()) return record.status();
  if (*record == nullptr) return std::nullopt;
  return **record;
}

absl::StatusOr<std::optional<TuningRecord>> SqliteKernelStore::FindAt(const CacheKey& key, uint64_t generation) {
  absl::StatusOr<std::shared_ptr<const TuningRecord>> current = FindShared(key);
  if (!current.ok()) return current.status();
  if (*current != nullptr && (*current)->generation <= generation) return **current;
  absl::StatusOr<std::optional<RecordRow>> row;
  {
    const std::lock_guard lock(read_mutex_);
    row = reader_->At(key.digest, generation);
  }
  if (absl::IsDataLoss(row.status())) {
    NoteDamage(row.status());
    return std::nullopt;
  }
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  const absl::StatusOr<std::shared_ptr<const TuningRecord>> record = Decode(**row);
  if (!record.ok() || (*record)->key != key || NamesDamagedBlob(**record)) return std::nullopt;
  return **record;
}

absl::StatusOr<std::vector<TuningRecord>> SqliteKernelStore::FindSeeds(const NormalizedOperator& op, int64_t m) {
  absl::StatusOr<std::vector<RecordRow>> rows;
  {
    const std::lock_guard lock(read_mutex_);
    rows = reader_->OfOperator(OperatorHash(op), m, kSeedsPerLookup);
  }
  std::vector<TuningRecord> seeds;
  if (absl::IsDataLoss(rows.status())) {
    NoteDamage(rows.status());
    return seeds;  // tuning goes on without
  }
  if (!rows.ok()) return rows.status();
  for (const RecordRow& row : *rows) {
    const absl::StatusOr<std::shared_ptr<const TuningRecord>> record = Decode(row);
    if (record.ok() && (*record)->op == op) seeds.push_back(**record);
  }
  return seeds;
}

absl::StatusOr<std::string> SqliteKernelStore::ReadBlob(const std::string& sha256) {
  absl::StatusOr<std::optional<std::string>> data;
  {
    const std::lock_guard lock(read_mutex_);
    data = reader_->BlobData(sha256);
  }
  const auto damaged = [&](const std::string& reason) {
    return absl::DataLossError(absl::StrCat("the binary ", sha256, " was damaged in the cache ", path_, " (", reason,
                                            ") and is quarantined: tune its operator again"));
  };
  if (!data.ok()) {
    if (!absl::IsDataLoss(data.status())) return data.status();
    NoteDamage(data.status());
    DropDamagedBlob(sha256, std::string(data.status().message()), "");
    return damaged("the database cannot be read there");
  }
  if (!*data) {
    return absl::NotFoundError(absl::StrCat("no binary ", sha256, " is in the cache ", path_,
                                            ": it may have been evicted; look its operator up again"));
  }
  {
    const std::lock_guard lock(damage_mutex_);
    if (checked_blobs_.contains(sha256)) {
      uses_.Touch(sha256);
      return **std::move(data);
    }
  }
  if (ToHex(Sha256(**data)) != sha256) {
    DropDamagedBlob(sha256, "its content has another digest", **data);
    return damaged("its content has another digest");
  }
  {
    const std::lock_guard lock(damage_mutex_);
    checked_blobs_.insert(sha256);
  }
  uses_.Touch(sha256);
  return **std::move(data);
}

absl::StatusOr<std::optional<std::string>> SqliteKernelStore::FindArtifact(const ArtifactKey& key) {
  absl::StatusOr<std::optional<std::string>> sha256;
  {
    const std::lock_guard lock(read_mutex_);
    sha256 = reader_->Artifact(key.digest);
  }
  if (!sha256.ok()) {
    if (!absl::IsDataLoss(sha256.status())) return sha256.status();
    const std::string what = absl::StrCat("artifact ", key.digest);
    if (!AlreadyKnown(what)) {
      const std::string reason(sha256.status().message());
      const absl::Status written = Write([&](StoreDatabase& database, Removed&) {
        if (absl::Status s = database.RemoveArtifact(key.digest); !s.ok()) return s;
        return database.AddQuarantine(what, reason, "");
      });
      if (!written.ok()) Remember(what, reason);
    }
    return std::nullopt;
  }
  if (!*sha256) return std::nullopt;
  absl::StatusOr<std::string> binary = ReadBlob(**sha256);
  if (binary.ok()) return *std::move(binary);
  if (absl::IsDataLoss(binary.status()) || absl::IsNotFound(binary.status())) return std::nullopt;
  return binary.status();
}

uint64_t SqliteKernelStore::Generation() { return generation_; }

void SqliteKernelStore::CountHits(int64_t records) {
  lookups_.fetch_add(records, std::memory_order_relaxed);
  hits_.fetch_add(records, std::memory_order_relaxed);
}

void SqliteKernelStore::NoteUse(const std::vector<std::string>& binaries) {
  for (const std::string& sha256 : binaries) uses_.Touch(sha256);
}

// --- changes --------------------------------------------------------------------------------------------------------

absl::Status SqliteKernelStore::Write(const std::function<absl::Status(StoreDatabase&, Removed&)>& change) {
  const std::lock_guard lock(write_mutex_);
  const int64_t bytes_before = blob_bytes_;
  given_generation_ = generation_;
  Removed removed;
  const absl::Status status = [&] {
    absl::StatusOr<sqlite::Transaction> transaction = sqlite::Transaction::Begin(writer_->connection());
    if (!transaction.ok()) return transaction.status();
    if (absl::Status s = WriteUses(*writer_, kUsesPerWrite); !s.ok()) return s;
    if (absl::Status s = change(*writer_, removed); !s.ok()) return s;
    return transaction->Commit();
  }();
  if (!status.ok()) {
    blob_bytes_ = bytes_before;
    NoteDamage(status);
    if (!absl::IsDataLoss(status)) return status;
    return absl::DataLossError(absl::StrCat(
        status.message(), ": restart this program, which then checks the file and sets it aside if need be"));
  }
  generation_ = given_generation_;
  for (const std::string& key : removed.keys) hot_.Erase(key);
  changes_.fetch_add(1, std::memory_order_acq_rel);
  if (removed.binaries > 0) {
    const std::lock_guard damage_lock(damage_mutex_);
    checked_blobs_.clear();  // a binary stored again is read again
  }
  return absl::OkStatus();
}

absl::Status SqliteKernelStore::WriteUses(StoreDatabase& database, size_t limit) {
  for (const auto& [sha256, time] : uses_.Take(limit)) {
    if (absl::Status s = database.SetUsed(sha256, time); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status SqliteKernelStore::FlushUses() {
  return Write([&](StoreDatabase& database, Removed&) { return WriteUses(database, SIZE_MAX); });
}

absl::StatusOr<std::vector<int64_t>> SqliteKernelStore::AddBinaries(StoreDatabase& database, const TuningRecord& record,
                                                                    const BinarySource& read_binary, int64_t& added,
                                                                    int64_t& added_bytes) {
  std::vector<int64_t> ids;
  for (const RankedKernel& kernel : record.ranked) {
    const std::string& sha256 = kernel.blob_sha256;
    if (sha256.empty()) continue;
    absl::StatusOr<std::optional<int64_t>> stored = database.BlobId(sha256);
    if (!stored.ok()) return stored.status();
    int64_t id = stored->value_or(0);
    bool whole = false;
    if (*stored) {
      const absl::StatusOr<bool> has_data = database.HasBlobData(id);
      if (!has_data.ok()) return has_data.status();
      whole = *has_data;
    }
    if (!whole) {
      absl::StatusOr<std::string> binary = read_binary(sha256);
      if (!binary.ok()) return binary.status();
      const int64_t size = static_cast<int64_t>(binary->size());
      if (options_.limit_bytes > 0 && size > options_.limit_bytes) {
        return absl::ResourceExhaustedError(absl::StrCat("a binary of ", size,
                                                         " bytes does not fit the cache's limit of ",
                                                         options_.limit_bytes, ": raise the limit"));
      }
      if (*stored) {  // damage took its content
        if (absl::Status s = database.SetBlobData(id, *binary); !s.ok()) return s;
      } else {
        absl::StatusOr<int64_t> inserted = database.AddBlob(sha256, *binary, uses_.Now());
        if (!inserted.ok()) return inserted.status();
        id = *inserted;
        ++added;
        added_bytes += size;
      }
    }
    if (*stored) {
      if (absl::Status s = database.SetUsed(sha256, uses_.Now()); !s.ok()) return s;
    }
    ids.push_back(id);
    if (!kernel.artifact.digest.empty()) {
      if (absl::Status s = database.SetArtifact(kernel.artifact.digest, sha256, id); !s.ok()) return s;
    }
  }
  return ids;
}

absl::StatusOr<uint64_t> SqliteKernelStore::Put(const TuningRecord& record,
                                                const std::map<std::string, std::string>& binaries) {
  for (const auto& [sha256, binary] : binaries) {
    if (ToHex(Sha256(binary)) != sha256) {
      return absl::InvalidArgumentError(absl::StrCat("binary ", sha256, ": its content has another digest"));
    }
  }
  const auto read_binary = [&](const std::string& sha256) -> absl::StatusOr<std::string> {
    const auto it = binaries.find(sha256);
    if (it != binaries.end()) return it->second;
    return absl::InvalidArgumentError(absl::StrCat("binary ", sha256, ": named by the record but not given"));
  };
  uint64_t generation = 0;
  const absl::Status status = Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    generation = given_generation_ = generation_ + 1;
    const absl::StatusOr<RecordRow> row = EncodeRecord(record, generation);
    if (!row.ok()) return row.status();
    int64_t added = 0;
    const absl::StatusOr<std::vector<int64_t>> ids = AddBinaries(database, record, read_binary, added, blob_bytes_);
    if (!ids.ok()) return ids.status();
    absl::StatusOr<Removed> trimmed = database.AddRecord(*row, record, *ids);
    if (!trimmed.ok()) return trimmed.status();
    removed += *trimmed;
    removed.keys.push_back(record.key.digest);
    blob_bytes_ -= trimmed->bytes;
    if (options_.limit_bytes > 0 && blob_bytes_ > options_.limit_bytes) {
      if (absl::Status s = WriteUses(database, SIZE_MAX); !s.ok()) return s;
      absl::StatusOr<Removed> evicted = database.Shrink(options_.limit_bytes, blob_bytes_, *ids);
      if (!evicted.ok()) return evicted.status();
      removed += *evicted;
      blob_bytes_ -= evicted->bytes;
    }
    if (absl::Status s = database.SetGeneration(static_cast<int64_t>(generation)); !s.ok()) return s;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return generation;
}

absl::Status SqliteKernelStore::PutArtifact(const ArtifactKey& key, const std::string& binary) {
  if (!FromHex(key.digest) || key.digest.size() != 64) {
    return absl::InvalidArgumentError("artifact key: is not a SHA-256 digest of 64 hex digits");
  }
  // As a record would name it, so that both take the same way.
  TuningRecord holder;
  holder.ranked.resize(1);
  holder.ranked[0].artifact = key;
  holder.ranked[0].blob_sha256 = ToHex(Sha256(binary));
  return Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    int64_t added = 0;
    const absl::StatusOr<std::vector<int64_t>> ids = AddBinaries(
        database, holder, [&](const std::string&) -> absl::StatusOr<std::string> { return binary; }, added,
        blob_bytes_);
    if (!ids.ok()) return ids.status();
    if (options_.limit_bytes == 0 || blob_bytes_ <= options_.limit_bytes) return absl::OkStatus();
    if (absl::Status s = WriteUses(database, SIZE_MAX); !s.ok()) return s;
    absl::StatusOr<Removed> evicted = database.Shrink(options_.limit_bytes, blob_bytes_, *ids);
    if (!evicted.ok()) return evicted.status();
    removed += *evicted;
    blob_bytes_ -= evicted->bytes;
    return absl::OkStatus();
  });
}

}  // namespace ladder
