// A cache, or part of it, as one file that moves between machines. See bundle.proto for the form.
#ifndef LADDER_SERVER_STORAGE_BUNDLE_H_
#define LADDER_SERVER_STORAGE_BUNDLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

class SqliteKernelStore;
struct TuningRecord;

using RecordPredicate = std::function<bool(const TuningRecord&)>;
// Takes the next bytes of an export; an error ends it and is its result.
using ByteWriter = std::function<absl::Status(absl::string_view)>;
// Gives the next bytes of an import, however many; empty at the end. An error ends it and is its result.
using ByteReader = std::function<absl::StatusOr<std::string>()>;

struct ExportOptions {
  std::vector<std::string> keys = {};  // of records, hex; empty: everything
  bool sign = true;
};

struct ExportReport {
  int64_t records = 0, binaries = 0;
  int64_t skipped = 0;     // their binary is missing or damaged
  std::string public_key;  // that signed it, hex; the importing machine has to trust it
};

// Signed with the cache's own key, which the first export makes. NotFound for a key that isn't stored.
absl::StatusOr<ExportReport> ExportBundle(SqliteKernelStore& store, const ExportOptions& options,
                                          const ByteWriter& write);

// What an import may cost, whoever made it.
struct ImportCaps {
  int64_t total_bytes = int64_t{8} << 30;     // unpacked
  int64_t binary_bytes = int64_t{256} << 20;  // each
  int64_t records = 1'000'000;
  int64_t binaries = 1'000'000;
  int64_t ratio = 250;  // unpacked to packed bytes, beyond the first 16 MiB
};

struct ImportOptions {
  bool dry_run = false;         // check everything, count what would happen, change nothing
  bool allow_unsigned = false;  // take the configurations of an unsigned export
  // Whether a record can be served here as it is: of two verified ones that one stays. Null: nobody knows.
  RecordPredicate is_current = nullptr;
  ImportCaps caps = {};
};

struct ImportReport {
  int64_t records = 0, binaries = 0;
  int64_t skipped = 0;  // a better or newer record is here, or the key means something else to this version
  std::string signer;   // public key, hex, if the signature is good
  bool trusted = false;
  std::vector<std::string> notes;  // sentences for the person who imports
};

// All or nothing. Signed by this cache's own key or a trusted one: records and binaries as they were. Otherwise
// configurations only: records become seeds without measurements or binaries, to be compiled and verified here;
// unsigned ones need allow_unsigned (PermissionDenied). InvalidArgument or DataLoss if the bytes are no export, are
// damaged, cut off, changed after signing, or beyond the caps.
absl::StatusOr<ImportReport> ImportBundle(SqliteKernelStore& store, const ImportOptions& options,
                                          const ByteReader& read);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_BUNDLE_H_
