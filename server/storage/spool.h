// A nameless file in the cache's folder for what must be complete before it is used and may be bigger than memory.
#ifndef LADDER_SERVER_STORAGE_SPOOL_H_
#define LADDER_SERVER_STORAGE_SPOOL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

class Spool {
 public:
  struct Piece {
    int64_t offset = 0, size = 0;
  };
  static absl::StatusOr<std::unique_ptr<Spool>> Create(const std::string& folder);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  absl::StatusOr<Piece> Append(absl::string_view bytes);
  absl::StatusOr<std::string> Read(const Piece& piece) const;

 private:
  Spool(int descriptor, const std::string& folder) : descriptor_(descriptor), folder_(folder) {}
  int descriptor_;
  std::string folder_;
  int64_t size_ = 0;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_SPOOL_H_
