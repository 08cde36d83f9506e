// What a store keeps when bits flip and disks fill up.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "server/storage/digest.h"
#include "tests/server/storage/failing_vfs.h"
#include "tests/server/storage/store_fixture.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Long() { return std::getenv("LADDER_LONG") != nullptr; }

class StoreFaultTest : public StoreTest {
 protected:
  void Fill(int records) {
    Open();
    for (int i = 1; i <= records; ++i) PutSample(*store_, SampleRecord(8192, i, SampleBinary(i)), SampleBinary(i));
    Close();
  }
  // Every record and binary is right or absent, whatever happened to the file.
  void ExpectNothingWrong(int records) {
    for (int i = 1; i <= records; ++i) {
      const std::string binary = SampleBinary(i);
      const TuningRecord record = SampleRecord(8192, i, binary);
      const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(record.key);
      if (found.ok() && *found) {
        EXPECT_EQ((*found)->winner().blob_sha256, record.winner().blob_sha256);
        EXPECT_EQ((*found)->winner().candidate, record.winner().candidate);
        EXPECT_EQ((*found)->winner().launch, record.winner().launch);
      }
      const absl::StatusOr<std::string> blob = store_->ReadBlob(record.winner().blob_sha256);
      if (blob.ok()) {
        EXPECT_EQ(*blob, binary);
      }
      const absl::StatusOr<std::optional<std::string>> artifact = store_->FindArtifact(record.winner().artifact);
      if (artifact.ok() && *artifact) {
        EXPECT_EQ(**artifact, binary);
      }
    }
  }
  // By another program, beside the store.
  void Sql(const std::string& sql) {
    auto connection = *sqlite::Connection::Open(options_.path, sqlite::Connection::Mode::kReadWrite, "");
    ASSERT_TRUE(connection->Execute(sql).ok());
  }
  bool Serves(int i) {
    const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(SampleRecord(8192, i, "").key);
    return found.ok() && *found && store_->ReadBlob((*found)->winner().blob_sha256).ok();
  }
  // What was lost is stored again by whoever needs it, at the latest after a restart; then all is as it was. Gives the
  // number of records that were lost.
  int ExpectItRebuildsItself(int records) {
    const auto missing = [&] {
      int count = 0;
      for (int i = 1; i <= records; ++i) count += Serves(i) ? 0 : 1;
      return count;
    };
    const int lost = missing();
    // A key that was hit in an index is a miss like any other until the file is read as a whole.
    if (lost > 0 && store_->Quarantined()->empty()) {
      const absl::StatusOr<VerifyReport> report = store_->Verify();
      EXPECT_TRUE(report.ok() && !report->problems.empty()) << lost << " records are gone and nothing tells of it";
    }
    const auto restore = [&] {
      for (int i = 1; i <= records; ++i) {
        const std::string binary = SampleBinary(i);
        if (!Serves(i)) (void)store_->Put(SampleRecord(8192, i, binary), {{Sha256Hex(binary), binary}});
      }
    };
    restore();
    if (missing() > 0) {
      Open();
      restore();
      EXPECT_EQ(missing(), 0) << "can't be stored again";
    }
    ExpectNothingWrong(records);
    return lost;
  }
};

TEST_F(StoreFaultTest, ADamagedRowIsAMissAndToldOnce) {
  Fill(3);
  std::string bytes = ReadFile(options_.path);
  const std::string digest = SampleRecord(8192, 2, SampleBinary(2)).winner().blob_sha256;
  for (size_t at = bytes.find(digest); at != std::string::npos; at = bytes.find(digest, at + 1)) {
    bytes[at] = bytes[at] == '0' ? '1' : '0';  // still a digest, but of nothing
  }
  WriteFile(options_.path, bytes);
  Open();
  for (int again = 0; again < 3; ++again) {
    EXPECT_TRUE(Has(SampleRecord(8192, 1, "")));
    EXPECT_FALSE(Has(SampleRecord(8192, 2, "")));
    EXPECT_TRUE(Has(SampleRecord(8192, 3, "")));
  }
  ASSERT_EQ(store_->Quarantined()->size(), 1u);
  EXPECT_THAT(store_->Quarantined()->front().what, HasSubstr(SampleRecord(8192, 2, "").key.digest));
  EXPECT_THAT(store_->Quarantined()->front().reason, HasSubstr("do not match their digest"));
  EXPECT_EQ(store_->Stats()->totals.quarantined, 1);
  PutSample(*store_, SampleRecord(8192, 2, SampleBinary(2)), SampleBinary(2));
  EXPECT_TRUE(Has(SampleRecord(8192, 2, "")));
}

