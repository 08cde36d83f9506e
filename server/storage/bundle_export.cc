#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "server/storage/bundle.h"
#include "server/storage/bundle.pb.h"
#include "server/storage/bundle_format.h"
#include "server/storage/keyring.h"
#include "server/storage/sqlite_kernel_store.h"
#include "server/storage/zstd_stream.h"

namespace ladder {
namespace {

class Exporter {
 public:
  Exporter(SqliteKernelStore& store, const ByteWriter& write) : store_(store), write_(write), packed_(write) {
    manifest_.set_ladder_version(LADDER_VERSION);
  }

  absl::Status Begin() {
    return write_(absl::StrCat(kBundleMagic, LittleEndian(kBundleVersion, sizeof(kBundleVersion))));
  }

  // Records go out at once; of their binaries only the digests, the contents follow at the end.
  absl::Status Add(const TuningRecord& record) {
    std::map<std::string, int64_t> sizes;
    for (const RankedKernel& kernel : record.ranked) {
      if (kernel.blob_sha256.empty() || added_.contains(kernel.blob_sha256)) continue;
      const absl::StatusOr<std::string> binary = store_.ReadBlob(kernel.blob_sha256);
      if (absl::IsNotFound(binary.status()) || absl::IsDataLoss(binary.status())) {
        ++report_.skipped;
        return absl::OkStatus();
      }
      if (!binary.ok()) return binary.status();
      sizes[kernel.blob_sha256] = static_cast<int64_t>(binary->size());
    }
    for (const auto& [sha256, size] : sizes) {
      storage::v1::BundleManifest::Binary* binary = manifest_.add_binaries();
      binary->set_sha256(*FromHex(sha256));
      binary->set_size(size);
      binaries_.push_back(sha256);
      added_.insert(sha256);
    }
    tune::v1::TuningRecord message = ToProto(record, TraceMode::kWithTrace);
    if (message.trace().ByteSizeLong() > kMaxExportedTrace) message.clear_trace();
    manifest_.add_records(message.SerializeAsString());
    ++report_.records;
    return manifest_.ByteSizeLong() < kManifestBytes ? absl::OkStatus() : SendManifest();
  }

  absl::StatusOr<ExportReport> Finish(bool sign) {
    if (absl::Status s = SendManifest(); !s.ok()) return s;
    for (const std::string& sha256 : binaries_) {
      const absl::StatusOr<std::string> binary = store_.ReadBlob(sha256);
      if (absl::IsNotFound(binary.status())) {
        return absl::AbortedError(
            absl::StrCat("the binary ", sha256, " was evicted while it was being exported: export again"));
      }
      if (!binary.ok()) return binary.status();
      if (absl::Status s = SendFrame(FrameType::kBinary, *binary); !s.ok()) return s;
    }
    report_.binaries = static_cast<int64_t>(binaries_.size());
    storage::v1::BundleTrailer trailer;
    if (sign) {
      const Keyring keyring(store_.path());
      const absl::StatusOr<std::string> key = keyring.PublicKey();
      if (!key.ok()) return key.status();
      absl::StatusOr<std::string> signature = keyring.Sign(digest_.value());
      if (!signature.ok()) return signature.status();
      trailer.set_public_key(*FromHex(*key));
      trailer.set_signature(*std::move(signature));
      report_.public_key = *key;
    }
    if (absl::Status s = SendFrame(FrameType::kTrailer, trailer.SerializeAsString()); !s.ok()) return s;
    if (absl::Status s = packed_.Finish(); !s.ok()) return s;
    return report_;
  }

 private:
  absl::Status SendFrame(FrameType type, absl::string_view payload) {
    const std::string header =
        absl::StrCat(std::string(1, static_cast<char>(type)), LittleEndian(payload.size(), sizeof(uint64_t)));
    if (absl::Status s = packed_.Write(header); !s.ok()) return s;
    return packed_.Write(payload);
  }

  absl::Status SendManifest() {
    const std::string bytes = manifest_.SerializeAsString();
    manifest_.Clear();
    digest_.Add(bytes);
    return SendFrame(FrameType::kManifest, bytes);
  }

  SqliteKernelStore& store_;
  const ByteWriter& write_;
  ZstdWriter packed_;
  storage::v1::BundleManifest manifest_;
  std::vector<std::string> binaries_;
  std::set<std::string> added_;
  BundleDigest digest_;
  ExportReport report_;
};

}  // namespace

absl::StatusOr<ExportReport> ExportBundle(SqliteKernelStore& store, const ExportOptions& options,
                                          const ByteWriter& write) {
  Exporter exporter(store, write);
  std::vector<TuningRecord> chosen;
  for (const std::string& key : options.keys) {
    const absl::StatusOr<std::optional<TuningRecord>> record = store.Find(CacheKey{key});
    if (!record.ok()) return record.status();
    if (!*record) return absl::NotFoundError(absl::StrCat("keys: no record has the key ", key));
    chosen.push_back(**record);
  }
  if (absl::Status s = exporter.Begin(); !s.ok()) return s;
  if (options.keys.empty()) {
    absl::Status added;
    const absl::Status visited = store.ForEach([&](const TuningRecord& record) {
      added = exporter.Add(record);
      return added.ok();
    });
    if (!visited.ok()) return visited;
    if (!added.ok()) return added;
  } else {
    for (const TuningRecord& record : chosen) {
      if (absl::Status s = exporter.Add(record); !s.ok()) return s;
    }
  }
  return exporter.Finish(options.sign);
}

}  // namespace ladder
