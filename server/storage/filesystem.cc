#include "server/storage/filesystem.h"

#include <pwd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

struct NetworkFilesystem {
  int64_t magic;
  const char* name;
};

// f_type values; most are in linux/magic.h or in the file system's own sources.
constexpr NetworkFilesystem kNetworkFilesystems[] = {
    {0x6969, "NFS"},          {0x517b, "SMB"},        {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
    {0x0bd00bd0, "Lustre"},   {0x47504653, "GPFS"},   {0x00c36400, "CephFS"}, {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},      {0x73757245, "Coda"},   {0x01021997, "9P"},     {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},    {0x19830326, "BeeGFS"}, {0xaad7aaea, "PanFS"},  {0x564c, "NCP"},
    {0x20030528, "OrangeFS"}, {0x786f4256, "vboxsf"},
};
constexpr int64_t kFuseMagic = 0x65735546;

// The type of the mount that a device number belongs to, from /proc/self/mountinfo.
std::string MountType(dev_t device) {
  const std::string wanted = absl::StrCat(major(device), ":", minor(device));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, field;
    fields >> id >> parent >> number;
    if (number != wanted) continue;
    while (fields >> field && field != "-") {
    }
    fields >> field;
    return field;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> DefaultCachePath() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return absl::StrCat(cache, "/ladder/cache.db");
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') {
    const passwd* user = getpwuid(getuid());
    home = user == nullptr ? nullptr : user->pw_dir;
  }
  if (home == nullptr || home[0] != '/') {
    return absl::FailedPreconditionError(
        "no home folder is known for the cache: set HOME or XDG_CACHE_HOME, or name the cache's path");
  }
  return absl::StrCat(home, "/.cache/ladder/cache.db");
}

absl::StatusOr<Filesystem> ProbeFilesystem(const std::string& folder) {
  struct statfs info = {};
  struct stat entry = {};
  if (statfs(folder.c_str(), &info) != 0 || stat(folder.c_str(), &entry) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", folder, " cannot be examined: ", std::strerror(errno)));
  }
  Filesystem found;
  found.magic = static_cast<int64_t>(static_cast<uint32_t>(info.f_type));
  if (found.magic == kFuseMagic) found.name = MountType(entry.st_dev);
  return found;
}

absl::Status CheckLocalFilesystem(const std::string& folder, const FilesystemProbe& probe) {
  const absl::StatusOr<Filesystem> found = probe ? probe(folder) : ProbeFilesystem(folder);
  if (!found.ok()) return found.status();
  std::string kind;
  for (const NetworkFilesystem& network : kNetworkFilesystems) {
    if (found->magic == network.magic) kind = network.name;
  }
  // FUSE serves local disks (ntfs-3g: fuseblk) and container layers too; everything else behind it counts as remote.
  if (found->magic == kFuseMagic && found->name != "fuseblk" && !absl::StrContains(found->name, "overlay")) {
    kind = found->name.empty() ? "FUSE" : found->name;
  }
  if (kind.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the folder ", folder, " is on a network file system (", kind,
                   "), where a cache would be damaged: choose a path on a local disk, and move caches between machines "
                   "by export and import"));
}

absl::StatusOr<std::string> PrepareCachePath(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error || !absolute.has_filename()) {
    return absl::InvalidArgumentError(absl::StrCat("cache path: \"", path, "\" does not name a file"));
  }
  const fs::path folder = absolute.parent_path();
  if (!fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  }
  if (error || !fs::is_directory(folder, error)) {
    return absl::FailedPreconditionError(absl::StrCat("the folder ", folder.string(), " for the cache cannot be made: ",
                                                      error ? error.message() : "it is not a folder"));
  }
  if (fs::is_directory(absolute, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cache path: \"", path, "\" is a folder; name a file in it, such as cache.db"));
  }
  return absolute.string();
}

}  // namespace ladder
