#include "server/serving/watch_hub.h"

#include <utility>

namespace ladder {

uint64_t WatchHub::Watch(const std::vector<std::string>& keys, Callback callback, std::function<void()> end) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      const uint64_t id = next_++;
      watchers_[id] = std::make_shared<Watcher>(Watcher{std::move(callback), std::move(end)});
      for (const std::string& key : keys) by_key_.emplace(key, id);
      return id;
    }
  }
  end();
  return 0;
}

std::vector<std::string> WatchHub::Keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (const auto& [key, id] : by_key_) {
    if (keys.empty() || keys.back() != key) keys.push_back(key);
  }
  return keys;
}

void WatchHub::Close() {
  std::map<uint64_t, std::shared_ptr<Watcher>> watchers;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    watchers.swap(watchers_);
    by_key_.clear();
  }
  for (const auto& [id, watcher] : watchers) watcher->end();
}

void WatchHub::Unwatch(uint64_t id) {
  const std::lock_guard lock(mutex_);
  watchers_.erase(id);
  std::erase_if(by_key_, [id](const auto& entry) { return entry.second == id; });
}

void WatchHub::Publish(const TuningRecord& record) {
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    const std::lock_guard lock(mutex_);
    const auto [begin, end] = by_key_.equal_range(record.key.digest);
    for (auto it = begin; it != end; ++it) watchers.push_back(watchers_.at(it->second));
  }
  for (const std::shared_ptr<Watcher>& watcher : watchers) watcher->callback(record);
}

absl::StatusOr<uint64_t> PublishingStore::Put(const TuningRecord& record,
                                              const std::map<std::string, std::string>& binaries) {
  absl::StatusOr<uint64_t> generation = store_.Put(record, binaries);
  if (generation.ok()) {
    TuningRecord stored = record;
    stored.generation = *generation;
    hub_.Publish(stored);
  }
  return generation;
}

}  // namespace ladder
