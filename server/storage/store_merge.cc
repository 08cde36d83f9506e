// Records from elsewhere, all or none.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

int Standing(RecordKind kind) {
  switch (kind) {
    case RecordKind::kMeasured:
      return 3;
    case RecordKind::kFast:
      return 2;
    case RecordKind::kSeed:
      return 1;
  }
  return 0;
}

bool KeepsPlace(const TuningRecord& here, const TuningRecord& arriving,
                const std::function<bool(const TuningRecord&)>& is_current) {
  if (is_current != nullptr && here.kind != RecordKind::kSeed && arriving.kind != RecordKind::kSeed) {
    // A kernel of another compiler would turn hits into misses, however well it was measured.
    const bool serves = is_current(here);
    if (serves != is_current(arriving)) return serves;
  }
  if (Standing(here.kind) != Standing(arriving.kind)) return Standing(here.kind) > Standing(arriving.kind);
  return here.created_unix >= arriving.created_unix;
}

}  // namespace

absl::StatusOr<MergeOutcome> SqliteKernelStore::Merge(const RecordSource& next_record, const BinarySource& read_binary,
                                                      bool dry_run,
                                                      const std::function<bool(const TuningRecord&)>& is_current) {
  MergeOutcome outcome;
  const absl::Status only_tried = absl::CancelledError("dry run");
  const absl::Status status = Write([&](StoreDatabase& database, Removed& removed) -> absl::Status {
    while (true) {
      const absl::StatusOr<std::optional<TuningRecord>> next = next_record();
      if (!next.ok()) return next.status();
      if (!*next) break;
      const TuningRecord& record = **next;
      const absl::StatusOr<std::optional<RecordRow>> row = database.Current(record.key.digest);
      if (!row.ok()) return row.status();
      if (*row) {
        const absl::StatusOr<TuningRecord> here = DecodeRecord(**row);
        if (here.ok() && KeepsPlace(*here, record, is_current)) {
          ++outcome.skipped;
          continue;
        }
      }
      const absl::StatusOr<RecordRow> encoded = EncodeRecord(record, ++given_generation_);
      if (!encoded.ok()) return encoded.status();
      const absl::StatusOr<std::vector<int64_t>> ids =
          AddBinaries(database, record, read_binary, outcome.binaries, blob_bytes_);
      if (!ids.ok()) return ids.status();
      absl::StatusOr<Removed> trimmed = database.AddRecord(*encoded, record, *ids);
      if (!trimmed.ok()) return trimmed.status();
      removed += *trimmed;
      removed.keys.push_back(record.key.digest);
      blob_bytes_ -= trimmed->bytes;
      ++outcome.records;
    }
    if (options_.limit_bytes > 0 && blob_bytes_ > options_.limit_bytes) {
      if (absl::Status s = WriteUses(database, SIZE_MAX); !s.ok()) return s;
      absl::StatusOr<Removed> evicted = database.Shrink(options_.limit_bytes, blob_bytes_, {});
      if (!evicted.ok()) return evicted.status();
      outcome.evicted = *evicted;
      removed += *evicted;
      blob_bytes_ -= evicted->bytes;
    }
    if (absl::Status s = database.SetGeneration(static_cast<int64_t>(given_generation_)); !s.ok()) return s;
    return dry_run ? only_tried : absl::OkStatus();  // an error undoes it all
  });
  if (dry_run && status == only_tried) return outcome;
  if (!status.ok()) return status;
  return outcome;
}

}  // namespace ladder
