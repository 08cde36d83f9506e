#include "client/kernel_table.h"

#include <algorithm>
#include <utility>

namespace ladder::client {
namespace {

// The least that is promised, so that a winner found later, which may split K where the fast answer did not, usually
// fits.
constexpr int64_t kWorkspaceReserve = 8 << 20;

}  // namespace

void KernelTable::Buckets::ChooseServing() {
  serving = kernels;
  for (size_t i = serving.size() - 1; i-- > 0;) {
    // A fast answer's time is not known; its search is under way.
    const double own_us = kernels[i]->info.measured_us, larger_us = serving[i + 1]->info.measured_us;
    if (own_us > 0 && larger_us > 0 && larger_us < own_us) serving[i] = serving[i + 1];
  }
}

int64_t KernelTable::Buckets::WorkspaceBytes(int64_t max_m) const {
  int64_t bytes = 0;
  for (size_t i = 0; i < tops.size(); i++) {
    if (i > 0 && tops[i - 1] >= max_m) break;  // reached only by larger m
    const int64_t largest = i + 1 == tops.size() ? max_m : std::min(max_m, tops[i]);
    bytes = std::max(bytes, serving[i]->kernel.plan().WorkspaceBytes(largest));
  }
  return bytes;
}

std::unique_ptr<KernelTable::Buckets> KernelTable::With(const Buckets* buckets,
                                                        std::shared_ptr<const BucketKernel> kernel) {
  auto next = buckets == nullptr ? std::make_unique<Buckets>() : std::make_unique<Buckets>(*buckets);
  const int64_t top = kernel->info.bucket_m;
  const auto it = std::lower_bound(next->tops.begin(), next->tops.end(), top);
  const auto position = it - next->tops.begin();
  if (it != next->tops.end() && *it == top) {
    next->kernels[static_cast<size_t>(position)] = std::move(kernel);
  } else {
    next->tops.insert(it, top);
    next->kernels.insert(next->kernels.begin() + position, std::move(kernel));
  }
  next->ChooseServing();
  return next;
}

bool KernelTable::KeepsPromises(const Buckets& buckets) const {
  return std::all_of(promises_.begin(), promises_.end(),
                     [&](const auto& promise) { return buckets.WorkspaceBytes(promise.first) <= promise.second; });
}

int KernelTable::Swap(std::vector<BucketKernel> kernels) {
  std::lock_guard lock(mutex_);
  const Buckets* current = current_.load(std::memory_order_relaxed);
  std::unique_ptr<Buckets> next;
  int swapped = 0;
  for (BucketKernel& kernel : kernels) {
    std::unique_ptr<Buckets> with =
        With(next != nullptr ? next.get() : current, std::make_shared<const BucketKernel>(std::move(kernel)));
    if (!KeepsPromises(*with)) continue;
    next = std::move(with);
    swapped++;
  }
  if (next == nullptr) return 0;
  const Buckets* published = next.get();
  kept_.push_back(std::move(next));
  current_.store(published, std::memory_order_release);
  return swapped;
}

int64_t KernelTable::PromiseWorkspace(int64_t max_m) {
  std::lock_guard lock(mutex_);
  const Buckets* buckets = current_.load(std::memory_order_relaxed);
  int64_t bytes = kWorkspaceReserve;
  if (buckets != nullptr) bytes = std::max(bytes, buckets->WorkspaceBytes(max_m));
  int64_t& promise = promises_[max_m];
  promise = std::max(promise, bytes);
  return promise;
}

std::vector<KernelInfo> KernelTable::List() const {
  std::vector<KernelInfo> list;
  const Buckets* buckets = current_.load(std::memory_order_acquire);
  if (buckets == nullptr) return list;
  for (size_t i = 0; i < buckets->serving.size(); i++) {
    list.push_back(buckets->serving[i]->info);
    list.back().bucket_m = buckets->tops[i];
  }
  return list;
}

std::vector<KernelInfo> KernelTable::ListOwn() const {
  std::vector<KernelInfo> list;
  const Buckets* buckets = current_.load(std::memory_order_acquire);
  if (buckets == nullptr) return list;
  for (const std::shared_ptr<const BucketKernel>& kernel : buckets->kernels) list.push_back(kernel->info);
  return list;
}

}  // namespace ladder::client
