// One operator: its table, its packer, and the thread that watches for better kernels.
#ifndef LADDER_CLIENT_MATMUL_STATE_H_
#define LADDER_CLIENT_MATMUL_STATE_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "client/kernel_table.h"
#include "client/runtime.h"
#include "client/weight_packer.h"
#include "ladder/tune/v1/service.pb.h"

namespace grpc {
class ClientContext;
}

namespace ladder::client {

class MatmulState {
 public:
  // Loads what a look-up answered. NotFound if none of it is a verified kernel; the first error if none could be
  // loaded.
  static absl::StatusOr<std::unique_ptr<MatmulState>> Create(std::shared_ptr<Runtime> runtime,
                                                             const tune::v1::LookupResponse& response);
  ~MatmulState();

  // Follows `request` in the background until destruction, over reconnections.
  void StartWatching(const tune::v1::LookupRequest& request);

  const MatmulShape& shape() const { return shape_; }
  KernelTable& table() { return table_; }
  WeightPacker& packer() { return *packer_; }
  int64_t swaps() const { return swaps_; }

 private:
  explicit MatmulState(std::shared_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}
  // A kernel from a record that may be launched here.
  absl::StatusOr<BucketKernel> Load(const tune::v1::LookupResult& result);
  bool IsCurrent(const tune::v1::LookupResult& result) const;
  void Watch(const tune::v1::WatchRequest& request);
  bool WatchOnce(const tune::v1::WatchRequest& request);

  std::shared_ptr<Runtime> runtime_;
  MatmulShape shape_;
  std::unique_ptr<WeightPacker> packer_;
  KernelTable table_;
  std::atomic<int64_t> swaps_ = 0;

  std::thread watcher_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  grpc::ClientContext* call_ = nullptr;  // the running watch, to cancel it
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_MATMUL_STATE_H_