TEST_F(StoreFaultTest, ADamagedBinaryIsLostWithItsRecords) {
  Fill(3);
  std::string bytes = ReadFile(options_.path);
  ASSERT_GT(FlipEverywhere(bytes, SampleBinary(2).substr(1000, 32)), 0);
  WriteFile(options_.path, bytes);
  const TuningRecord damaged = SampleRecord(8192, 2, SampleBinary(2));
  Open();
  EXPECT_TRUE(Has(damaged));  // not read yet
  const absl::Status status = store_->ReadBlob(damaged.winner().blob_sha256).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("tune its operator again"));
  EXPECT_FALSE(Has(damaged));
  EXPECT_EQ(store_->FindArtifact(damaged.winner().artifact).value(), std::nullopt);
  EXPECT_EQ(store_->ReadBlob(damaged.winner().blob_sha256).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->ReadBlob(SampleRecord(8192, 1, SampleBinary(1)).winner().blob_sha256).ok());
  EXPECT_EQ(store_->Quarantined()->size(), 1u);
}

TEST_F(StoreFaultTest, ABinaryWithoutContentIsToldAndStoredAgain) {
  Fill(2);
  const std::string binary = SampleBinary(1);
  const TuningRecord damaged = SampleRecord(8192, 1, binary);
  const std::string take_content =
      "DELETE FROM blob_data WHERE id = (SELECT id FROM blobs WHERE sha256 = x'" + damaged.winner().blob_sha256 + "')";
  Sql(take_content);
  Open();
  // Stored again before anybody read it, and after.
  for (int again = 0; again < 2; ++again) {
    PutSample(*store_, damaged, binary);
    EXPECT_EQ(store_->ReadBlob(damaged.winner().blob_sha256).value(), binary);
    Sql(take_content);
    EXPECT_EQ(store_->ReadBlob(damaged.winner().blob_sha256).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_FALSE(Has(damaged));
  }
  EXPECT_THAT(store_->Quarantined()->front().reason, HasSubstr("its content is gone"));
  EXPECT_TRUE(store_->ReadBlob(SampleRecord(8192, 2, SampleBinary(2)).winner().blob_sha256).ok());
}

TEST_F(StoreFaultTest, TablesThatAreDescribedOtherwiseAreSetAside) {
  Fill(1);
  std::string bytes = ReadFile(options_.path);
  ASSERT_EQ(FlipEverywhere(bytes, "digest BLOB NOT NULL, record"), 1);  // a column of another name
  WriteFile(options_.path, bytes);
  Open();
  EXPECT_FALSE(Has(SampleRecord(8192, 1, SampleBinary(1))));
  ASSERT_EQ(store_->Quarantined()->size(), 1u);
  EXPECT_THAT(store_->Quarantined()->front().reason, HasSubstr("not described as they were made"));
  PutSample(*store_, SampleRecord(8192, 1, SampleBinary(1)), SampleBinary(1));
  EXPECT_TRUE(Has(SampleRecord(8192, 1, SampleBinary(1))));
}

TEST_F(StoreFaultTest, VerifyFindsDamageBeforeItIsAskedFor) {
  Fill(3);
  std::string bytes = ReadFile(options_.path);
  ASSERT_GT(FlipEverywhere(bytes, SampleBinary(2).substr(1000, 32)), 0);
  ASSERT_GT(FlipEverywhere(bytes, SampleRecord(8192, 3, SampleBinary(3)).winner().blob_sha256), 0);
  WriteFile(options_.path, bytes);
  Open();
  const absl::StatusOr<VerifyReport> report = store_->Verify();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->records, 3);
  EXPECT_EQ(report->binaries, 3);
  EXPECT_EQ(report->problems.size(), 2u);
  EXPECT_FALSE(Has(SampleRecord(8192, 2, "")));
  EXPECT_FALSE(Has(SampleRecord(8192, 3, "")));
  EXPECT_THAT(store_->Verify()->problems, IsEmpty());  // what was bad is gone
}

