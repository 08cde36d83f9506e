#include "server/storage/bundle.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "server/storage/bundle_format.h"
#include "server/storage/digest.h"
#include "server/storage/keyring.h"
#include "server/storage/zstd_stream.h"
#include "tests/server/storage/store_fixture.h"

namespace ladder {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ByteWriter Into(std::string& bytes) {
  return [&bytes](absl::string_view piece) {
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  };
}

ByteReader From(const std::string& bytes, size_t piece = 1000) {
  return [&bytes, piece, next = size_t{0}]() mutable -> absl::StatusOr<std::string> {
    std::string given = bytes.substr(std::min(next, bytes.size()), piece);
    next += given.size();
    return given;
  };
}

// Two machines: one exports, one imports.
class BundleTest : public StoreTest {
 protected:
  BundleTest() {
    Open();
    there_options_.path = folder_ / "there/cache.db";
    OpenThere();
  }
  void OpenThere() {
    there_.reset();
    there_ = *SqliteKernelStore::Open(there_options_);
  }
  TuningRecord PutRecord(int64_t m, uint64_t seed) {
    const TuningRecord record = SampleRecord(8192, m, SampleBinary(seed));
    PutSample(*store_, record, SampleBinary(seed));
    return record;
  }
  std::string Export(const ExportOptions& options = {}) {
    std::string bytes;
    report_ = ExportBundle(*store_, options, Into(bytes));
    EXPECT_TRUE(report_.ok()) << report_.status();
    return bytes;
  }
  absl::StatusOr<ImportReport> Import(const std::string& bytes, const ImportOptions& options = {}) {
    return ImportBundle(*there_, options, From(bytes));
  }
  void TrustThere() { ASSERT_TRUE(Keyring(there_options_.path).Trust(report_->public_key).ok()); }
  std::optional<TuningRecord> There(const TuningRecord& record) { return there_->Find(record.key).value(); }

  SqliteStoreOptions there_options_;
  std::unique_ptr<SqliteKernelStore> there_;
  absl::StatusOr<ExportReport> report_;
};

TEST_F(BundleTest, ATrustedExportServesWithoutCompiling) {
  const TuningRecord first = PutRecord(16, 1), second = PutRecord(32, 2);
  ASSERT_TRUE(store_->Put(SampleRecord(8192, 64, ""), {}).ok());
  const std::string bytes = Export();
  EXPECT_EQ(report_->records, 3);
  EXPECT_EQ(report_->binaries, 2);
  TrustThere();
  for (const bool dry_run : {true, false}) {
    const absl::StatusOr<ImportReport> report = Import(bytes, {.dry_run = dry_run});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->records, 3);
    EXPECT_EQ(report->binaries, 2);
    EXPECT_EQ(report->skipped, 0);
    EXPECT_TRUE(report->trusted);
    EXPECT_EQ(report->signer, report_->public_key);
    EXPECT_EQ(There(first).has_value(), !dry_run);
  }
  OpenThere();
  for (const TuningRecord& record : {first, second}) {
    const std::optional<TuningRecord> found = There(record);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->kind, RecordKind::kMeasured);
    EXPECT_EQ(found->winner().measurement, record.winner().measurement);
    EXPECT_EQ(found->environment, record.environment);
    EXPECT_EQ(found->trace.candidates.size(), record.trace.candidates.size());
    EXPECT_TRUE(there_->ReadBlob(record.winner().blob_sha256).ok());
    EXPECT_TRUE(there_->FindArtifact(record.winner().artifact)->has_value());
  }
  const absl::StatusOr<ImportReport> again = Import(bytes);
  EXPECT_EQ(again->records, 0);
  EXPECT_EQ(again->skipped, 3);
}

TEST_F(BundleTest, ItsOwnExportIsTrusted) {
  const TuningRecord record = PutRecord(16, 1);
  const std::string bytes = Export();
  ASSERT_TRUE(store_->Evict({.all = true}).ok());
  const absl::StatusOr<ImportReport> report = ImportBundle(*store_, {}, From(bytes, 1));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->trusted);
  EXPECT_TRUE(Has(record));
}

