// A file without a name for what is too big for memory and arrives or leaves at a caller's pace.
#ifndef LADDER_SERVER_SERVING_SPOOL_FILE_H_
#define LADDER_SERVER_SERVING_SPOOL_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

// Not thread-safe. Written from the beginning, then read from the beginning.
class SpoolFile {
 public:
  // In `folder`, which has room for a cache. ResourceExhausted or FailedPrecondition naming it otherwise.
  static absl::StatusOr<std::unique_ptr<SpoolFile>> Make(const std::string& folder);
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  absl::Status Write(absl::string_view bytes);
  // At most `limit` of the bytes not read yet; empty at the end.
  absl::StatusOr<std::string> Read(size_t limit);
  int64_t size() const { return written_; }

 private:
  SpoolFile(int fd, std::string folder) : fd_(fd), folder_(std::move(folder)) {}
  int fd_;
  std::string folder_;
  int64_t written_ = 0;
  int64_t read_ = 0;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_SPOOL_FILE_H_
