// A thin, typed skin over SQLite's C interface: connections with cached prepared statements, cursors, transactions.
#ifndef LADDER_SERVER_STORAGE_SQLITE_H_
#define LADDER_SERVER_STORAGE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ladder::sqlite {

// Arguments of a statement besides int64_t. They must outlive the cursor.
struct Blob {
  absl::string_view bytes;
};
struct Text {
  absl::string_view characters;
};

// What a result code means to a caller: ResourceExhausted for a full disk, DataLoss for a damaged file, Unavailable for
// I/O errors and locks, FailedPrecondition for a file that can't be opened or written, Internal for the rest.
absl::Status ToStatus(int code, absl::string_view detail, absl::string_view path);

// Rows of a running statement; resets it when it goes.
class Cursor {
 public:
  Cursor(sqlite3_stmt* statement, absl::string_view path) : statement_(statement), path_(path) {}
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  // Whether there is another row.
  absl::StatusOr<bool> Next();
  int64_t Int(int column) const;
  // Valid until the next call of Next.
  absl::string_view Bytes(int column) const;

 private:
  sqlite3_stmt* statement_;
  absl::string_view path_;
};

// Not thread-safe. No cursor outlives its connection, and a statement has one cursor at a time.
class Connection {
 public:
  enum class Mode { kReadWrite, kReadOnly };
  // `vfs` names a registered SQLite VFS; empty: the system's.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, Mode mode, const std::string& vfs);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Several statements without arguments or results.
  absl::Status Execute(const std::string& sql);
  // `sql` must be a literal: statements are kept by its address.
  template <typename... Arguments>
  absl::StatusOr<Cursor> Query(const char* sql, const Arguments&... arguments) {
    absl::StatusOr<sqlite3_stmt*> statement = Prepared(sql);
    if (!statement.ok()) return statement.status();
    int index = 0;
    (Bind(*statement, ++index, arguments), ...);
    return Cursor(*statement, path_);
  }
  // A statement without results.
  template <typename... Arguments>
  absl::Status Run(const char* sql, const Arguments&... arguments) {
    absl::StatusOr<Cursor> cursor = Query(sql, arguments...);
    if (!cursor.ok()) return cursor.status();
    return cursor->Next().status();
  }
  // The first column of the first row, or `missing`.
  template <typename... Arguments>
  absl::StatusOr<int64_t> Number(int64_t missing, const char* sql, const Arguments&... arguments) {
    absl::StatusOr<Cursor> cursor = Query(sql, arguments...);
    if (!cursor.ok()) return cursor.status();
    const absl::StatusOr<bool> row = cursor->Next();
    if (!row.ok()) return row.status();
    return *row ? cursor->Int(0) : missing;
  }
  int64_t LastInsertId() const;
  int64_t Changes() const;
  const std::string& path() const { return path_; }

 private:
  Connection(sqlite3* handle, const std::string& path) : handle_(handle), path_(path) {}
  absl::StatusOr<sqlite3_stmt*> Prepared(const char* sql);
  static void Bind(sqlite3_stmt* statement, int index, int64_t value);
  static void Bind(sqlite3_stmt* statement, int index, Blob value);
  static void Bind(sqlite3_stmt* statement, int index, Text value);

  sqlite3* handle_;
  std::string path_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

// Rolled back unless committed.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Connection& connection);
  Transaction(Transaction&& other) noexcept : connection_(other.connection_) { other.connection_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  absl::Status Commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace ladder::sqlite

#endif  // LADDER_SERVER_STORAGE_SQLITE_H_