TEST_F(BundleTest, AnUntrustedExportGivesConfigurationsOnly) {
  const TuningRecord record = PutRecord(16, 1);
  const absl::StatusOr<ImportReport> report = Import(Export());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->trusted);
  EXPECT_EQ(report->signer, report_->public_key);
  EXPECT_EQ(report->records, 1);
  EXPECT_EQ(report->binaries, 0);
  EXPECT_THAT(report->notes, Contains(HasSubstr("does not trust")));
  const std::optional<TuningRecord> seed = There(record);
  ASSERT_TRUE(seed);
  EXPECT_EQ(seed->kind, RecordKind::kSeed);
  ASSERT_EQ(seed->ranked.size(), 2u);
  EXPECT_EQ(seed->winner().candidate, record.winner().candidate);
  EXPECT_EQ(seed->winner().blob_sha256, "");
  EXPECT_EQ(seed->winner().artifact.digest, "");
  EXPECT_EQ(seed->winner().measurement, Measurement());
  EXPECT_THAT(seed->trace.candidates, IsEmpty());
  EXPECT_EQ(there_->FindArtifact(record.winner().artifact).value(), std::nullopt);
  EXPECT_EQ(there_->Stats()->totals.binaries, 0);
}

TEST_F(BundleTest, AnUnsignedExportNeedsPermission) {
  const TuningRecord record = PutRecord(16, 1);
  const std::string bytes = Export({.sign = false});
  EXPECT_EQ(report_->public_key, "");
  EXPECT_EQ(Import(bytes).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_FALSE(There(record));
  const absl::StatusOr<ImportReport> report = Import(bytes, {.allow_unsigned = true});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->signer, "");
  EXPECT_EQ(There(record)->kind, RecordKind::kSeed);
  EXPECT_EQ(there_->Stats()->totals.binaries, 0);
}

TEST_F(BundleTest, NothingReplacesABetterRecord) {
  const TuningRecord record = PutRecord(16, 1);
  PutSample(*there_, record, SampleBinary(1));
  const absl::StatusOr<ImportReport> report = Import(Export());  // untrusted: it would become a seed
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->skipped, 1);
  EXPECT_EQ(There(record)->kind, RecordKind::kMeasured);
}

TEST_F(BundleTest, OfTwoKernelsTheOneThatServesHereStays) {
  TuningRecord arriving = SampleRecord(512, 1, SampleBinary(1));
  arriving.environment.compiler = "nvrtc 12.0";
  ASSERT_TRUE(store_->Put(arriving, {{Sha256Hex(SampleBinary(1)), SampleBinary(1)}}).ok());
  const std::string bytes = Export();
  TuningRecord here = SampleRecord(512, 1, SampleBinary(2));
  here.created_unix = arriving.created_unix - 1;
  ASSERT_TRUE(store_->Put(here, {{Sha256Hex(SampleBinary(2)), SampleBinary(2)}}).ok());
  const auto imported = [&](const std::string& compiler) {
    ImportOptions options;
    options.is_current = [&](const TuningRecord& record) { return record.environment.compiler == compiler; };
    return ImportBundle(*store_, options, From(bytes));
  };
  EXPECT_EQ(imported(here.environment.compiler)->skipped, 1);
  EXPECT_EQ((*store_->Find(here.key))->environment.compiler, here.environment.compiler);
  EXPECT_EQ(imported("nvrtc 12.0")->records, 1);
  EXPECT_EQ((*store_->Find(here.key))->environment.compiler, "nvrtc 12.0");
}

TEST_F(BundleTest, ExportsChosenKeys) {
  const TuningRecord first = PutRecord(16, 1), second = PutRecord(32, 2);
  const std::string bytes = Export({.keys = {second.key.digest}});
  EXPECT_EQ(report_->records, 1);
  TrustThere();
  ASSERT_TRUE(Import(bytes).ok());
  EXPECT_FALSE(There(first));
  EXPECT_TRUE(There(second));
  std::string none;
  EXPECT_EQ(ExportBundle(*store_, {.keys = {Sha256Hex("x")}}, Into(none)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BundleTest, AnEmptyCacheTravelsToo) {
  const std::string bytes = Export();
  TrustThere();
  const absl::StatusOr<ImportReport> report = Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 0);
}

TEST_F(BundleTest, ManyRecordsTakeManyManifests) {
  for (int i = 1; i <= 400; ++i) ASSERT_TRUE(store_->Put(SampleRecord(8192, i, "", 10), {}).ok());
  const std::string bytes = Export();
  TrustThere();
  const absl::StatusOr<ImportReport> report = Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 400);
}

TEST_F(BundleTest, TheSizeLimitHoldsForImports) {
  for (int i = 1; i <= 6; ++i) PutRecord(i, i);
  const std::string bytes = Export();
  TrustThere();
  there_options_.limit_bytes = 10'000;
  OpenThere();
  const absl::StatusOr<ImportReport> report = Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->notes, Contains(HasSubstr("3 binaries did not fit")));
  EXPECT_EQ(there_->Stats()->totals.binaries, 3);
}

