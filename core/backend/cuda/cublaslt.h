// The vendor library as a yardstick: Y[m, N] = X[m, K] * W[N, K]^T by cuBLASLt, opened with dlopen.
#ifndef LADDER_CORE_BACKEND_CUDA_CUBLASLT_H_
#define LADDER_CORE_BACKEND_CUDA_CUBLASLT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/driver.h"

namespace ladder::cuda {

enum class CublasType : uint8_t { kF16, kBF16, kFp8, kInt8 };

// Bytes of an element of X and W, and of Y: fp16 and fp8 write fp16, bf16 bf16, int8 int32.
int64_t CublasInputBytes(CublasType type);
int64_t CublasOutputBytes(CublasType type);

inline constexpr int64_t kCublasWorkspaceBytes = int64_t{64} << 20;

class CublasLt {
 public:
  // Unimplemented, saying where was looked, if the library is not installed.
  static absl::StatusOr<std::unique_ptr<CublasLt>> Open();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  // One product's description and the algorithms the library proposes for it, its favourite first.
  class Plan {
   public:
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    int algorithms() const;
    // Enqueues the product by algorithm number `algorithm`. Can be captured.
    absl::Status Enqueue(int algorithm, DevicePointer x, DevicePointer w, DevicePointer y, DevicePointer workspace,
                         const Stream& stream) const;

   private:
    friend class CublasLt;
    struct State;
    explicit Plan(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  // Unimplemented if the library has no algorithm for it.
  absl::StatusOr<std::unique_ptr<Plan>> MakePlan(CublasType type, int64_t m, int64_t n, int64_t k, int most) const;

 private:
  struct Api;
  CublasLt();
  std::unique_ptr<Api> api_;
};

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_CUBLASLT_H_
