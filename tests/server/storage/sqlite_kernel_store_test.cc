// What a store promises as long as nothing breaks.
#include "server/storage/sqlite_kernel_store.h"

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "tests/server/storage/store_fixture.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;

std::string Wire(TuningRecord record, uint64_t generation) {
  record.generation = generation;
  return ToProto(record, TraceMode::kWithTrace).SerializeAsString();
}

RecordSource Each(std::vector<TuningRecord> records) {
  return [records = std::move(records), next = size_t{0}]() mutable -> absl::StatusOr<std::optional<TuningRecord>> {
    if (next == records.size()) return std::nullopt;
    return records[next++];
  };
}

TEST_F(StoreTest, StoresAndFindsAgain) {
  Open();
  const std::string binary = SampleBinary(1);
  const TuningRecord record = SampleRecord(8192, 16, binary);
  EXPECT_FALSE(Has(record));
  const uint64_t generation = PutSample(*store_, record, binary);
  EXPECT_EQ(generation, 1u);
  EXPECT_EQ(store_->Generation(), 1u);
  for (int round = 0; round < 2; ++round) {
    for (int again = 0; again < 2; ++again) {  // from the database, then from memory
      const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(record.key);
      ASSERT_TRUE(found.ok() && found->has_value());
      EXPECT_EQ(Wire(**found, 1), Wire(record, 1));
      EXPECT_EQ((*found)->generation, 1u);
    }
    const absl::StatusOr<std::string> blob = store_->ReadBlob(Sha256Hex(binary));
    ASSERT_TRUE(blob.ok()) << blob.status();
    EXPECT_EQ(*blob, binary);
    const absl::StatusOr<std::optional<std::string>> artifact = store_->FindArtifact(record.winner().artifact);
    ASSERT_TRUE(artifact.ok() && artifact->has_value());
    EXPECT_EQ(**artifact, binary);
    Open();
  }
  EXPECT_EQ(store_->Generation(), 1u);
}

TEST_F(StoreTest, MissesAreValues) {
  Open();
  EXPECT_EQ(store_->FindArtifact({Sha256Hex("none")}).value(), std::nullopt);
  EXPECT_EQ(store_->FindArtifact({""}).value(), std::nullopt);
  EXPECT_EQ(store_->Find({"not a digest"}).value(), std::nullopt);
  EXPECT_EQ(store_->FindShared({Sha256Hex("none")}).value(), nullptr);
  const absl::StatusOr<std::string> blob = store_->ReadBlob(Sha256Hex("none"));
  EXPECT_EQ(blob.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->FindSeeds(*Normalize(SampleDescriptor(64)), 1).value().empty());
}