TEST_F(BundleTest, AWriterOrReaderThatFailsEndsIt) {
  PutRecord(16, 1);
  const absl::Status full = absl::ResourceExhaustedError("no room");
  EXPECT_EQ(ExportBundle(*store_, {}, [&](absl::string_view) { return full; }).status(), full);
  EXPECT_EQ(ImportBundle(*there_, {}, [&]() -> absl::StatusOr<std::string> { return full; }).status(), full);
}

TEST_F(BundleTest, DamagedBinariesStayAtHome) {
  const TuningRecord record = PutRecord(16, 1);
  PutRecord(32, 2);
  Close();
  std::string bytes = ReadFile(options_.path);
  ASSERT_GT(FlipEverywhere(bytes, SampleBinary(1).substr(100, 40)), 0);
  WriteFile(options_.path, bytes);
  Open();
  Export();
  EXPECT_EQ(report_->records, 1);
  EXPECT_EQ(report_->skipped, 1);
}

// --- hostile bytes --------------------------------------------------------------------------------------------------

TEST_F(BundleTest, EveryTruncationIsRefused) {
  const TuningRecord record = PutRecord(16, 1);
  const std::string bytes = Export();
  TrustThere();
  for (size_t size = 0; size < bytes.size(); size += size < 64 || size + 64 > bytes.size() ? 1 : 37) {
    const absl::StatusOr<ImportReport> report = Import(bytes.substr(0, size));
    ASSERT_FALSE(report.ok()) << size;
    EXPECT_TRUE(absl::IsDataLoss(report.status()) || absl::IsInvalidArgument(report.status())) << report.status();
  }
  EXPECT_FALSE(Import(bytes + "x").ok());
  EXPECT_FALSE(Import(bytes + bytes).ok());
  EXPECT_FALSE(There(record));
  EXPECT_EQ(there_->Stats()->totals.binaries, 0);
}

