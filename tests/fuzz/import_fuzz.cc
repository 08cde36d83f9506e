// Imports: a bundle as bytes, and what its frames hold once unpacked, behind the compression's own checksum.
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/bundle.h"
#include "server/storage/bundle_format.h"
#include "server/storage/sqlite_kernel_store.h"
#include "server/storage/zstd_stream.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"
#include "tests/server/storage/sample_records.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {
namespace {

ByteReader From(const std::string& bytes) {
  return [&bytes, given = false]() mutable -> absl::StatusOr<std::string> {
    if (std::exchange(given, true)) return std::string();
    return bytes;
  };
}

ByteWriter Into(std::string& bytes) {
  return [&bytes](absl::string_view piece) {
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  };
}

struct Cache {
  Cache() {
    SqliteStoreOptions options;
    options.path = folder / "cache.db";
    store = *SqliteKernelStore::Open(options);
  }
  TemporaryFolder folder;
  std::unique_ptr<SqliteKernelStore> store;
};

// Its own exports are trusted.
Cache& TheCache() {
  static Cache& cache = *new Cache();
  return cache;
}

constexpr size_t kHeadBytes = 12;  // magic and version

// Everything behind the head, unpacked.
std::string Unpacked(const std::string& bundle) {
  const std::string rest = bundle.substr(kHeadBytes);
  const ByteReader reader = From(rest);
  ZstdReader unpacked(reader, "", {});
  std::string bytes;
  for (bool more = true; more;) {
    const absl::StatusOr<std::string> header = unpacked.Read(kFrameHeaderBytes);
    FUZZ_CHECK(header.ok());
    const absl::StatusOr<std::string> payload = unpacked.Read(FromLittleEndian(absl::string_view(*header).substr(1)));
    FUZZ_CHECK(payload.ok());
    bytes += *header + *payload;
    more = static_cast<FrameType>((*header)[0]) != FrameType::kTrailer;
  }
  return bytes;
}

std::string Packed(const std::string& bytes) {
  std::string bundle(kBundleMagic);
  bundle += LittleEndian(kBundleVersion, 4);
  const ByteWriter writer = Into(bundle);
  ZstdWriter packed(writer);
  FUZZ_CHECK(packed.Write(bytes).ok() && packed.Finish().ok());
  return bundle;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  SqliteKernelStore& store = *TheCache().store;
  std::vector<std::string> seeds;
  for (const bool sign : {true, false}) {
    for (int records = 0; records < 3; ++records) {
      if (records > 0) {
        const std::string binary = SampleBinary(static_cast<uint64_t>(records), 300);
        FUZZ_CHECK(store.Put(SampleRecord(8192, records, binary), {{Sha256Hex(binary), binary}}).ok());
      }
      std::string bundle;
      FUZZ_CHECK(ExportBundle(store, {.sign = sign}, Into(bundle)).ok());
      seeds.push_back(absl::StrCat("b", bundle));
      seeds.push_back(absl::StrCat("f", Unpacked(bundle)));
    }
    FUZZ_CHECK(store.Evict({.all = true}).ok());
  }
  return seeds;
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  if (size == 0) return 0;
  const std::string rest = FuzzInput(data + 1, size - 1);
  const std::string bundle = data[0] == 'b' ? rest : Packed(rest);
  SqliteKernelStore& store = *TheCache().store;
  ImportOptions options;
  options.allow_unsigned = true;
  options.caps.total_bytes = int64_t{4} << 20;
  options.caps.binary_bytes = int64_t{1} << 20;
  const absl::StatusOr<ImportReport> report = ImportBundle(store, options, From(bundle));
  int64_t records = 0;
  int64_t kernels = 0;
  FUZZ_CHECK(store
                 .ForEach([&](const TuningRecord& record) {
                   ++records;
                   if (record.kind != RecordKind::kSeed) ++kernels;
                   return true;
                 })
                 .ok());
  // All or nothing, and no kernel without a signature that is trusted here.
  FUZZ_CHECK(records == (report.ok() ? report->records : 0));
  FUZZ_CHECK(kernels == 0 || report->trusted);
  if (records > 0) FUZZ_CHECK(store.Evict({.all = true}).ok());
  return 0;
}
