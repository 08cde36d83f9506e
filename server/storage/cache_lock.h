// One owner per cache: an flock on a file beside the database, held as long as this object lives.
#ifndef LADDER_SERVER_STORAGE_CACHE_LOCK_H_
#define LADDER_SERVER_STORAGE_CACHE_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace ladder {

class CacheLock {
 public:
  // FailedPrecondition naming the owner's process if there is one.
  static absl::StatusOr<std::unique_ptr<CacheLock>> Acquire(const std::string& cache_path);
  ~CacheLock();
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;

 private:
  explicit CacheLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_CACHE_LOCK_H_
