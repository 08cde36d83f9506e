// What was acknowledged is there after the process was killed or the power went, wherever that happened.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/storage/bundle.h"
#include "server/storage/digest.h"
#include "server/storage/schema.h"
#include "tests/server/storage/failing_vfs.h"
#include "tests/server/storage/power_loss_vfs.h"
#include "tests/server/storage/store_fixture.h"

namespace ladder {
namespace {

using ::testing::IsEmpty;

bool Long() { return std::getenv("LADDER_LONG") != nullptr; }

std::string BinaryOf(uint32_t id) { return SampleBinary(id, 500 + id * 37 % 20'000); }

constexpr uint32_t kKeys = 40;     // M of the records that are put and evicted: 1 to this
constexpr uint32_t kImported = 6;  // and M of those in the bundle, from here on
constexpr uint32_t kFirstImported = 100;

ByteReader From(const std::string& bytes) {
  return [&bytes, given = false]() mutable -> absl::StatusOr<std::string> {
    if (std::exchange(given, true)) return std::string();
    return bytes;
  };
}

// One step of a store's life, by its number alone, so that the parent knows what the child did.
struct Step {
  enum class Kind : uint8_t { kPut, kEvict, kShrink, kImport } kind;
  uint32_t m = 0;
  explicit Step(uint32_t id) : m(id * 7919 % kKeys + 1) {
    const uint32_t die = id * 2654435761u >> 24;  // 0 to 255
    kind = die < 160 ? Kind::kPut : die < 205 ? Kind::kEvict : die < 225 ? Kind::kShrink : Kind::kImport;
  }
  absl::Status Do(SqliteKernelStore& store, uint32_t id, const std::string& bundle) const {
    switch (kind) {
      case Kind::kPut: {
        const std::string binary = BinaryOf(id);
        return store.Put(SampleRecord(8192, m, binary), {{Sha256Hex(binary), binary}}).status();
      }
      case Kind::kEvict:
        return store.Evict({.keys = {SampleRecord(8192, m, "").key.digest}}).status();
      case Kind::kShrink:
        return store.Evict({.down_to_bytes = 100'000}).status();
      case Kind::kImport:
        return ImportBundle(store, {}, From(bundle)).status();
    }
    return absl::InternalError("no such step");
  }
};

class StoreCrashTest : public StoreTest {
 protected:
  // An export signed with this cache's own key, made before anything else happens.
  std::string MakeBundle() {
    Open();
    for (uint32_t i = 0; i < kImported; ++i) {
      const std::string binary = BinaryOf(1'000'000 + i);
      PutSample(*store_, SampleRecord(8192, kFirstImported + i, binary), binary);
    }
    std::string bundle;
    EXPECT_TRUE(ExportBundle(*store_, {}, [&](absl::string_view bytes) {
                  bundle.append(bytes.data(), bytes.size());
                  return absl::OkStatus();
                }).ok());
    EXPECT_TRUE(store_->Evict({.all = true}).ok());
    Close();
    return bundle;
  }

  // What the store must hold, as far as the acknowledged steps say.
  struct Expected {
    std::map<uint32_t, uint32_t> put;  // the id whose binary is stored, by M
    std::set<uint32_t> gone;
    std::optional<bool> imported = false;  // nothing: who knows
    void Acknowledge(uint32_t id) {
      const Step step(id);
      if (step.kind == Step::Kind::kPut) {
        put[step.m] = id;
        gone.erase(step.m);
      } else if (step.kind == Step::Kind::kEvict) {
        put.erase(step.m);
        gone.insert(step.m);
      } else if (step.kind == Step::Kind::kShrink) {
        put.clear();  // may be gone, needn't
        imported = std::nullopt;
      } else {
        imported = true;
      }
    }
  };

  std::optional<uint32_t> IdOf(uint32_t m, const std::vector<uint32_t>& candidates) {
    const absl::StatusOr<std::optional<TuningRecord>> found = store_->Find(SampleRecord(8192, m, "").key);
    EXPECT_TRUE(found.ok()) << found.status();
    if (!found.ok() || !found->has_value()) return std::nullopt;
    const std::string sha256 = (*found)->winner().blob_sha256;
    EXPECT_TRUE(store_->ReadBlob(sha256).ok()) << "M " << m;
    for (const uint32_t id : candidates) {
      if (Sha256Hex(BinaryOf(id)) == sha256) return id;
    }
    ADD_FAILURE() << "M " << m << " has a binary that was never stored for it";
    return std::nullopt;
  }

  // `begun`: a step that may have happened or not.
  void Check(const Expected& expected, std::optional<uint32_t> begun) {
    const Step step(begun.value_or(0));
    const auto doing = [&](Step::Kind kind) { return begun.has_value() && step.kind == kind; };
    const bool putting_or_evicting = doing(Step::Kind::kPut) || doing(Step::Kind::kEvict);
    for (const auto& [m, id] : expected.put) {
      const bool touched = putting_or_evicting && step.m == m;
      std::vector<uint32_t> candidates = {id};
      if (touched) candidates.push_back(*begun);
      const bool may_be_gone = doing(Step::Kind::kShrink) || (touched && doing(Step::Kind::kEvict));
      EXPECT_TRUE(IdOf(m, candidates).has_value() || may_be_gone) << "M " << m << " of step " << id << " is lost";
    }
    for (const uint32_t m : expected.gone) {
      if (putting_or_evicting && step.m == m) continue;
      EXPECT_EQ(IdOf(m, {}), std::nullopt) << "M " << m << " came back";
    }
    uint32_t imported = 0;
    for (uint32_t i = 0; i < kImported; ++i) imported += IdOf(kFirstImported + i, {1'000'000 + i}).has_value() ? 1 : 0;
    if (expected.imported.has_value() && doing(Step::Kind::kImport)) {
      EXPECT_TRUE(imported == 0 || imported == kImported) << imported << " of " << kImported;  // all or nothing
    } else if (expected.imported.has_value() && !doing(Step::Kind::kShrink)) {
      EXPECT_EQ(imported, *expected.imported ? kImported : 0u);
    }
    EXPECT_THAT(store_->Verify()->problems, IsEmpty());
    EXPECT_THAT(*store_->Quarantined(), IsEmpty());
  }
};

TEST_F(StoreCrashTest, AKillWhileWritingEvictingOrImportingLosesNothingAcknowledged) {
  const std::string bundle = MakeBundle();
  std::mt19937_64 random(5);
  const int kills = Long() ? 1000 : 50;
  int acknowledged = 0;
  std::map<Step::Kind, int> hit;
  Expected expected;
  uint32_t next = 1;
  for (int round = 0; round < kills; ++round) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(channel[0]);
      absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options_);
      if (!store.ok()) _exit(1);
      for (uint32_t id = next;; ++id) {
        // Said before and after: the last word is a step that was begun.
        if (write(channel[1], &id, sizeof id) != sizeof id) _exit(3);
        if (!Step(id).Do(**store, id, bundle).ok()) _exit(2);
        if (write(channel[1], &id, sizeof id) != sizeof id) _exit(3);
      }
    }
    close(channel[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(3'000 + random() % 40'000));
    kill(child, SIGKILL);
    int result = 0;
    ASSERT_EQ(waitpid(child, &result, 0), child);
    ASSERT_TRUE(WIFSIGNALED(result)) << "the child ended by itself with " << WEXITSTATUS(result);
    std::optional<uint32_t> begun;
    for (uint32_t id = 0; read(channel[0], &id, sizeof id) == sizeof id;) {
      if (begun == id) {
        expected.Acknowledge(id);
        ++acknowledged;
        begun.reset();
      } else {
        begun = id;
      }
      next = id + 1;
    }
    close(channel[0]);
    if (begun.has_value()) ++hit[Step(*begun).kind];
    Open();
    Check(expected, begun);
    if (HasFailure()) FAIL() << "in round " << round;
    // What the broken step left is found out by looking, from here on.
    if (begun.has_value()) {
      ASSERT_TRUE(Step(*begun).Do(*store_, *begun, bundle).ok());
      expected.Acknowledge(*begun);
    }
    Close();
  }
  std::printf("%d kills (%d putting, %d evicting, %d shrinking, %d importing), %d acknowledged steps, none lost\n",
              kills, hit[Step::Kind::kPut], hit[Step::Kind::kEvict], hit[Step::Kind::kShrink], hit[Step::Kind::kImport],
              acknowledged);
  // That the kills struck a store at work; on a machine that does much else, few lives come far.
  EXPECT_GT(acknowledged, kills / 2);
  EXPECT_GT(hit[Step::Kind::kPut] + hit[Step::Kind::kEvict] + hit[Step::Kind::kShrink] + hit[Step::Kind::kImport],
            kills / 4);
}

TEST_F(StoreCrashTest, AKillWhileMigratingLeavesTheOldVersionOrTheNew) {
  Open();
  constexpr int kRecords = 30;
  for (int i = 1; i <= kRecords; ++i) PutSample(*store_, SampleRecord(8192, i, BinaryOf(i)), BinaryOf(i));
  Close();
  const std::string whole = ReadFile(options_.path);
  const std::vector<Migration> migrations = {
      {2, "CREATE TABLE copy AS SELECT * FROM blob_data; UPDATE records SET record = record"},
      {3, "CREATE INDEX copy_by_id ON copy(id); DROP TABLE copy"}};
  const auto migrate = [&]() -> absl::Status {
    absl::StatusOr<std::unique_ptr<sqlite::Connection>> connection =
        sqlite::Connection::Open(options_.path, sqlite::Connection::Mode::kReadWrite, "");
    return connection.ok() ? PrepareSchema(**connection, 3, migrations) : connection.status();
  };
  const auto reset = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) std::filesystem::remove(entry.path());
    WriteFile(options_.path, whole);
  };
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(migrate().ok());
  auto usual_us = static_cast<uint64_t>(absl::ToInt64Microseconds(absl::Now() - begin));
  std::mt19937_64 random(6);
  const int kills = Long() ? 1000 : 50;
  int old_version = 0;
  for (int round = 0; round < kills;) {
    reset();
    const pid_t child = fork();
    if (child == 0) _exit(migrate().ok() ? 0 : 1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % usual_us));
    kill(child, SIGKILL);
    int result = 0;
    ASSERT_EQ(waitpid(child, &result, 0), child);
    if (WIFEXITED(result)) {  // it was done before: no kill, and the next one comes sooner
      ASSERT_EQ(WEXITSTATUS(result), 0);
      usual_us = std::max<uint64_t>(1000, usual_us - usual_us / 10);
      continue;
    }
    ++round;
    auto connection = *sqlite::Connection::Open(options_.path, sqlite::Connection::Mode::kReadWrite, "");
    const int64_t version = connection->Number(0, "PRAGMA user_version").value();
    ASSERT_TRUE(version == 1 || version == 3) << version;
    old_version += version == 1 ? 1 : 0;
    ASSERT_TRUE(PrepareSchema(*connection, 3, migrations).ok());
    EXPECT_EQ(connection->Number(0, "SELECT COUNT(*) FROM records").value(), kRecords);
    EXPECT_EQ(connection->Number(0, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'copy'").value(), 0);
    EXPECT_EQ(
        connection->Number(1, "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'").value(), 0);
    if (HasFailure()) FAIL() << "in round " << round;
  }
  std::printf("%d kills while migrating: %d left the old version, %d the new, each whole\n", kills, old_version,
              kills - old_version);
}

// The power goes before one of the writes or syncs of a store's life.
struct Image {
  PowerLossVfs::Disks disks;
  uint32_t acknowledged = 0;  // steps
};

TEST_F(StoreCrashTest, APowerLossLosesNothingAcknowledged) {
  const std::string bundle = MakeBundle();
  std::mt19937_64 random(7);
  const int images = Long() ? 500 : 50;
  constexpr uint32_t kSteps = 40;
  uint64_t lost_writes = 0;
  int64_t life = 0;  // operations of one life
  for (int round = -1; round < images; ++round) {
    const TemporaryFolder before;
    Image image;
    uint32_t acknowledged = 0;
    {
      PowerLossVfs vfs;
      SqliteStoreOptions options = options_;
      options.path = before / "cache.db";
      options.vfs = PowerLossVfs::kName;
      // A cache of its own with the first one's signing key, which makes the bundle a trusted one.
      std::filesystem::copy(folder_.path(), before.path(), std::filesystem::copy_options::recursive);
      std::filesystem::remove(options.path);
      if (round >= 0) {
        vfs.CaptureBefore(static_cast<int64_t>(random() % static_cast<uint64_t>(life)),
                          [&](const PowerLossVfs::Disks& disks) {
                            image = {disks, acknowledged};
                          });
      }
      absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options);
      ASSERT_TRUE(store.ok()) << store.status();
      for (uint32_t id = 1; id <= kSteps; ++id) {
        ASSERT_TRUE(Step(id).Do(**store, id, bundle).ok()) << id;
        ++acknowledged;
      }
      store->reset();
      life = vfs.operations();
    }
    if (round < 0) continue;  // the first life only counts
    const TemporaryFolder after;
    for (const auto& [path, disk] : image.disks) {
      lost_writes += disk.pending.size();
      // A file that was never synced need not even be there.
      if (!disk.exists && random() % 2 == 0) continue;
      WriteFile(after / std::filesystem::path(path).filename().string(), AfterPowerLoss(disk, random));
    }
    SqliteStoreOptions options = options_;
    options.path = after / "cache.db";
    absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options);
    ASSERT_TRUE(store.ok()) << store.status() << " in round " << round;
    store_ = *std::move(store);
    Expected expected;
    for (uint32_t id = 1; id <= image.acknowledged; ++id) expected.Acknowledge(id);
    // Before the first acknowledgement there is nothing to lose, and a half-made file is set aside.
    if (image.acknowledged > 0) {
      Check(expected, image.acknowledged < kSteps ? std::optional(image.acknowledged + 1) : std::nullopt);
    }
    Close();
    if (HasFailure()) FAIL() << "in round " << round << " after " << image.acknowledged << " steps";
  }
  std::printf("%d images after a power loss, %.1f writes at stake in each, no acknowledged step lost\n", images,
              static_cast<double>(lost_writes) / images);
  EXPECT_GT(lost_writes, static_cast<uint64_t>(images));
}

// That the images are hard enough: a database that doesn't sync loses what it acknowledged.
TEST_F(StoreCrashTest, WithoutSyncsThePowerLossWouldBeSeen) {
  std::mt19937_64 random(8);
  int lost = 0;
  for (int round = 0; round < 20; ++round) {
    const TemporaryFolder folder;
    PowerLossVfs::Disks disks;
    {
      PowerLossVfs vfs;
      auto connection =
          *sqlite::Connection::Open(folder / "x.db", sqlite::Connection::Mode::kReadWrite, PowerLossVfs::kName);
      ASSERT_TRUE(connection->Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t(x)").ok());
      for (int i = 0; i < 10; ++i) ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES(randomblob(3000))").ok());
      vfs.CaptureBefore(0, [&](const PowerLossVfs::Disks& found) { disks = found; });
      ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES(1)").ok());
    }
    const TemporaryFolder after;
    for (const auto& [path, disk] : disks) {
      WriteFile(after / std::filesystem::path(path).filename().string(), AfterPowerLoss(disk, random));
    }
    auto connection = sqlite::Connection::Open(after / "x.db", sqlite::Connection::Mode::kReadWrite, "");
    const absl::StatusOr<int64_t> rows = connection.ok() ? (*connection)->Number(0, "SELECT COUNT(*) FROM t")
                                                         : absl::StatusOr<int64_t>(connection.status());
    lost += rows.ok() && *rows == 10 ? 0 : 1;
  }
  EXPECT_GT(lost, 15);
}

// Every write of an operation fails once, in turn: the operation happens as a whole or not at all, and reads go on.
void FailEachWrite(const SqliteStoreOptions& given, const std::string& bundle, Step::Kind kind,
                   FailingVfs::Kind fault) {
  FailingVfs vfs;
  SqliteStoreOptions options = given;
  options.vfs = FailingVfs::kName;
  std::unique_ptr<SqliteKernelStore> store = *SqliteKernelStore::Open(options);
  const TuningRecord kept = SampleRecord(8192, 500, SampleBinary(500));
  const TuningRecord victim = SampleRecord(8192, 1, SampleBinary(1));
  const TuningRecord imported = SampleRecord(8192, kFirstImported, "");
  PutSample(*store, kept, SampleBinary(500));
  int failures = 0;
  for (int write = 0;; ++write) {
    PutSample(*store, victim, SampleBinary(1));
    ASSERT_TRUE(store->Evict({.keys = {imported.key.digest}}).ok());
    vfs.FailAfter(write, fault);
    const absl::Status status = kind == Step::Kind::kImport ? ImportBundle(*store, {}, From(bundle)).status()
                                                            : store->Evict({.keys = {victim.key.digest}}).status();
    const bool struck = vfs.Heal();
    ASSERT_TRUE(store->Find(kept.key)->has_value());
    ASSERT_EQ(store->ReadBlob(kept.winner().blob_sha256).value(), SampleBinary(500));
    EXPECT_EQ(store->Find(victim.key)->has_value(), kind == Step::Kind::kImport || !status.ok()) << status;
    EXPECT_EQ(store->Find(imported.key)->has_value(), kind == Step::Kind::kImport && status.ok()) << status;
    if (!status.ok()) {
      ++failures;
      EXPECT_TRUE(absl::IsResourceExhausted(status) || absl::IsUnavailable(status)) << status;
    }
    if (!struck) break;
  }
  EXPECT_GT(failures, 1);
  std::printf("%d writes failed in turn, each as a whole\n", failures);
  store.reset();
  options.vfs.clear();
  store = *SqliteKernelStore::Open(options);
  EXPECT_THAT(store->Verify()->problems, IsEmpty());
}

TEST_F(StoreCrashTest, AFaultAtAnyWriteOfAnEvictionOrAnImportIsAllOrNothing) {
  const std::string bundle = MakeBundle();
  for (const FailingVfs::Kind fault : {FailingVfs::Kind::kFull, FailingVfs::Kind::kIoError}) {
    FailEachWrite(options_, bundle, Step::Kind::kEvict, fault);
    FailEachWrite(options_, bundle, Step::Kind::kImport, fault);
  }
}

TEST_F(StoreCrashTest, AFaultAtAnyWriteOfTheFirstOpenIsSaidAndPasses) {
  FailingVfs vfs;
  options_.vfs = FailingVfs::kName;
  int failures = 0;
  for (int write = 0;; ++write) {
    vfs.FailAfter(write, FailingVfs::Kind::kFull);
    const absl::Status opened = SqliteKernelStore::Open(options_).status();
    const bool struck = vfs.Heal();
    if (!opened.ok()) {
      ++failures;
      EXPECT_TRUE(absl::IsResourceExhausted(opened)) << opened;
    }
    Open();  // there is room again
    const std::string binary = SampleBinary(1);
    PutSample(*store_, SampleRecord(8192, 1, binary), binary);
    EXPECT_THAT(*store_->Quarantined(), IsEmpty());
    Close();
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) std::filesystem::remove(entry.path());
    if (!struck) break;
  }
  EXPECT_GT(failures, 1);
}

}  // namespace
}  // namespace ladder
