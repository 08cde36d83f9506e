#include "server/storage/schema.h"

#include <unistd.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

// records holds every key's current record and, superseded, up to four former ones, so that a look-up at a generation
// sees what was current then. The small columns come first: counting and searching must not read the big ones.
constexpr char kTables[] = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('generation', 0);

CREATE TABLE blobs(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
                   last_used INTEGER NOT NULL);
CREATE INDEX blobs_by_use ON blobs(last_used);
CREATE TABLE blob_data(id INTEGER PRIMARY KEY REFERENCES blobs(id) ON DELETE CASCADE, data BLOB NOT NULL);

CREATE TABLE records(id INTEGER PRIMARY KEY, key BLOB NOT NULL, generation INTEGER NOT NULL,
                     superseded INTEGER NOT NULL, kind INTEGER NOT NULL, op_hash INTEGER NOT NULL, m INTEGER NOT NULL,
                     digest BLOB NOT NULL, record BLOB NOT NULL, trace BLOB NOT NULL, UNIQUE(key, generation));
CREATE UNIQUE INDEX records_current ON records(key) WHERE superseded = 0;
CREATE INDEX records_by_operator ON records(op_hash, m, kind) WHERE superseded = 0;

CREATE TABLE blob_refs(record_id INTEGER NOT NULL REFERENCES records(id) ON DELETE CASCADE,
                       blob_id INTEGER NOT NULL REFERENCES blobs(id), PRIMARY KEY(record_id, blob_id)) WITHOUT ROWID;
CREATE INDEX blob_refs_by_blob ON blob_refs(blob_id);

CREATE TABLE artifacts(key BLOB PRIMARY KEY, blob_id INTEGER NOT NULL REFERENCES blobs(id) ON DELETE CASCADE,
                       digest BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX artifacts_by_blob ON artifacts(blob_id);

CREATE TABLE quarantine(id INTEGER PRIMARY KEY, what TEXT NOT NULL, reason TEXT NOT NULL, at_unix INTEGER NOT NULL,
                        data BLOB NOT NULL);
)sql";

// A name that is free, so that a backup never replaces another.
std::string BackupPath(const std::string& path, int64_t version) {
  const std::string base = absl::StrCat(path, ".backup-v", version);
  std::string candidate = base;
  for (int i = 2; access(candidate.c_str(), F_OK) == 0; ++i) candidate = absl::StrCat(base, "-", i);
  return candidate;
}

absl::Status CreateTables(sqlite::Connection& connection, int version) {
  // Takes effect only before the first table: freed pages can go back to the file system after an eviction.
  if (absl::Status s = connection.Execute("PRAGMA auto_vacuum = INCREMENTAL"); !s.ok()) return s;
  if (absl::Status s = connection.Execute("PRAGMA journal_mode = WAL"); !s.ok()) return s;
  return connection.Execute(absl::StrCat("BEGIN IMMEDIATE; PRAGMA application_id = ", kApplicationId,
                                         "; PRAGMA user_version = ", version, ";", kTables, "COMMIT;"));
}

absl::Status Migrate(sqlite::Connection& connection, int64_t from, int to, std::span<const Migration> migrations) {
  const std::string backup = BackupPath(connection.path(), from);
  if (absl::Status s = connection.Run("VACUUM INTO ?", sqlite::Text{backup}); !s.ok()) {
    return absl::Status(
        s.code(), absl::StrCat("no backup before the change to schema version ", to, " could be written to ", backup,
                               ", so nothing was changed: ", s.message()));
  }
  absl::StatusOr<sqlite::Transaction> transaction = sqlite::Transaction::Begin(connection);
  if (!transaction.ok()) return transaction.status();
  int64_t version = from;
  for (const Migration& migration : migrations) {
    if (migration.to != version + 1) continue;
    if (absl::Status s = connection.Execute(migration.sql); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat("the change to schema version ", migration.to,
                                                 " failed and was undone (", s.message(), "); the backup is ", backup));
    }
    version = migration.to;
  }
  if (version != to) {
    return absl::FailedPreconditionError(absl::StrCat("the cache ", connection.path(), " has schema version ", from,
                                                      ", and this program knows no way to ", "version ", to,
                                                      ": move the file away to start a new cache"));
  }
  if (absl::Status s = connection.Execute(absl::StrCat("PRAGMA user_version = ", to)); !s.ok()) return s;
  return transaction->Commit();
}

// What the tables and indexes are said to be, without what is only layout.
absl::StatusOr<std::string> Description(sqlite::Connection& connection) {
  absl::StatusOr<sqlite::Cursor> cursor =
      connection.Query("SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema ORDER BY type, name");
  if (!cursor.ok()) return cursor.status();
  std::string text;
  while (true) {
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    if (!*row) return text;
    for (int column = 0; column < 4; ++column) absl::StrAppend(&text, cursor->Bytes(column), "\n");
    absl::RemoveExtraAsciiWhitespace(&text);
  }
}

}  // namespace

absl::Status CheckSchema(sqlite::Connection& connection) {
  absl::StatusOr<std::unique_ptr<sqlite::Connection>> fresh =
      sqlite::Connection::Open(":memory:", sqlite::Connection::Mode::kReadWrite, "");
  if (!fresh.ok()) return fresh.status();
  if (absl::Status s = CreateTables(**fresh, kSchemaVersion); !s.ok()) return s;
  const absl::StatusOr<std::string> wanted = Description(**fresh);
  if (!wanted.ok()) return wanted.status();
  const absl::StatusOr<std::string> found = Description(connection);
  if (!found.ok()) return found.status();
  if (*found == *wanted) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the cache ", connection.path(), " is damaged (its tables are not described as they were made)"));
}

std::span<const Migration> Migrations() { return {}; }

absl::Status PrepareSchema(sqlite::Connection& connection, int wanted, std::span<const Migration> migrations) {
  const absl::StatusOr<int64_t> objects = connection.Number(0, "SELECT COUNT(*) FROM sqlite_schema");
  if (!objects.ok()) return objects.status();
  const absl::StatusOr<int64_t> application = connection.Number(0, "PRAGMA application_id");
  if (!application.ok()) return application.status();
  const absl::StatusOr<int64_t> version = connection.Number(0, "PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*objects == 0) return CreateTables(connection, wanted);
  if (*application != kApplicationId) {
    return absl::FailedPreconditionError(absl::StrCat("the file ", connection.path(),
                                                      " is a database of another program, not a Ladder cache: choose "
                                                      "another path for the cache"));
  }
  if (*version > wanted) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the cache ", connection.path(), " has schema version ", *version, ", made by a newer Ladder; this one (",
        LADDER_VERSION, ") knows version ", wanted, ": use the newer program or another cache path"));
  }
  if (*version < wanted) {
    if (absl::Status s = Migrate(connection, *version, wanted, migrations); !s.ok()) return s;
  }
  return connection.Execute("PRAGMA journal_mode = WAL");
}

}  // namespace ladder