TEST_F(BundleTest, EveryBitFlipIsRefused) {
  const TuningRecord record = PutRecord(16, 1);
  const std::string bytes = Export();
  TrustThere();
  std::mt19937_64 random(7);
  const int flips = std::getenv("LADDER_LONG") != nullptr ? 10'000 : 300;
  int refused = 0;
  for (int i = 0; i < flips; ++i) {
    std::string damaged = bytes;
    const size_t bit = random() % (bytes.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const absl::StatusOr<ImportReport> report = Import(damaged);
    // A flip in an unused bit of the compressed form may change nothing; then what arrived is what was sent.
    if (!report.ok()) {
      ++refused;
      continue;
    }
    const std::optional<TuningRecord> found = There(record);
    ASSERT_TRUE(found) << bit;
    EXPECT_EQ(found->winner().measurement, record.winner().measurement);
    EXPECT_EQ(there_->ReadBlob(record.winner().blob_sha256).value(), SampleBinary(1));
    ASSERT_TRUE(there_->Evict({.all = true}).ok());
  }
  std::printf("%d exports with a flipped bit: %d refused, the others arrived as they were sent\n", flips, refused);
  EXPECT_GT(refused, flips / 2);
}

// A bundle of hand-made frames, so that a check behind the compression's own checksum is reached.
std::string Pack(const std::vector<std::pair<FrameType, std::string>>& frames) {
  std::string bytes(kBundleMagic);
  bytes += LittleEndian(kBundleVersion, 4);
  const ByteWriter writer = Into(bytes);
  ZstdWriter packed(writer);
  for (const auto& [type, payload] : frames) {
    EXPECT_TRUE(packed.Write(std::string(1, static_cast<char>(type)) + LittleEndian(payload.size(), 8)).ok());
    EXPECT_TRUE(packed.Write(payload).ok());
  }
  EXPECT_TRUE(packed.Finish().ok());
  return bytes;
}

std::vector<std::pair<FrameType, std::string>> Unpack(const std::string& bytes) {
  const std::string rest = bytes.substr(12);
  const ByteReader reader = From(rest);
  ZstdReader unpacked(reader, "", {});
  std::vector<std::pair<FrameType, std::string>> frames;
  while (frames.empty() || frames.back().first != FrameType::kTrailer) {
    const std::string header = unpacked.Read(kFrameHeaderBytes).value();
    frames.emplace_back(static_cast<FrameType>(header[0]),
                        unpacked.Read(FromLittleEndian(absl::string_view(header).substr(1))).value());
  }
  return frames;
}

TEST_F(BundleTest, ChangesAfterSigningAreRefused) {
  const TuningRecord record = PutRecord(16, 1);
  const auto frames = Unpack(Export());
  TrustThere();
  ASSERT_EQ(frames.size(), 3u);
  const auto refused = [&](const auto& changed, const char* why) {
    const absl::StatusOr<ImportReport> report = Import(Pack(changed));
    ASSERT_FALSE(report.ok()) << why;
    EXPECT_THAT(std::string(report.status().message()), HasSubstr(why));
  };
  ASSERT_EQ(Pack(frames), Pack(Unpack(Pack(frames))));
  auto changed = frames;
  const size_t version = changed[0].second.find("nvrtc 13.0.88");
  ASSERT_NE(version, std::string::npos);
  changed[0].second[version + 6] = '2';  // another compiler
  refused(changed, "signature");
  changed = frames;
  changed[1].second[100] ^= 1;
  refused(changed, "has another content");
  changed = frames;
  changed[2].second.back() ^= 1;
  refused(changed, "signature");
  changed = frames;
  changed.erase(changed.begin() + 1);
  refused(changed, "binaries are missing");
  changed = frames;
  changed.insert(changed.begin() + 1, changed[1]);
  refused(changed, "no manifest names");
  changed = frames;
  changed.insert(changed.begin() + 2, changed[0]);
  refused(changed, "manifest after the binaries");
  changed = frames;
  changed.insert(changed.begin(), changed[0]);  // binaries named twice
  refused(changed, "damaged");
  changed = frames;
  changed[0].second = "\xff\xff\xff";
  refused(changed, "a manifest that is none");
  changed = frames;
  changed[2].second = "\xff\xff\xff";
  refused(changed, "a trailer that is none");
  EXPECT_FALSE(There(record));
  EXPECT_TRUE(Import(Pack(frames)).ok());
}

TEST_F(BundleTest, ASignatureOfAnotherKeyIsNoSignature) {
  PutRecord(16, 1);
  auto frames = Unpack(Export());
  TrustThere();
  // The trusted key's name over an attacker's signature.
  const std::string other = Keyring(folder_ / "elsewhere.db").Sign("something else").value();
  std::string& trailer = frames[2].second;
  trailer.replace(trailer.size() - other.size(), other.size(), other);
  EXPECT_EQ(Import(Pack(frames)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(BundleTest, CapsHold) {
  for (int i = 1; i <= 3; ++i) PutRecord(i, i);
  const std::string bytes = Export();
  TrustThere();
  for (const ImportCaps& caps : {ImportCaps{.total_bytes = 4000}, ImportCaps{.binary_bytes = 2999},
                                 ImportCaps{.records = 2}, ImportCaps{.binaries = 2}}) {
    EXPECT_FALSE(Import(bytes, {.caps = caps}).ok());
  }
  EXPECT_EQ(there_->Stats()->totals.records, 0);
  // A bomb: 64 MiB of nothing in a few KiB.
  const std::string bomb = Pack({{FrameType::kBinary, std::string(64 << 20, '\0')}});
  EXPECT_LT(bomb.size(), 20'000u);
  const absl::Status status = Import(bomb).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("times its size"));
  // A frame that only says it is big.
  std::string liar(kBundleMagic);
  liar += LittleEndian(kBundleVersion, 4);
  const ByteWriter writer = Into(liar);
  ZstdWriter packed(writer);
  ASSERT_TRUE(packed.Write(std::string(1, 1) + LittleEndian(UINT64_MAX, 8)).ok());
  ASSERT_TRUE(packed.Finish().ok());
  EXPECT_EQ(Import(liar).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(BundleTest, NestedMessagesAreRefused) {
  std::string nested;  // an unknown field 100 holding groups within groups
  for (int i = 0; i < 5000; ++i) nested += "\xa3\x06";
  for (int i = 0; i < 5000; ++i) nested += "\xa4\x06";
  EXPECT_EQ(Import(Pack({{FrameType::kManifest, nested}})).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(BundleTest, RecordsUnderAForeignKeyAreSkipped) {
  const std::string binary = SampleBinary(1);
  TuningRecord liar = SampleRecord(8192, 16, binary);
  const TuningRecord victim = SampleRecord(4096, 1, "");
  liar.key = victim.key;
  PutSample(*store_, liar, binary);
  const std::string bytes = Export();
  TrustThere();
  const absl::StatusOr<ImportReport> report = Import(bytes);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 0);
  EXPECT_EQ(report->skipped, 1);
  EXPECT_FALSE(There(victim));
}

TEST_F(BundleTest, OtherFilesAreNamedAsSuch) {
  for (const std::string& bytes : {std::string(), std::string("LADDER"), std::string(4000, 'x')}) {
    const absl::Status status = Import(bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no export of a Ladder cache"));
  }
  std::string newer = Export();
  newer[8] = 9;
  const absl::Status status = Import(newer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 9"));
}

}  // namespace
}  // namespace ladder