TEST_F(StoreFaultTest, FlippedBitsAreNeverServed) {
  constexpr int kRecords = 6;
  Fill(kRecords);
  const std::string whole = ReadFile(options_.path);
  std::mt19937_64 random(11);
  const int rounds = Long() ? 10'000 : 200;
  int lost = 0;
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = whole;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      const size_t bit = random() % (bytes.size() * 8);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
    WriteFile(options_.path, bytes);
    absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options_);
    if (store.ok()) {
      store_ = *std::move(store);
      ExpectNothingWrong(kRecords);
      lost += ExpectItRebuildsItself(kRecords);
    } else {
      // The version or the application's mark was hit: refused in words, and the file is as it was.
      ++refused;
      EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition) << store.status();
    }
    Close();
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) std::filesystem::remove(entry.path());
    if (HasFailure()) FAIL() << "in round " << round;
  }
  std::printf(
      "%d damaged databases, %d of them not taken for one of ours: no wrong byte served, %d of %d records lost, "
      "told and stored again\n",
      rounds, refused, lost, (rounds - refused) * kRecords);
  EXPECT_GT(lost, 0);
}

// Every write of an operation fails once, in turn. Nothing stored is lost, look-ups go on, and afterwards all is well.
void FailEachWrite(SqliteStoreOptions options, FailingVfs::Kind kind, absl::StatusCode expected) {
  FailingVfs vfs;
  options.vfs = FailingVfs::kName;
  const TuningRecord first = SampleRecord(8192, 1, SampleBinary(1));
  std::unique_ptr<SqliteKernelStore> store = *SqliteKernelStore::Open(options);
  PutSample(*store, first, SampleBinary(1));
  int failures = 0;
  for (int write = 0;; ++write) {
    const std::string binary = SampleBinary(100 + write, 30'000);
    const TuningRecord record = SampleRecord(8192, 2 + write, binary);
    vfs.FailAfter(write, kind);
    const absl::StatusOr<uint64_t> put = store->Put(record, {{Sha256Hex(binary), binary}});
    const bool struck = vfs.Heal();
    ASSERT_TRUE(store->Find(first.key)->has_value());
    ASSERT_EQ(store->ReadBlob(first.winner().blob_sha256).value(), SampleBinary(1));
    if (!put.ok()) {
      ++failures;
      EXPECT_EQ(put.status().code(), expected) << put.status();
      EXPECT_FALSE(store->Find(record.key)->has_value());
      // As soon as there is room again, it works, in the same process.
      ASSERT_TRUE(store->Put(record, {{Sha256Hex(binary), binary}}).ok());
    }
    ASSERT_TRUE(store->Find(record.key)->has_value());
    ASSERT_EQ(store->ReadBlob(record.winner().blob_sha256).value(), binary);
    if (!struck) break;  // the operation has no more writes than that
  }
  EXPECT_GT(failures, 3);
  store.reset();
  options.vfs.clear();
  store = *SqliteKernelStore::Open(options);
  EXPECT_THAT(store->Verify()->problems, IsEmpty());
  EXPECT_TRUE(store->Find(first.key)->has_value());
}

TEST_F(StoreFaultTest, AFullDiskAtAnyWriteLosesNothing) {
  FailEachWrite(options_, FailingVfs::Kind::kFull, absl::StatusCode::kResourceExhausted);
}

TEST_F(StoreFaultTest, AnIoErrorAtAnyWriteLosesNothing) {
  FailEachWrite(options_, FailingVfs::Kind::kIoError, absl::StatusCode::kUnavailable);
}

TEST_F(StoreFaultTest, AFullDiskIsSaidInOneSentence) {
  FailingVfs vfs;
  options_.vfs = FailingVfs::kName;
  Open();
  const std::string binary = SampleBinary(1);
  vfs.FailAfter(0, FailingVfs::Kind::kFull);
  const absl::Status status = store_->Put(SampleRecord(8192, 1, binary), {{Sha256Hex(binary), binary}}).status();
  vfs.Heal();
  EXPECT_EQ(std::string(status.message()),
            "the disk that holds the cache " + options_.path +
                " is full: free some space or lower the cache's size limit; what is stored stays and look-ups go on");
  Close();
}

TEST_F(StoreFaultTest, DamageOnAFullDiskIsStillAMiss) {
  Fill(2);
  std::string bytes = ReadFile(options_.path);
  ASSERT_GT(FlipEverywhere(bytes, SampleBinary(2).substr(1000, 32)), 0);
  WriteFile(options_.path, bytes);
  FailingVfs vfs;
  options_.vfs = FailingVfs::kName;
  Open();
  vfs.FailAfter(0, FailingVfs::Kind::kFull);
  const TuningRecord damaged = SampleRecord(8192, 2, SampleBinary(2));
  EXPECT_EQ(store_->ReadBlob(damaged.winner().blob_sha256).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(Has(damaged));
  EXPECT_EQ(store_->Quarantined()->size(), 1u);
  vfs.Heal();
  Close();
}

}  // namespace
}  // namespace ladder