TEST_F(StoreTest, RefusesWhatItCouldNotServe) {
  Open();
  const std::string binary = SampleBinary(1);
  TuningRecord record = SampleRecord(8192, 16, binary);
  absl::Status status = store_->Put(record, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("named by the record but not given"));
  status = store_->Put(record, {{Sha256Hex(binary), binary + "x"}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another digest"));
  record.ranked[0].launch.threads = 0;
  status = store_->Put(record, {{Sha256Hex(binary), binary}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("record.ranked[0].launch.threads"));
  EXPECT_FALSE(Has(record));
  EXPECT_EQ(store_->Stats()->totals.binaries, 0);
  EXPECT_EQ(store_->Generation(), 0u);
}

TEST_F(StoreTest, BinariesAreStoredOnceAndMayBeLeftOut) {
  Open();
  const std::string binary = SampleBinary(1);
  PutSample(*store_, SampleRecord(8192, 16, binary), binary);
  ASSERT_TRUE(store_->Put(SampleRecord(8192, 32, binary), {}).ok());
  const absl::StatusOr<StoreStats> stats = store_->Stats();
  EXPECT_EQ(stats->totals.records, 2);
  EXPECT_EQ(stats->totals.binaries, 1);
  EXPECT_EQ(stats->totals.binary_bytes, static_cast<int64_t>(binary.size()));
}

TEST_F(StoreTest, GenerationsRiseAndGiveOneView) {
  Open();
  std::vector<uint64_t> generations;
  const TuningRecord other = SampleRecord(64, 1, SampleBinary(100));
  PutSample(*store_, other, SampleBinary(100));
  for (int i = 0; i < 7; ++i) {
    generations.push_back(PutSample(*store_, SampleRecord(8192, 16, SampleBinary(i)), SampleBinary(i)));
    EXPECT_EQ(generations[i], static_cast<uint64_t>(i + 2));
  }
  for (int round = 0; round < 2; ++round) {
    const CacheKey key = SampleRecord(8192, 16, "").key;
    for (int i = 0; i < 7; ++i) {
      const absl::StatusOr<std::optional<TuningRecord>> record = store_->FindAt(key, generations[i]);
      ASSERT_TRUE(record.ok());
      ASSERT_EQ(record->has_value(), i >= 7 - 1 - kKeptGenerations) << i;
      if (!*record) continue;
      EXPECT_EQ((*record)->generation, generations[i]);
      EXPECT_EQ((*record)->winner().blob_sha256, Sha256Hex(SampleBinary(i)));
      EXPECT_TRUE(store_->ReadBlob((*record)->winner().blob_sha256).ok());
    }
    EXPECT_FALSE(store_->FindAt(key, 0)->has_value());
    EXPECT_EQ((*store_->FindAt(key, UINT64_MAX))->generation, generations.back());
    EXPECT_EQ(store_->Stats()->totals.records, 2);
    Open();
  }
}

TEST_F(StoreTest, GenerationsAreNeverGivenOutTwice) {
  Open();
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  PutSample(*store_, record, SampleBinary(1));
  PutSample(*store_, record, SampleBinary(1));
  ASSERT_TRUE(store_->Evict({.all = true}).ok());
  Open();
  EXPECT_EQ(PutSample(*store_, record, SampleBinary(1)), 3u);
}

TEST_F(StoreTest, SeedsAreOfTheSameOperatorAndNear) {
  Open();
  for (const int64_t m : {1, 8, 16, 32, 4096})
    PutSample(*store_, SampleRecord(8192, m, SampleBinary(m)), SampleBinary(m));
  PutSample(*store_, SampleRecord(4096, 16, SampleBinary(5)), SampleBinary(5));
  ASSERT_TRUE(store_->Put(SampleRecord(8192, 16, "", 3, "a100-80g"), {}).ok());
  const absl::StatusOr<std::vector<TuningRecord>> seeds = store_->FindSeeds(*Normalize(SampleDescriptor(8192)), 16);
  ASSERT_TRUE(seeds.ok());
  std::vector<int64_t> ms;
  for (const TuningRecord& seed : *seeds) {
    EXPECT_EQ(seed.op.n(), 8192);
    ms.push_back(seed.m);
  }
  EXPECT_THAT(ms, testing::ElementsAre(16, 16, 8, 32));
}

TEST_F(StoreTest, ArtifactsStandAlone) {
  Open();
  const std::string support = SampleBinary(9);
  const ArtifactKey key{Sha256Hex("support kernels")};
  ASSERT_TRUE(store_->PutArtifact(key, support).ok());
  ASSERT_TRUE(store_->PutArtifact(key, support).ok());
  Open();
  EXPECT_EQ(store_->FindArtifact(key)->value(), support);
  EXPECT_EQ(store_->Stats()->totals.binaries, 1);
  const std::string changed = SampleBinary(10);
  ASSERT_TRUE(store_->PutArtifact(key, changed).ok());
  EXPECT_EQ(store_->FindArtifact(key)->value(), changed);
  EXPECT_EQ(store_->PutArtifact({"short"}, support).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreTest, LeastRecentlyUsedGoFirst) {
  options_.limit_bytes = 10'000;  // three binaries of 3,000
  Open();
  std::vector<TuningRecord> records;
  for (int i = 0; i < 3; ++i) {
    records.push_back(SampleRecord(8192, i + 1, SampleBinary(i)));
    PutSample(*store_, records[i], SampleBinary(i));
  }
  EXPECT_TRUE(Has(records[0]));  // used after 1 and 2 were stored
  records.push_back(SampleRecord(8192, 4, SampleBinary(3)));
  PutSample(*store_, records[3], SampleBinary(3));
  EXPECT_FALSE(Has(records[1]));
  EXPECT_EQ(store_->ReadBlob(records[1].winner().blob_sha256).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->FindArtifact(records[1].winner().artifact).value(), std::nullopt);
  EXPECT_TRUE(Has(records[0]));
  EXPECT_TRUE(store_->ReadBlob(records[2].winner().blob_sha256).ok());  // a read is a use
  Open();                                                               // uses survive
  records.push_back(SampleRecord(8192, 5, SampleBinary(4)));
  PutSample(*store_, records[4], SampleBinary(4));
  EXPECT_FALSE(Has(records[3]));
  EXPECT_TRUE(Has(records[0]));
  EXPECT_TRUE(Has(records[2]));
  EXPECT_LE(store_->Stats()->totals.binary_bytes, options_.limit_bytes);
}

TEST_F(StoreTest, WhatIsTooBigForTheLimitIsRefused) {
  options_.limit_bytes = 10'000;
  Open();
  const TuningRecord small = SampleRecord(8192, 1, SampleBinary(1));
  PutSample(*store_, small, SampleBinary(1));
  const std::string big = SampleBinary(2, 10'001);
  const absl::Status status = store_->Put(SampleRecord(8192, 2, big), {{Sha256Hex(big), big}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("raise the limit"));
  EXPECT_TRUE(Has(small));
}

TEST_F(StoreTest, EvictsByKeyBySizeAndAll) {
  Open();
  std::vector<TuningRecord> records;
  for (int i = 0; i < 4; ++i) {
    records.push_back(SampleRecord(8192, i + 1, SampleBinary(i)));
    PutSample(*store_, records[i], SampleBinary(i));
  }
  absl::StatusOr<Removed> evicted = store_->Evict({.keys = {records[0].key.digest, Sha256Hex("unknown")}});
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(evicted->records, 1);
  EXPECT_EQ(evicted->binaries, 1);
  EXPECT_EQ(evicted->bytes, 3000);
  EXPECT_FALSE(Has(records[0]));
  EXPECT_TRUE(Has(records[1]));
  evicted = store_->Evict({.down_to_bytes = 6000});
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(evicted->records, 1);
  EXPECT_FALSE(Has(records[2]));  // the others were asked for since, or 1 just above
  evicted = store_->Evict({.all = true});
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(evicted->records, 2);
  EXPECT_EQ(evicted->bytes, 6000);
  for (const TuningRecord& record : records) EXPECT_FALSE(Has(record));
  EXPECT_EQ(store_->Stats()->totals.binary_bytes, 0);
  EXPECT_EQ(store_->Evict({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreTest, EvictionGivesTheRoomBack) {
  Open();
  for (int i = 0; i < 20; ++i) {
    const std::string binary = SampleBinary(i, 100'000);
    PutSample(*store_, SampleRecord(8192, i + 1, binary), binary);
  }
  Open();
  const int64_t before = store_->Stats()->file_bytes;
  ASSERT_TRUE(store_->Evict({.all = true}).ok());
  EXPECT_LT(store_->Stats()->file_bytes, before / 4);
}

TEST_F(StoreTest, SharedBinariesOutliveOneOfTheirRecords) {
  Open();
  const std::string binary = SampleBinary(1);
  const TuningRecord first = SampleRecord(8192, 16, binary), second = SampleRecord(8192, 32, binary);
  PutSample(*store_, first, binary);
  PutSample(*store_, second, binary);
  ASSERT_TRUE(store_->Evict({.keys = {first.key.digest}}).ok());
  EXPECT_TRUE(store_->ReadBlob(second.winner().blob_sha256).ok());
  ASSERT_TRUE(store_->Evict({.keys = {second.key.digest}}).ok());
  EXPECT_EQ(store_->ReadBlob(second.winner().blob_sha256).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, ListsAndFindsByPrefix) {
  Open();
  std::set<std::string> keys;
  for (int i = 1; i <= 300; ++i) {  // more than a page
    const TuningRecord record = SampleRecord(8192, i, "", 0);
    keys.insert(record.key.digest);
    ASSERT_TRUE(store_->Put(record, {}).ok());
  }
  std::set<std::string> listed;
  ASSERT_TRUE(
      store_->ForEach([&](const TuningRecord& record) { return listed.insert(record.key.digest).second; }).ok());
  EXPECT_EQ(listed, keys);
  const std::string key = *keys.begin();
  for (const size_t length : {64, 33, 12}) {
    const absl::StatusOr<std::vector<TuningRecord>> found = store_->FindByPrefix(key.substr(0, length), 10);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ(found->front().key.digest, key);
  }
  EXPECT_EQ(store_->FindByPrefix("", 10)->size(), 10u);
  EXPECT_EQ(store_->FindByPrefix("zz", 10)->size(), 0u);
}

TEST_F(StoreTest, StatsCount) {
  Open();
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  Has(record);
  PutSample(*store_, record, SampleBinary(1));
  ASSERT_TRUE(store_->Put(SampleRecord(8192, 32, ""), {}).ok());
  Has(record);
  const absl::StatusOr<StoreStats> stats = store_->Stats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->path, options_.path);
  EXPECT_EQ(stats->totals.records, 2);
  EXPECT_EQ(stats->totals.seeds, 1);
  EXPECT_EQ(stats->totals.binaries, 1);
  EXPECT_EQ(stats->lookups, 2);
  EXPECT_EQ(stats->hits, 1);
  EXPECT_GT(stats->file_bytes, 0);
  EXPECT_EQ(stats->limit_bytes, int64_t{2} << 30);
  EXPECT_EQ(stats->schema_version, 1);
  EXPECT_EQ(stats->generation, 2u);
}

TEST_F(StoreTest, VerifyFindsNothingWrong) {
  Open();
  PutSample(*store_, SampleRecord(8192, 16, SampleBinary(1)), SampleBinary(1));
  ASSERT_TRUE(store_->PutArtifact({Sha256Hex("support")}, SampleBinary(2)).ok());
  const absl::StatusOr<VerifyReport> report = store_->Verify();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->records, 1);
  EXPECT_EQ(report->binaries, 2);
  EXPECT_THAT(report->problems, testing::IsEmpty());
}

TEST_F(StoreTest, AReportedBinaryIsQuarantinedWithItsRecords) {
  Open();
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  PutSample(*store_, record, SampleBinary(1));
  EXPECT_TRUE(Has(record));
  ASSERT_TRUE(store_->QuarantineBlob(record.winner().blob_sha256, "wrong results on GPU 3").ok());
  EXPECT_FALSE(Has(record));
  EXPECT_EQ(store_->FindArtifact(record.winner().artifact).value(), std::nullopt);
  const absl::StatusOr<std::vector<QuarantineEntry>> entries = store_->Quarantined();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().reason, "wrong results on GPU 3");
  EXPECT_THAT(entries->front().what, HasSubstr(record.winner().blob_sha256));
  EXPECT_EQ(store_->QuarantineBlob(Sha256Hex("none"), "x").code(), absl::StatusCode::kNotFound);
  PutSample(*store_, record, SampleBinary(1));  // tuned anew, it may come back
  EXPECT_TRUE(Has(record));
  EXPECT_TRUE(store_->ReadBlob(record.winner().blob_sha256).ok());
}

TEST_F(StoreTest, OnlyItsUserMayReadOrWriteIt) {
  Open();
  PutSample(*store_, SampleRecord(8192, 16, SampleBinary(1)), SampleBinary(1));
  for (const char* suffix : {"", "-wal", ".lock"}) {
    struct stat info = {};
    ASSERT_EQ(stat((options_.path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(StoreTest, MergeKeepsTheBetterThenTheNewer) {
  Open();
  const std::string binary = SampleBinary(1), other = SampleBinary(2);
  const auto give = [&](const std::string& sha256) -> absl::StatusOr<std::string> {
    return sha256 == Sha256Hex(other) ? other : binary;
  };
  TuningRecord record = SampleRecord(8192, 16, binary);
  PutSample(*store_, record, binary);
  TuningRecord newer_seed = SampleRecord(8192, 16, "");
  newer_seed.created_unix = record.created_unix + 100;
  TuningRecord older = SampleRecord(8192, 16, other);
  older.created_unix = record.created_unix - 1;
  TuningRecord fresh = SampleRecord(8192, 32, other);
  absl::StatusOr<MergeOutcome> outcome = store_->Merge(Each({newer_seed, older, fresh}), give, /*dry_run=*/true);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->records, 1);
  EXPECT_EQ(outcome->skipped, 2);
  EXPECT_FALSE(Has(fresh));
  EXPECT_EQ(store_->Stats()->totals.binaries, 1);
  EXPECT_EQ(store_->Generation(), 1u);
  outcome = store_->Merge(Each({newer_seed, older, fresh}), give, /*dry_run=*/false);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->records, 1);
  EXPECT_EQ(outcome->binaries, 1);
  EXPECT_TRUE(Has(fresh));
  EXPECT_EQ((*store_->Find(record.key))->winner().blob_sha256, Sha256Hex(binary));
  TuningRecord newer = SampleRecord(8192, 16, other);
  newer.created_unix = record.created_unix + 1;
  ASSERT_TRUE(store_->Merge(Each({newer}), give, false).ok());
  EXPECT_EQ((*store_->Find(record.key))->winner().blob_sha256, Sha256Hex(other));
  EXPECT_EQ(store_->Generation(), 3u);
}

TEST_F(StoreTest, MergeIsAllOrNothing) {
  Open();
  const std::string binary = SampleBinary(1);
  const TuningRecord good = SampleRecord(8192, 16, binary), bad = SampleRecord(8192, 32, SampleBinary(2));
  const auto give = [&](const std::string& sha256) -> absl::StatusOr<std::string> {
    if (sha256 == Sha256Hex(binary)) return binary;
    return absl::InvalidArgumentError("no such binary");
  };
  EXPECT_FALSE(store_->Merge(Each({good, bad}), give, false).ok());
  EXPECT_FALSE(Has(good));
  EXPECT_EQ(store_->Stats()->totals.binaries, 0);
  EXPECT_EQ(store_->Stats()->totals.records, 0);
}

TEST_F(StoreTest, ThreadsSeeWholeRecords) {
  options_.limit_bytes = 40'000;  // with evictions under way
  options_.hot_bytes = 200'000;
  Open();
  std::atomic<bool> stop = false;
  std::atomic<int> found = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      for (int i = t; !stop; ++i) {
        const CacheKey key = SampleRecord(8192, i % 20 + 1, "").key;
        const absl::StatusOr<std::optional<TuningRecord>> record = store_->Find(key);
        ASSERT_TRUE(record.ok()) << record.status();
        if (!*record) continue;
        ASSERT_EQ((*record)->key, key);
        const absl::StatusOr<std::string> blob = store_->ReadBlob((*record)->winner().blob_sha256);
        if (blob.ok()) {
          ASSERT_EQ(Sha256Hex(*blob), (*record)->winner().blob_sha256);
        } else {
          ASSERT_EQ(blob.status().code(), absl::StatusCode::kNotFound) << blob.status();  // evicted meanwhile
        }
        ++found;
      }
    });
  }
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string binary = SampleBinary(i % 30);
    const uint64_t generation = PutSample(*store_, SampleRecord(8192, i % 20 + 1, binary), binary);
    EXPECT_GT(generation, last);
    last = generation;
    const absl::StatusOr<std::optional<TuningRecord>> record = store_->Find(SampleRecord(8192, i % 20 + 1, "").key);
    ASSERT_TRUE(record.ok() && record->has_value());
    EXPECT_EQ((*record)->generation, generation);  // a writer sees its own write
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(found, 0);
}

TEST_F(StoreTest, WritersShareTheGenerations) {
  Open();
  std::vector<std::vector<uint64_t>> given(4);
  std::vector<std::thread> writers;
  for (size_t t = 0; t < given.size(); ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 15; ++i) {
        const std::string binary = SampleBinary(t * 100 + i);
        given[t].push_back(PutSample(*store_, SampleRecord(8192, i % 3 + 1, binary), binary));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  std::set<uint64_t> all;
  for (const std::vector<uint64_t>& one : given) all.insert(one.begin(), one.end());
  EXPECT_EQ(all.size(), 60u);
  EXPECT_EQ(*all.rbegin(), 60u);
  EXPECT_EQ(store_->Generation(), 60u);
}

TEST_F(StoreTest, LookUpsTakeMicroseconds) {
  Open();
  const std::string binary = SampleBinary(1);
  std::vector<CacheKey> keys;
  for (int i = 1; i <= 200; ++i) {
    const TuningRecord record = SampleRecord(8192, i, binary, 16);
    PutSample(*store_, record, binary);
    keys.push_back(record.key);
  }
  const auto rate = [&](const auto& look_up, int rounds) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) look_up(keys[i % keys.size()]);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    return rounds / elapsed.count();
  };
  Open();
  const double cold = rate([&](const CacheKey& key) { ASSERT_TRUE(store_->Find(key)->has_value()); }, 200);
  const double copied = rate([&](const CacheKey& key) { ASSERT_TRUE(store_->Find(key)->has_value()); }, 50'000);
  const double shared = rate([&](const CacheKey& key) { ASSERT_NE(*store_->FindShared(key), nullptr); }, 200'000);
  RecordProperty("cold_lookups_per_second", static_cast<int>(cold));
  RecordProperty("lookups_per_second", static_cast<int>(copied));
  RecordProperty("shared_lookups_per_second", static_cast<int>(shared));
  // A tenth of what an idle machine does: the tests run beside others, and with sanitizers.
#if defined(__SANITIZE_THREAD__)
  constexpr double kInstrumented = 4;  // every access of memory is a call: 19,000 copied a second beside another build
#else
  constexpr double kInstrumented = 1;
#endif
  EXPECT_GT(copied, 20'000 / kInstrumented);
  EXPECT_GT(shared, 50'000 / kInstrumented);
}

}  // namespace
}  // namespace ladder
