// Where the cache may lie.
#ifndef LADDER_SERVER_STORAGE_FILESYSTEM_H_
#define LADDER_SERVER_STORAGE_FILESYSTEM_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ladder {

// "${XDG_CACHE_HOME:-~/.cache}/ladder/cache.db". FailedPrecondition if neither variable nor home folder is known.
absl::StatusOr<std::string> DefaultCachePath();

struct Filesystem {
  int64_t magic = 0;  // statfs' f_type
  std::string name;   // as the mount table says it: "ext4", "fuse.sshfs"; may be empty
};
using FilesystemProbe = std::function<absl::StatusOr<Filesystem>(const std::string& folder)>;

// By statfs and /proc/self/mountinfo.
absl::StatusOr<Filesystem> ProbeFilesystem(const std::string& folder);

// FailedPrecondition, naming the kind, if locks and synced writes can't be relied on there: network file systems,
// shared or not. A null probe means ProbeFilesystem.
absl::Status CheckLocalFilesystem(const std::string& folder, const FilesystemProbe& probe);

// The absolute path of a cache, its folder made (0700) where missing.
absl::StatusOr<std::string> PrepareCachePath(const std::string& path);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_FILESYSTEM_H_
