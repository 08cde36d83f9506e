// Opening: who may, where, which versions, and what becomes of a damaged file.
#include <sqlite3.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "server/storage/schema.h"
#include "tests/server/storage/store_fixture.h"

namespace ladder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As another program would.
void Sql(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
  sqlite3_free(error);
  sqlite3_close(database);
}

class StoreOpenTest : public StoreTest {
 protected:
  absl::Status OpenError() {
    store_.reset();
    return SqliteKernelStore::Open(options_).status();
  }
  std::vector<std::string> FilesLike(const std::string& part) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      const bool log = name.ends_with("-wal") || name.ends_with("-shm");  // goes where its database goes
      if (!log && name.find(part) != std::string::npos) found.push_back(name);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

TEST_F(StoreOpenTest, ASecondOwnerIsRefusedByName) {
  Open();
  const absl::Status status = SqliteKernelStore::Open(options_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the cache at " + options_.path + " is in use by process " + std::to_string(getpid()) + ";"));
  const pid_t child = fork();
  if (child == 0)
    _exit(SqliteKernelStore::Open(options_).status().code() == absl::StatusCode::kFailedPrecondition ? 7 : 1);
  int result = 0;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(WEXITSTATUS(result), 7);
  Open();  // once it is closed
}

TEST_F(StoreOpenTest, NetworkFileSystemsAreRefused) {
  const std::pair<int64_t, const char*> kinds[] = {
      {0x6969, "NFS"},      {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"}, {0x0bd00bd0, "Lustre"},
      {0x47504653, "GPFS"}, {0x00c36400, "CephFS"}, {0x01021997, "9P"},   {0x19830326, "BeeGFS"}};
  for (const auto& [magic, name] : kinds) {
    options_.filesystem_probe = [magic = magic](const std::string&) { return Filesystem{magic, ""}; };
    const absl::Status status = OpenError();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("network file system (" + std::string(name) + ")"));
  }
  constexpr int64_t kFuse = 0x65735546;
  for (const auto& [name, allowed] : {std::pair{"fuse.sshfs", false},
                                      {"fuse.rclone", false},
                                      {"", false},
                                      {"fuseblk", true},
                                      {"fuse.fuse-overlayfs", true}}) {
    EXPECT_EQ(CheckLocalFilesystem("/x",
                                   [name = name](const std::string&) {
                                     return Filesystem{kFuse, name};
                                   })
                  .ok(),
              allowed)
        << name;
  }
  EXPECT_FALSE(std::filesystem::exists(options_.path));
  for (const int64_t local : std::initializer_list<int64_t>{0xef53, 0x58465342, 0x9123683e, 0x01021994,
                                                            0x794c7630}) {  // ext, xfs, btrfs, tmpfs, overlay
    EXPECT_TRUE(CheckLocalFilesystem("/x", [local](const std::string&) { return Filesystem{local, ""}; }).ok());
  }
  EXPECT_TRUE(CheckLocalFilesystem(folder_.path(), nullptr).ok());
  EXPECT_FALSE(CheckLocalFilesystem("/nowhere/at/all", nullptr).ok());
}

TEST_F(StoreOpenTest, TheDefaultPathIsInTheUsersCacheFolder) {
  const char* home = getenv("HOME");
  const std::string saved = home == nullptr ? "" : home;
  setenv("XDG_CACHE_HOME", "/a/cache", 1);
  EXPECT_EQ(DefaultCachePath().value(), "/a/cache/ladder/cache.db");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(DefaultCachePath().value(), "/home/someone/.cache/ladder/cache.db");
  setenv("HOME", saved.c_str(), 1);
}

TEST_F(StoreOpenTest, BadPathsAreRefusedInOneSentence) {
  options_.path = folder_.path();
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("is a folder"));
  WriteFile(folder_ / "file", "x");
  options_.path = folder_ / "file/cache.db";
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("cannot be made"));
  options_.path = folder_ / "deep/er/cache.db";
  Open();
  options_.limit_bytes = -1;
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreOpenTest, ANewerSchemaIsRefusedAndUntouched) {
  Open();
  Close();
  Sql(options_.path, "PRAGMA user_version = 99");
  const absl::Status status = OpenError();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("schema version 99"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("knows version 1"));
  EXPECT_THAT(FilesLike("corrupt"), ElementsAre());
}

TEST_F(StoreOpenTest, AnotherProgramsDatabaseIsRefusedAndUntouched) {
  Sql(options_.path, "CREATE TABLE recipes(soup TEXT)");
  const absl::Status status = OpenError();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not a Ladder cache"));
  Sql(options_.path, "INSERT INTO recipes VALUES('leek')");
}

TEST_F(StoreOpenTest, MigrationsRunInOrderAfterABackup) {
  Open();
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  PutSample(*store_, record, SampleBinary(1));
  Close();
  const std::vector<Migration> migrations = {{2, "CREATE TABLE two(x); INSERT INTO two VALUES(2)"},
                                             {3, "CREATE TABLE three AS SELECT x + 1 AS x FROM two"}};
  auto connection = *sqlite::Connection::Open(options_.path, sqlite::Connection::Mode::kReadWrite, "");
  ASSERT_TRUE(PrepareSchema(*connection, 3, migrations).ok());
  EXPECT_EQ(connection->Number(0, "PRAGMA user_version").value(), 3);
  EXPECT_EQ(connection->Number(0, "SELECT x FROM three").value(), 3);
  ASSERT_TRUE(PrepareSchema(*connection, 3, migrations).ok());  // and not again
  connection.reset();
  ASSERT_THAT(FilesLike("backup"), ElementsAre("cache.db.backup-v1"));
  options_.path = folder_ / "cache.db.backup-v1";  // is a whole cache of the old version
  Open();
  EXPECT_TRUE(Has(record));
}

