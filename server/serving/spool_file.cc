#include "server/serving/spool_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ladder {

absl::StatusOr<std::unique_ptr<SpoolFile>> SpoolFile::Make(const std::string& folder) {
  std::string name = folder + "/spool-XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) {
    return absl::FailedPreconditionError(absl::StrCat("no file can be made in ", folder, ": ", std::strerror(errno)));
  }
  ::unlink(name.c_str());
  return std::unique_ptr<SpoolFile>(new SpoolFile(fd, folder));
}

SpoolFile::~SpoolFile() { ::close(fd_); }

absl::Status SpoolFile::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), written_);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("writing to ", folder_, ": ", std::strerror(errno), "; make room there"));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
    written_ += written;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SpoolFile::Read(size_t limit) {
  std::string bytes(std::min(limit, static_cast<size_t>(written_ - read_)), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t count = ::pread(fd_, bytes.data() + got, bytes.size() - got, read_ + static_cast<int64_t>(got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return absl::DataLossError(absl::StrCat("reading back from ", folder_, " failed"));
    got += static_cast<size_t>(count);
  }
  read_ += static_cast<int64_t>(got);
  return bytes;
}

}  // namespace ladder
