// Remembers what was compiled, so that a source that many tunes try - a kernel takes M at run time, so the buckets of
// an operator share most of theirs - is compiled once.
#ifndef LADDER_CORE_BACKEND_COMPILE_CACHE_H_
#define LADDER_CORE_BACKEND_COMPILE_CACHE_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/backend/compiler.h"

namespace ladder {

// Thread-safe. Two callers of one source at the same time share its compilation. Failures are not remembered: a worker
// that was killed says nothing about the next time.
class CompileCache final : public Compiler {
 public:
  // Keeps up to `limit_bytes` of binaries, the latest. REQUIRES: `compiler` outlives it.
  CompileCache(Compiler& compiler, size_t limit_bytes) : compiler_(compiler), limit_bytes_(limit_bytes) {}

  std::string Version() const override { return compiler_.Version(); }
  // `done` is called once for each request, for those remembered at once.
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;

 private:
  struct Entry {
    bool finished = false;
    absl::StatusOr<CompiledKernel> result = absl::UnknownError("not compiled");
  };
  void Finish(const std::string& key, Entry& entry, absl::StatusOr<CompiledKernel> result);  // mutex_ held

  Compiler& compiler_;
  const size_t limit_bytes_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;  // in flight or kept
  std::deque<std::pair<std::string, size_t>> kept_;        // key and bytes, oldest first
  size_t kept_bytes_ = 0;
};

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_COMPILE_CACHE_H_
