#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "server/storage/bundle.h"
#include "server/storage/bundle.pb.h"
#include "server/storage/bundle_format.h"
#include "server/storage/keyring.h"
#include "server/storage/spool.h"
#include "server/storage/sqlite_kernel_store.h"
#include "server/storage/zstd_stream.h"

namespace ladder {
namespace {

constexpr int kMaxDepth = 16;  // of messages in messages; ours have five

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the export is damaged (", what, "): copy it again"));
}

template <typename Message>
bool Parse(const std::string& bytes, Message& message) {
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxDepth);
  return message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

absl::StatusOr<TuningRecord> ParseRecord(const std::string& bytes) {
  tune::v1::TuningRecord message;
  if (!Parse(bytes, message)) return absl::InvalidArgumentError("is no record");
  return FromProto(message);
}

// What is left of a record that nobody vouches for: which candidates to try first. Nothing it says was measured, and
// what would be loaded and launched is made anew here.
TuningRecord ConfigurationOf(const TuningRecord& record) {
  TuningRecord seed = record;
  seed.kind = RecordKind::kSeed;
  seed.trace = {};
  for (RankedKernel& kernel : seed.ranked) {
    const RankedKernel told = std::move(kernel);
    kernel = {};
    kernel.candidate = told.candidate;
    kernel.schedule_revision = told.schedule_revision;
    kernel.predicted_us = told.predicted_us;
  }
  return seed;
}

// An export as it arrives: checked piece by piece, kept in a spool, believed only when it is complete.
class Importer {
 public:
  Importer(SqliteKernelStore& store, const ImportOptions& options) : store_(store), options_(options) {}

  absl::Status Receive(const ByteReader& read) {
    absl::StatusOr<std::unique_ptr<Spool>> spool =
        Spool::Create(std::filesystem::path(store_.path()).parent_path().string());
    if (!spool.ok()) return spool.status();
    spool_ = *std::move(spool);
    absl::StatusOr<std::string> rest = ReadHeader(read);
    if (!rest.ok()) return rest.status();
    ZstdReader unpacked(read, *std::move(rest), options_.caps);
    while (true) {
      const absl::StatusOr<std::string> header = unpacked.Read(kFrameHeaderBytes);
      if (!header.ok()) return header.status();
      const auto type = static_cast<FrameType>((*header)[0]);
      const uint64_t size = FromLittleEndian(absl::string_view(*header).substr(1));
      if (size > static_cast<uint64_t>(Limit(type))) return Damaged(absl::StrCat("a frame of ", size, " bytes"));
      const absl::StatusOr<std::string> payload = unpacked.Read(size);
      if (!payload.ok()) return payload.status();
      absl::Status status;
      if (type == FrameType::kManifest) {
        status = TakeManifest(*payload);
      } else if (type == FrameType::kBinary) {
        status = TakeBinary(*payload);
      } else {
        status = TakeTrailer(*payload);
        if (status.ok()) status = unpacked.ExpectEnd();
        return status;
      }
      if (!status.ok()) return status;
    }
  }

  absl::StatusOr<ImportReport> Store() {
    const absl::Status named = EveryBinaryIsThere();
    if (!named.ok()) return named;
    size_t next = 0;
    const auto next_record = [&]() -> absl::StatusOr<std::optional<TuningRecord>> {
      if (next == records_.size()) return std::nullopt;
      const absl::StatusOr<std::string> bytes = spool_->Read(records_[next++]);
      if (!bytes.ok()) return bytes.status();
      absl::StatusOr<TuningRecord> record = ParseRecord(*bytes);
      if (!record.ok()) return record.status();
      return report_.trusted ? *std::move(record) : ConfigurationOf(*record);
    };
    const auto read_binary = [&](const std::string& sha256) { return spool_->Read(pieces_.at(sha256)); };
    const absl::StatusOr<MergeOutcome> outcome =
        store_.Merge(next_record, read_binary, options_.dry_run, options_.is_current);
    if (!outcome.ok()) return outcome.status();
    report_.records = outcome->records;
    report_.binaries = outcome->binaries;
    report_.skipped += outcome->skipped;
    if (outcome->evicted.binaries > 0) {
      report_.notes.push_back(absl::StrCat(outcome->evicted.binaries,
                                           " binaries did not fit the cache's size limit and "
                                           "were evicted: raise the limit to keep them"));
    }
    if (options_.dry_run) report_.notes.push_back("this was a dry run: nothing was changed");
    return report_;
  }

 private:
  int64_t Limit(FrameType type) const {
    return type == FrameType::kBinary ? options_.caps.binary_bytes : kMaxManifestBytes;
  }

  // What of the first bytes belongs to the zstd stream.
  static absl::StatusOr<std::string> ReadHeader(const ByteReader& read) {
    std::string start;
    const size_t wanted = kBundleMagic.size() + sizeof(kBundleVersion);
    while (start.size() < wanted) {
      const absl::StatusOr<std::string> more = read();
      if (!more.ok()) return more.status();
      if (more->empty()) break;
      start += *more;
    }
    if (start.size() < wanted || absl::string_view(start).substr(0, kBundleMagic.size()) != kBundleMagic) {
      return absl::InvalidArgumentError(
          "this is no export of a Ladder cache: give a file that ladder-cache export made");
    }
    const uint64_t version =
        FromLittleEndian(absl::string_view(start).substr(kBundleMagic.size(), sizeof(kBundleVersion)));
    if (version != kBundleVersion) {
      return absl::FailedPreconditionError(absl::StrCat("the export has version ", version, ", this program (",
                                                        LADDER_VERSION, ") reads version ", kBundleVersion,
                                                        ": use the program that made it or export again"));
    }
    return start.substr(wanted);
  }

