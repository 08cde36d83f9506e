// A store in a folder of its own.
#ifndef LADDER_TESTS_SERVER_STORAGE_STORE_FIXTURE_H_
#define LADDER_TESTS_SERVER_STORAGE_STORE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/storage/sqlite_kernel_store.h"
#include "tests/server/storage/sample_records.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {

inline uint64_t PutSample(KernelStore& store, const TuningRecord& record, const std::string& binary) {
  const absl::StatusOr<uint64_t> generation = store.Put(record, {{Sha256Hex(binary), binary}});
  EXPECT_TRUE(generation.ok()) << generation.status();
  return generation.value_or(0);
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() { options_.path = folder_ / "cache.db"; }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  // Another process: nothing in memory, the log folded in.
  void Close() { store_.reset(); }

  bool Has(const TuningRecord& record) {
    const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(record.key);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && found->has_value();
  }

  TemporaryFolder folder_;
  SqliteStoreOptions options_;
  std::unique_ptr<SqliteKernelStore> store_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_STORAGE_STORE_FIXTURE_H_
