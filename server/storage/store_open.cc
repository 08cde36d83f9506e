// Opening, moving a damaged database aside, closing.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/schema.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

// mmap off: an I/O error in mapped pages is a signal, not an error. secure_delete off: Debian compiles it on, and there
// is nothing secret here.
constexpr char kWriterSettings[] = R"sql(
PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = OFF;
PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;
PRAGMA journal_size_limit = 67108864;
)sql";
constexpr char kReaderSettings[] =
    "PRAGMA mmap_size = 0; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; "
    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768;";

std::string DamageMarker(const std::string& path) { return absl::StrCat(path, ".damaged"); }

// A database that was seen to be damaged while in use is checked as a whole.
absl::Status CheckIfMarked(sqlite::Connection& connection) {
  if (access(DamageMarker(connection.path()).c_str(), F_OK) != 0) return absl::OkStatus();
  absl::StatusOr<sqlite::Cursor> check = connection.Query("PRAGMA integrity_check(1)");
  if (!check.ok()) return check.status();
  const absl::StatusOr<bool> row = check->Next();
  if (!row.ok()) return row.status();
  if (!*row || check->Bytes(0) != "ok") {
    return absl::DataLossError(absl::StrCat("the cache ", connection.path(), " is damaged (",
                                            *row ? check->Bytes(0) : absl::string_view("no answer"), ")"));
  }
  unlink(DamageMarker(connection.path()).c_str());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteKernelStore>> SqliteKernelStore::Open(const SqliteStoreOptions& options) {
  std::string wanted = options.path;
  if (wanted.empty()) {
    absl::StatusOr<std::string> usual = DefaultCachePath();
    if (!usual.ok()) return usual.status();
    wanted = *std::move(usual);
  }
  if (options.limit_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit_bytes: ", options.limit_bytes, " is negative; 0 means no limit"));
  }
  const absl::StatusOr<std::string> path = PrepareCachePath(wanted);
  if (!path.ok()) return path.status();
  const std::string folder = std::filesystem::path(*path).parent_path().string();
  if (absl::Status s = CheckLocalFilesystem(folder, options.filesystem_probe); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<CacheLock>> lock = CacheLock::Acquire(*path);
  if (!lock.ok()) return lock.status();
  std::unique_ptr<SqliteKernelStore> store(new SqliteKernelStore(options, *path, *std::move(lock)));
  if (absl::Status s = store->Start(); !s.ok()) return s;
  return store;
}

SqliteKernelStore::SqliteKernelStore(const SqliteStoreOptions& options, std::string path,
                                     std::unique_ptr<CacheLock> lock)
    : options_(options), path_(std::move(path)), lock_(std::move(lock)), hot_(options.hot_bytes) {}

SqliteKernelStore::~SqliteKernelStore() {
  if (writer_ != nullptr) FlushUses().IgnoreError();  // only the order of evictions suffers
}

absl::Status SqliteKernelStore::Start() {
  // Made here, so that only its user can change what will run on the GPU. SQLite gives the log the same permissions.
  const int created = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (created < 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the cache ", path_, " cannot be opened for writing: check its permissions or choose another path"));
  }
  close(created);
  absl::Status status = OpenDatabases();
  if (status.code() != absl::StatusCode::kDataLoss) return status;
  return MoveAside(status);
}

absl::Status SqliteKernelStore::OpenDatabases() {
  using sqlite::Connection;
  absl::StatusOr<std::unique_ptr<Connection>> writer =
      Connection::Open(path_, Connection::Mode::kReadWrite, options_.vfs);
  if (!writer.ok()) return writer.status();
  if (absl::Status s = (*writer)->Execute(kWriterSettings); !s.ok()) return s;
  if (absl::Status s = PrepareSchema(**writer, kSchemaVersion, Migrations()); !s.ok()) return s;
  if (absl::Status s = CheckSchema(**writer); !s.ok()) return s;
  if (absl::Status s = CheckIfMarked(**writer); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Connection>> reader =
      Connection::Open(path_, Connection::Mode::kReadOnly, options_.vfs);
  if (!reader.ok()) return reader.status();
  if (absl::Status s = (*reader)->Execute(kReaderSettings); !s.ok()) return s;
  auto database = std::make_unique<StoreDatabase>(*std::move(writer));
  const absl::StatusOr<int64_t> generation = database->Generation();
  const absl::StatusOr<int64_t> newest = database->NewestUse();
  const absl::StatusOr<StoreTotals> totals = database->Totals();
  for (const absl::Status& s : {generation.status(), newest.status(), totals.status()}) {
    // A table that is gone is damage as well: SQLite only says that the statement makes no sense.
    if (absl::IsInternal(s)) return absl::DataLossError(s.message());
    if (!s.ok()) return s;
  }
  generation_ = static_cast<uint64_t>(*generation);
  uses_.StartAfter(*newest);
  blob_bytes_ = totals->binary_bytes;
  writer_ = std::move(database);
  reader_ = std::make_unique<StoreDatabase>(*std::move(reader));
  return absl::OkStatus();
}

absl::Status SqliteKernelStore::MoveAside(const absl::Status& reason) {
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  std::strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
  const std::string base = absl::StrCat(path_, ".corrupt-", time);
  std::string aside = base;
  for (int i = 2; access(aside.c_str(), F_OK) == 0; ++i) aside = absl::StrCat(base, "-", i);
  if (std::rename(path_.c_str(), aside.c_str()) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(reason.message(), ", and it cannot be renamed to ", aside,
                                                      ": move it away to start a fresh cache"));
  }
  // The log belongs to that file and must not be replayed into the new one.
  for (const char* suffix : {"-wal", "-shm"}) {
    std::rename(absl::StrCat(path_, suffix).c_str(), absl::StrCat(aside, suffix).c_str());
  }
  unlink(DamageMarker(path_).c_str());
  if (absl::Status s = OpenDatabases(); !s.ok()) return s;
  Remember(absl::StrCat("database ", aside), std::string(reason.message()));
  return absl::OkStatus();
}

void SqliteKernelStore::NoteDamage(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kDataLoss) return;
  std::ofstream(DamageMarker(path_)) << status.message() << "\n";
}

}  // namespace ladder