  absl::Status TakeManifest(const std::string& bytes) {
    if (next_binary_ > 0) return Damaged("a manifest after the binaries");
    storage::v1::BundleManifest manifest;
    if (!Parse(bytes, manifest)) return Damaged("a manifest that is none");
    digest_.Add(bytes);
    seen_records_ += manifest.records_size();
    if (seen_records_ > options_.caps.records ||
        static_cast<int64_t>(binaries_.size()) + manifest.binaries_size() > options_.caps.binaries) {
      return absl::ResourceExhaustedError(absl::StrCat("the export has more than ", options_.caps.records,
                                                       " records or ", options_.caps.binaries,
                                                       " binaries, which is not accepted"));
    }
    for (const storage::v1::BundleManifest::Binary& binary : manifest.binaries()) {
      if (binary.sha256().size() != 32 || binary.size() < 0 || binary.size() > options_.caps.binary_bytes) {
        return Damaged("a binary without digest or of absurd size");
      }
      binaries_.push_back({ToHex(binary.sha256()), binary.size()});
    }
    for (const std::string& record : manifest.records()) {
      if (absl::Status s = TakeRecord(record); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::Status TakeRecord(const std::string& bytes) {
    const absl::StatusOr<TuningRecord> record = ParseRecord(bytes);
    if (!record.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the export's record ", records_.size() + skipped_keys_, ": ", record.status().message()));
    }
    // A record under another operator's key would be served for that one.
    if (MakeCacheKey(record->op, record->m, record->target) != record->key) {
      if (++skipped_keys_ == 1) {
        report_.notes.push_back("records were skipped whose keys mean something else to this version of Ladder");
      }
      ++report_.skipped;
      return absl::OkStatus();
    }
    for (const RankedKernel& kernel : record->ranked) {
      if (!kernel.blob_sha256.empty()) named_.insert(kernel.blob_sha256);
    }
    const absl::StatusOr<Spool::Piece> piece = spool_->Append(bytes);
    if (!piece.ok()) return piece.status();
    records_.push_back(*piece);
    return absl::OkStatus();
  }

  absl::Status TakeBinary(const std::string& bytes) {
    if (next_binary_ == binaries_.size()) return Damaged("a binary that no manifest names");
    const auto& [sha256, size] = binaries_[next_binary_++];
    if (static_cast<int64_t>(bytes.size()) != size || ToHex(Sha256(bytes)) != sha256) {
      return Damaged(absl::StrCat("binary ", sha256, " has another content"));
    }
    const absl::StatusOr<Spool::Piece> piece = spool_->Append(bytes);
    if (!piece.ok()) return piece.status();
    pieces_[sha256] = *piece;
    return absl::OkStatus();
  }

  absl::Status TakeTrailer(const std::string& bytes) {
    storage::v1::BundleTrailer trailer;
    if (!Parse(bytes, trailer)) return Damaged("a trailer that is none");
    if (next_binary_ != binaries_.size()) return Damaged("binaries are missing");
    if (trailer.public_key().empty() && trailer.signature().empty()) {
      if (!options_.allow_unsigned) {
        return absl::PermissionDeniedError(
            "the export is not signed, so its binaries cannot be trusted: export it with a signature, or allow "
            "unsigned "
            "imports to take its configurations only");
      }
      report_.notes.push_back(
          "the export is not signed: only configurations were taken, to be compiled and verified here");
      return absl::OkStatus();
    }
    const std::string signer = ToHex(trailer.public_key());
    if (!VerifySignature(trailer.public_key(), digest_.value(), trailer.signature())) {
      return absl::DataLossError(absl::StrCat("the export's signature is not that of key ", signer,
                                              ": it was changed after it was signed; export it again"));
    }
    report_.signer = signer;
    const absl::StatusOr<bool> trusted = Keyring(store_.path()).Trusts(signer);
    if (!trusted.ok()) return trusted.status();
    report_.trusted = *trusted;
    if (!report_.trusted) {
      report_.notes.push_back(
          absl::StrCat("the export is signed by ", signer,
                       ", which this cache does not trust: only configurations were taken, to be "
                       "compiled and verified here; trust the key and import again for the binaries"));
    }
    return absl::OkStatus();
  }

  absl::Status EveryBinaryIsThere() const {
    if (!report_.trusted) return absl::OkStatus();
    for (const std::string& sha256 : named_) {
      if (!pieces_.contains(sha256)) return Damaged(absl::StrCat("binary ", sha256, " is missing"));
    }
    return absl::OkStatus();
  }

  SqliteKernelStore& store_;
  const ImportOptions options_;
  std::unique_ptr<Spool> spool_;
  std::vector<Spool::Piece> records_;
  std::vector<std::pair<std::string, int64_t>> binaries_;  // digest and size, in the order they come
  size_t next_binary_ = 0;
  std::map<std::string, Spool::Piece> pieces_;
  std::set<std::string> named_;  // by the records
  int64_t seen_records_ = 0, skipped_keys_ = 0;
  BundleDigest digest_;
  ImportReport report_;
};

}  // namespace

absl::StatusOr<ImportReport> ImportBundle(SqliteKernelStore& store, const ImportOptions& options,
                                          const ByteReader& read) {
  Importer importer(store, options);
  if (absl::Status s = importer.Receive(read); !s.ok()) return s;
  return importer.Store();
}

}  // namespace ladder
