// From M to the kernel for it.
#ifndef LADDER_CLIENT_KERNEL_TABLE_H_
#define LADDER_CLIENT_KERNEL_TABLE_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "client/ladder.h"
#include "client/launch_plan.h"
#include "client/loaded_kernel.h"

namespace ladder::client {

struct BucketKernel {
  KernelInfo info;
  LoadedKernel kernel;
};

// Readers take no lock: a swap publishes a new array by one atomic store. The former arrays are kept, because launches
// on other threads and captured graphs may still use their kernels; swaps are few, so that costs little.
class KernelTable {
 public:
  // The kernel for m rows, or null before the first Swap.
  const LoadedKernel* Find(int64_t m) const {
    const Buckets* buckets = current_.load(std::memory_order_acquire);
    return buckets == nullptr ? nullptr : &buckets->serving[SelectBucket(buckets->tops, m)]->kernel;
  }

  // Puts kernels in, each replacing the one of its bucket. Returns how many were; one that would break a promise about
  // the workspace is left out.
  int Swap(std::vector<BucketKernel> kernels);

  // Bytes that serve every m <= max_m, now and after every later Swap.
  int64_t PromiseWorkspace(int64_t max_m);

  // Of each bucket the kernel that Find gives.
  std::vector<KernelInfo> List() const;
  // Of each bucket the kernel that was put in for it.
  std::vector<KernelInfo> ListOwn() const;

 private:
  struct Buckets {
    std::vector<int64_t> tops;  // ascending
    std::vector<std::shared_ptr<const BucketKernel>> kernels;
    // A bucket's own kernel, unless one of more rows took less time for those than this one for its own: M is a
    // run-time argument, so that it serves fewer rows as well, and fewer rows must not take longer. Buckets that were
    // tuned together never differ, but one may have been tuned again, or on an earlier build.
    std::vector<std::shared_ptr<const BucketKernel>> serving;
    void ChooseServing();
    int64_t WorkspaceBytes(int64_t max_m) const;
  };
  static std::unique_ptr<Buckets> With(const Buckets* buckets, std::shared_ptr<const BucketKernel> kernel);
  bool KeepsPromises(const Buckets& buckets) const;

  std::atomic<const Buckets*> current_ = nullptr;
  mutable std::mutex mutex_;  // of writers
  std::vector<std::unique_ptr<const Buckets>> kept_;
  std::map<int64_t, int64_t> promises_;  // max_m -> bytes
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_KERNEL_TABLE_H_
