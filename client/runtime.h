// What a client's operators share: the driver, the device's context, the channel, and binaries by digest.
#ifndef LADDER_CLIENT_RUNTIME_H_
#define LADDER_CLIENT_RUNTIME_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cuda_driver.h"
#include "client/ladder.h"
#include "client/loaded_kernel.h"
#include "ladder/tune/v1/service.grpc.pb.h"

namespace ladder::client {

// SHA-256, 64 hex digits.
std::string Sha256Hex(const std::string& bytes);

// Thread-safe.
class Runtime {
 public:
  static absl::StatusOr<std::shared_ptr<Runtime>> Create(std::shared_ptr<grpc::Channel> channel,
                                                         const ClientOptions& options);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const CudaDriver& driver() const { return *driver_; }
  CuContext context() const { return context_; }
  const ClientOptions& options() const { return options_; }
  tune::v1::KernelCache::StubInterface& cache() { return *cache_; }

  // The binary with this digest, loaded; fetched once while anyone uses it. DataLoss if what arrives is something else.
  absl::StatusOr<std::shared_ptr<const Module>> GetModule(const std::string& sha256);
  // The pack and unpack kernels for a target.
  absl::StatusOr<std::shared_ptr<const Module>> GetSupport(const std::string& target);

  // FailedPrecondition if kernels for `target` (a Target's text) can't run on this device.
  absl::Status CheckArchitecture(const std::string& target) const;

 private:
  Runtime(std::shared_ptr<grpc::Channel> channel, const ClientOptions& options);
  absl::StatusOr<std::string> FetchBlob(const std::string& sha256);

  const ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<tune::v1::KernelCache::Stub> cache_;
  const CudaDriver* driver_ = nullptr;
  CuDevice device_ = 0;
  CuContext context_ = nullptr;
  int capability_ = 0;  // 90 for compute capability 9.0

  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const Module>> modules_;    // by digest
  std::map<std::string, std::shared_ptr<const Module>> support_;  // by target
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_RUNTIME_H_
