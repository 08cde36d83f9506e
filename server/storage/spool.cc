#include "server/storage/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ladder {

absl::StatusOr<std::unique_ptr<Spool>> Spool::Create(const std::string& folder) {
  std::string name = absl::StrCat(folder, "/spool-XXXXXX");
  const int descriptor = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no temporary file can be made in ", folder, ": ", std::strerror(errno)));
  }
  unlink(name.c_str());
  return std::unique_ptr<Spool>(new Spool(descriptor, folder));
}

Spool::~Spool() { close(descriptor_); }

absl::StatusOr<Spool::Piece> Spool::Append(absl::string_view bytes) {
  const Piece piece{size_, static_cast<int64_t>(bytes.size())};
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), size_);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return absl::ResourceExhaustedError(absl::StrCat("a temporary file in ", folder_, " cannot be written: ",
                                                       std::strerror(errno), "; free some space and try again"));
    }
    size_ += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return piece;
}

absl::StatusOr<std::string> Spool::Read(const Piece& piece) const {
  std::string bytes(static_cast<size_t>(piece.size), '\0');
  int64_t done = 0;
  while (done < piece.size) {
    const ssize_t got =
        pread(descriptor_, bytes.data() + done, static_cast<size_t>(piece.size - done), piece.offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return absl::UnavailableError(
          absl::StrCat("a temporary file in ", folder_, " cannot be read back: check the disk and try again"));
    }
    done += got;
  }
  return bytes;
}

}  // namespace ladder
