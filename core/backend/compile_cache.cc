#include "core/backend/compile_cache.h"

#include "core/store/keys.h"

namespace ladder {

void CompileCache::Finish(const std::string& key, Entry& entry, absl::StatusOr<CompiledKernel> result) {
  entry.finished = true;
  if (!result.ok()) {
    entries_.erase(key);
  } else {
    kept_.emplace_back(key, result->binary.size());
    kept_bytes_ += result->binary.size();
  }
  entry.result = std::move(result);
  while (kept_bytes_ > limit_bytes_) {
    kept_bytes_ -= kept_.front().second;
    entries_.erase(kept_.front().first);
    kept_.pop_front();
  }
}

std::vector<absl::StatusOr<CompiledKernel>> CompileCache::Compile(std::span<const CompileRequest> requests,
                                                                  const std::function<void(size_t)>& done) {
  // The embedded sources never change in a process, so their digest need not enter.
  const std::string version = compiler_.Version();
  std::vector<std::string> keys;
  for (const CompileRequest& request : requests) keys.push_back(MakeArtifactKey(request, "", version).digest);
  std::vector<std::shared_ptr<Entry>> entries;
  std::vector<CompileRequest> own;
  std::vector<size_t> owners;  // index of each of `own`
  std::vector<size_t> others;  // remembered, or being compiled for someone
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < requests.size(); i++) {
      std::shared_ptr<Entry>& slot = entries_[keys[i]];
      if (slot == nullptr) {
        slot = std::make_shared<Entry>();
        own.push_back(requests[i]);
        owners.push_back(i);
      } else {
        others.push_back(i);
      }
      entries.push_back(slot);
    }
  }
  if (!own.empty()) {
    std::vector<absl::StatusOr<CompiledKernel>> results =
        compiler_.Compile(own, [&](size_t j) { return done ? done(owners[j]) : void(); });
    const std::lock_guard lock(mutex_);
    for (size_t j = 0; j < own.size(); j++) Finish(keys[owners[j]], *entries[owners[j]], std::move(results[j]));
    finished_.notify_all();
  }
  std::vector<absl::StatusOr<CompiledKernel>> results;
  results.reserve(requests.size());
  std::unique_lock lock(mutex_);
  for (const size_t i : others) {
    finished_.wait(lock, [&] { return entries[i]->finished; });
    if (!done) continue;
    lock.unlock();
    done(i);
    lock.lock();
  }
  for (const std::shared_ptr<Entry>& entry : entries) results.push_back(entry->result);
  return results;
}

}  // namespace ladder