TEST_F(StoreOpenTest, AFailedMigrationIsUndone) {
  Open();
  Close();
  auto connection = *sqlite::Connection::Open(options_.path, sqlite::Connection::Mode::kReadWrite, "");
  const std::vector<Migration> broken = {{2, "CREATE TABLE two(x)"}, {3, "THIS IS NO SQL"}};
  const absl::Status status = PrepareSchema(*connection, 3, broken);
  EXPECT_THAT(std::string(status.message()), HasSubstr("schema version 3 failed and was undone"));
  EXPECT_EQ(connection->Number(0, "PRAGMA user_version").value(), 1);
  EXPECT_EQ(connection->Number(7, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'two'").value(), 0);
  EXPECT_THAT(std::string(PrepareSchema(*connection, 5, broken).message()), HasSubstr("failed and was undone"));
  const std::vector<Migration> gap = {{3, "CREATE TABLE three(x)"}};
  EXPECT_THAT(std::string(PrepareSchema(*connection, 3, gap).message()), HasSubstr("knows no way"));
}

TEST_F(StoreOpenTest, AFileThatIsNoDatabaseIsKeptAside) {
  const std::string garbage(8192, '?');
  WriteFile(options_.path, garbage);
  Open();
  PutSample(*store_, SampleRecord(8192, 16, SampleBinary(1)), SampleBinary(1));
  const std::vector<std::string> aside = FilesLike("corrupt");
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(ReadFile(folder_ / aside[0]), garbage);
  const auto entries = store_->Quarantined();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_THAT(entries->front().what, HasSubstr(aside[0]));
  EXPECT_EQ(store_->Stats()->totals.quarantined, 1);
}

TEST_F(StoreOpenTest, MissingTablesAndCutFilesAreKeptAside) {
  Open();
  for (int i = 1; i < 30; ++i) PutSample(*store_, SampleRecord(8192, i, SampleBinary(i)), SampleBinary(i));
  Close();
  std::filesystem::copy_file(options_.path, folder_ / "good");
  Sql(options_.path, "DROP TABLE meta");
  Open();
  EXPECT_EQ(FilesLike("corrupt").size(), 1u);
  EXPECT_EQ(store_->Stats()->totals.records, 0);
  Close();
  const std::string whole = ReadFile(folder_ / "good");
  for (const size_t size : {size_t{100}, size_t{4096}, size_t{12'000}, whole.size() / 2}) {
    WriteFile(options_.path, whole.substr(0, size));
    Open();
    const TuningRecord record = SampleRecord(8192, 3, SampleBinary(3));
    const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(record.key);
    ASSERT_TRUE(found.ok()) << found.status();
    if (*found) {
      EXPECT_EQ((*found)->winner().blob_sha256, record.winner().blob_sha256);
    }
    Close();
  }
}

TEST_F(StoreOpenTest, DamageSeenInUseIsCheckedAtTheNextOpen) {
  Open();
  for (int i = 1; i < 100; ++i) PutSample(*store_, SampleRecord(8192, i, SampleBinary(i)), SampleBinary(i));
  Close();
  std::string bytes = ReadFile(options_.path);
  for (size_t page = 20; page < bytes.size() / 4096; ++page)
    bytes.replace(page * 4096, 4096, std::string(4096, '\x5a'));
  WriteFile(options_.path, bytes);
  Open();
  for (int i = 1; i < 100; ++i) {
    const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(SampleRecord(8192, i, "").key);
    EXPECT_TRUE(found.ok()) << found.status();
  }
  EXPECT_GT(store_->Quarantined()->size(), 0u);
  Open();
  EXPECT_EQ(FilesLike(".corrupt-").size(), 1u);
  PutSample(*store_, SampleRecord(8192, 1, SampleBinary(1)), SampleBinary(1));
  EXPECT_TRUE(Has(SampleRecord(8192, 1, "")));
}

TEST_F(StoreOpenTest, AHundredThousandRecordsOpenQuickly) {
  Open();
  PutSample(*store_, SampleRecord(8192, 16, SampleBinary(1)), SampleBinary(1));
  Close();
  // Rows under made-up keys: opening reads none, so only their number matters.
  Sql(options_.path,
      "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
      "INSERT INTO records(key, generation, superseded, kind, op_hash, m, digest, record, trace) "
      "SELECT randomblob(32), n.i, 0, kind, op_hash, m, digest, zeroblob(300), x'' FROM n, records");
  const auto start = std::chrono::steady_clock::now();
  Open();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  RecordProperty("open_milliseconds", static_cast<int>(elapsed.count() * 1000));
  EXPECT_LT(elapsed.count(), 1.0);
  EXPECT_EQ(store_->Stats()->totals.records, 100'000);
  EXPECT_EQ(store_->Generation(), 100'000u);
  EXPECT_TRUE(Has(SampleRecord(8192, 16, "")));
}

}  // namespace
}  // namespace ladder
