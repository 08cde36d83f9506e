// Which binaries were used when, gathered in memory and written along with the next change: a look-up never writes.
#ifndef LADDER_SERVER_STORAGE_USE_LOG_H_
#define LADDER_SERVER_STORAGE_USE_LOG_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ladder {

// Thread-safe. Times are microseconds since 1970, made strictly rising so that they order uses.
class UseLog {
 public:
  // No time given out is at or below `floor`.
  void StartAfter(int64_t floor);
  int64_t Now();
  void Touch(const std::string& sha256);
  // Takes at most `limit` entries out.
  std::vector<std::pair<std::string, int64_t>> Take(size_t limit);

 private:
  std::atomic<int64_t> last_ = 0;
  std::mutex mutex_;
  std::unordered_map<std::string, int64_t> used_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_USE_LOG_H_
