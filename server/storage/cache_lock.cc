#include "server/storage/cache_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace ladder {

absl::StatusOr<std::unique_ptr<CacheLock>> CacheLock::Acquire(const std::string& cache_path) {
  const std::string path = absl::StrCat(cache_path, ".lock");
  // Close-on-exec: a worker that outlives its daemon must not keep the cache locked.
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the lock file ", path, " cannot be opened: ", std::strerror(errno), "; check the folder's permissions"));
  }
  std::unique_ptr<CacheLock> lock(new CacheLock(descriptor));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the cache at ", cache_path, " cannot be locked: ", std::strerror(errno), "; choose a path on a local disk"));
    }
    char text[32] = {};
    const ssize_t length = pread(descriptor, text, sizeof(text) - 1, 0);
    const std::string owner(absl::StripAsciiWhitespace(absl::string_view(text, length > 0 ? length : 0)));
    return absl::FailedPreconditionError(absl::StrCat("the cache at ", cache_path, " is in use by process ",
                                                      owner.empty() ? "(unknown)" : owner,
                                                      "; ask that daemon (--server), stop it, or use another cache"));
  }
  // For the message above only, so a failure to write it is no reason to refuse.
  const std::string owner = absl::StrCat(getpid(), "\n");
  if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, owner.data(), owner.size(), 0) < 0) errno = 0;
  return lock;
}

CacheLock::~CacheLock() { close(descriptor_); }

}  // namespace ladder
