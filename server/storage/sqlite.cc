#include "server/storage/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace ladder::sqlite {

absl::Status ToStatus(int code, absl::string_view detail, absl::string_view path) {
  switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return absl::OkStatus();
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat("the disk that holds the cache ", path,
                                                       " is full: free some space or lower the cache's size limit; "
                                                       "what is stored stays and look-ups go on"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:  // no statement of ours breaks one unless rows and indexes contradict each other
      return absl::DataLossError(absl::StrCat("the cache ", path, " is damaged (", detail, ")"));
    case SQLITE_IOERR:
    case SQLITE_NOLFS:
      return absl::UnavailableError(
          absl::StrCat("reading or writing the cache ", path, " failed (", detail, "): check the disk and try again"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(
          absl::StrCat("the cache ", path, " is locked by another program: close it and try again"));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::FailedPreconditionError(absl::StrCat("the cache ", path, " cannot be opened for writing (", detail,
                                                        "): check its permissions or choose another path"));
    default:
      return absl::InternalError(absl::StrCat("cache ", path, ": SQLite error ", code, " (", detail, ")"));
  }
}

namespace {

absl::Status StatementStatus(int code, sqlite3_stmt* statement, absl::string_view path) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return absl::OkStatus();
  return ToStatus(code, sqlite3_errmsg(sqlite3_db_handle(statement)), path);
}

}  // namespace

Cursor::Cursor(Cursor&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), path_(other.path_) {}

Cursor::~Cursor() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);  // bound bytes may go away now
}

absl::StatusOr<bool> Cursor::Next() {
  const int code = sqlite3_step(statement_);
  if (absl::Status status = StatementStatus(code, statement_, path_); !status.ok()) return status;
  return code == SQLITE_ROW;
}

int64_t Cursor::Int(int column) const { return sqlite3_column_int64(statement_, column); }

absl::string_view Cursor::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? absl::string_view() : absl::string_view(static_cast<const char*>(data), size);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, Mode mode,
                                                             const std::string& vfs) {
  // One thread at a time uses a connection, so SQLite need not lock it again.
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) {
    absl::Status status = ToStatus(code, handle == nullptr ? "out of memory" : sqlite3_errmsg(handle), path);
    sqlite3_close(handle);
    return status;
  }
  sqlite3_busy_timeout(handle, 5000);
  return std::unique_ptr<Connection>(new Connection(handle, path));
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

absl::Status Connection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  return ToStatus(code, sqlite3_errmsg(handle_), path_);
}

absl::StatusOr<sqlite3_stmt*> Connection::Prepared(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) {
      absl::Status status = ToStatus(code, sqlite3_errmsg(handle_), path_);
      statements_.erase(sql);
      return status;
    }
  }
  return statement;
}

void Connection::Bind(sqlite3_stmt* statement, int index, int64_t value) {
  sqlite3_bind_int64(statement, index, value);
}
void Connection::Bind(sqlite3_stmt* statement, int index, Blob value) {
  // A null pointer would bind NULL, which is not an empty blob.
  sqlite3_bind_blob64(statement, index, value.bytes.empty() ? "" : value.bytes.data(), value.bytes.size(),
                      SQLITE_STATIC);
}
void Connection::Bind(sqlite3_stmt* statement, int index, Text value) {
  sqlite3_bind_text64(statement, index, value.characters.empty() ? "" : value.characters.data(),
                      value.characters.size(), SQLITE_STATIC, SQLITE_UTF8);
}

int64_t Connection::LastInsertId() const { return sqlite3_last_insert_rowid(handle_); }
int64_t Connection::Changes() const { return sqlite3_changes64(handle_); }

absl::StatusOr<Transaction> Transaction::Begin(Connection& connection) {
  if (absl::Status status = connection.Run("BEGIN IMMEDIATE"); !status.ok()) return status;
  return Transaction(connection);
}

Transaction::~Transaction() {
  // After some errors SQLite has rolled back itself; a second ROLLBACK then says so and changes nothing.
  if (connection_ != nullptr) connection_->Run("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  if (absl::Status status = connection_->Run("COMMIT"); !status.ok()) return status;
  connection_ = nullptr;
  return absl::OkStatus();
}

}  // namespace ladder::sqlite
