// A file without a name for what is too big for memory and arrives or leaves at a caller's pace.
#ifndef LADDER_SERVER_SERVING_SPOOL_FILE_H_
#define LADDER_SERVER_SERVING_SPOOL_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/storage/spool.h"

namespace ladder {

// Not thread-safe. Written from the beginning, then read from the beginning.
class SpoolFile {
 public:
  // In `folder`, which has room for a cache. ResourceExhausted or FailedPrecondition naming it otherwise.
  static absl::StatusOr<std::unique_ptr<SpoolFile>> Make(const std::string& folder);

  absl::Status Write(absl::string_view bytes);
  // At most `limit` of the bytes not read yet; empty at the end.
  absl::StatusOr<std::string> Read(size_t limit);
  int64_t size() const { return written_; }

 private:
  explicit SpoolFile(std::unique_ptr<Spool> spool) : spool_(std::move(spool)) {}
  std::unique_ptr<Spool> spool_;
  int64_t written_ = 0;
  int64_t read_ = 0;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_SPOOL_FILE_H_
