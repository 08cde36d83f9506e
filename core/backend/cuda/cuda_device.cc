#include "core/backend/cuda/cuda_device.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/backend/cuda/cublaslt.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/cuda/nvml.h"
#include "core/backend/cuda/profile.h"
#include "core/backend/cuda/status_macros.h"
#include "core/backend/cuda/support_kernels.h"
#include "core/backend/cuda/verify.h"
#include "core/backend/cuda/workload_data.h"

namespace ladder {

namespace {

// The driver's context, the modules and the vendor library's buffers: what this process holds beyond its budget, at
// most. More memory in use than both is somebody else's.
constexpr int64_t kContextAllowance = int64_t{1536} << 20;
// The period that NVML's busy share is of, with a margin.
constexpr absl::Duration kBusyPeriod = absl::Milliseconds(1100);

}  // namespace

using cuda::CublasLt;
using cuda::CublasType;

// Destroyed from the bottom up: buffers and modules before their stream, all before the context.
struct CudaDevice::State {
  CudaDeviceOptions options;
  std::mutex mutex;
  std::unique_ptr<cuda::Context> context;
  cuda::Stream stream;
  Target target;
  std::string uuid;
  bool lost = false;
  absl::Time used_until = absl::Now();  // by this process, or by one in whose place it came
  bool rates_measured = false;
  std::string support_binary;
  std::optional<cuda::SupportKernels> support;
  absl::StatusOr<std::unique_ptr<CublasLt>> cublas = absl::UnknownError("not opened");
  bool cublas_opened = false;
  std::unique_ptr<cuda::WorkloadData> data;

  State(const CudaDeviceOptions& o, std::unique_ptr<cuda::Context> c, cuda::Stream s)
      : options(o), context(std::move(c)), stream(std::move(s)) {}

  // Before every call that uses the GPU.
  absl::Status Enter(bool needs_support) {
    if (lost) return absl::FailedPreconditionError("the GPU context is lost: restart the worker");
    LADDER_RETURN_IF_ERROR(context->MakeCurrent());
    if (needs_support && !support.has_value()) {
      return absl::FailedPreconditionError("the support kernels are not loaded: call LoadSupport first");
    }
    return absl::OkStatus();
  }
  // After every such call: notices a context that a kernel broke.
  template <typename Result>
  Result Leave(Result result, const absl::Status& status) {
    used_until = absl::Now();
    if (!status.ok() && !context->Alive()) lost = true;
    return result;
  }
  template <typename T>
  absl::StatusOr<T> Leave(absl::StatusOr<T> result) {
    used_until = absl::Now();
    if (!result.ok() && !context->Alive()) lost = true;
    return result;
  }

  cuda::Bench Bench() const { return {*support, stream, target, uuid}; }

  const absl::StatusOr<std::unique_ptr<CublasLt>>& Cublas() {
    if (!cublas_opened) cublas = CublasLt::Open();
    cublas_opened = true;
    return cublas;
  }
};

CudaDevice::CudaDevice(std::unique_ptr<State> state) : state_(std::move(state)) {}

CudaDevice::~CudaDevice() {
  // Frees on the right context whichever thread ends it; after a lost context every free fails, harmlessly.
  (void)state_->context->MakeCurrent();
}

int CudaDevice::Count() { return cuda::DeviceCount(); }

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Open(const CudaDeviceOptions& options) {
  LADDER_ASSIGN_OR_RETURN(std::unique_ptr<cuda::Context> context, cuda::Context::Open(options.device));
  LADDER_ASSIGN_OR_RETURN(cuda::Stream stream, cuda::Stream::Create());
  LADDER_ASSIGN_OR_RETURN(const int64_t free_bytes, context->FreeMemory());
  auto state = std::make_unique<State>(options, std::move(context), std::move(stream));
  state->options.memory_budget_bytes = std::min(options.memory_budget_bytes, free_bytes / 2);
  LADDER_ASSIGN_OR_RETURN(state->target, state->context->DescribeTarget());
  LADDER_ASSIGN_OR_RETURN(state->uuid, state->context->Uuid());
  state->data = std::make_unique<cuda::WorkloadData>(state->stream, state->options.memory_budget_bytes);
  return std::unique_ptr<CudaDevice>(new CudaDevice(std::move(state)));
}

absl::StatusOr<Target> CudaDevice::GetTarget() {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(false));
  if (s.rates_measured || !s.support.has_value()) return s.target;
  const CublasLt* const library = s.Cublas().ok() ? s.Cublas()->get() : nullptr;
  DeviceLimits limits = s.target.limits;
  const absl::Status status = cuda::MeasureRates(library, s.options.memory_budget_bytes, s.Bench(), limits);
  LADDER_RETURN_IF_ERROR(s.Leave(status, status));
  s.target.limits = limits;
  s.rates_measured = true;
  return s.target;
}

absl::StatusOr<DeviceEnvironment> CudaDevice::GetEnvironment() {
  const std::lock_guard lock(state_->mutex);
  std::string driver = cuda::DriverVersion();
  if (driver.empty()) driver = absl::StrCat("cuda ", state_->context->DriverApiVersion());
  return DeviceEnvironment{driver, state_->uuid};
}

absl::StatusOr<DeviceConditions> CudaDevice::GetConditions() {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(false));
  DeviceConditions conditions;
  LADDER_ASSIGN_OR_RETURN(const int64_t used, s.context->UsedMemory());
  conditions.other_memory_bytes = std::max<int64_t>(0, used - s.options.memory_budget_bytes - kContextAllowance);
  conditions.other_processes = cuda::OtherProcesses(s.uuid);
  conditions.throttled = cuda::IsThrottled(s.uuid);
  // With others here it is worth a second to tell their share from ours.
  const bool shared = conditions.other_memory_bytes > 0 || conditions.other_processes.value_or(0) > 0;
  const absl::Duration since_use = absl::Now() - s.used_until;
  if (shared && since_use < kBusyPeriod) absl::SleepFor(kBusyPeriod - since_use);
  if (shared || since_use >= kBusyPeriod) conditions.busy_percent = cuda::BusyPercent(s.uuid);
  return conditions;
}

absl::Status CudaDevice::LoadSupport(const CompiledKernel& support) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(false));
  if (s.support.has_value() && s.support_binary == support.binary) return absl::OkStatus();
  absl::StatusOr<cuda::SupportKernels> loaded =
      s.Leave(cuda::SupportKernels::Load(support.binary, s.target.limits.multiprocessors));
  if (!loaded.ok()) return loaded.status();
  s.support.emplace(*std::move(loaded));
  s.support_binary = support.binary;
  return absl::OkStatus();
}

void CudaDevice::PrepareVerify(const Workload& workload) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (!s.Enter(true).ok()) return;
  absl::Status status = s.data->Prepare(workload, true, *s.support);
  if (status.ok()) status = s.data->MakeReference(*s.support);
  if (status.ok()) status = s.stream.Synchronize();
  s.Leave(status, status).IgnoreError();
}

absl::StatusOr<Verification> CudaDevice::Verify(const Workload& workload, const KernelBinary& kernel) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(true));
  return s.Leave(cuda::VerifyKernel(workload, kernel, *s.data, *s.support, s.stream));
}

absl::StatusOr<std::vector<Measurement>> CudaDevice::Profile(const Workload& workload,
                                                             std::span<const KernelBinary> kernels,
                                                             const ProfilePolicy& policy) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(true));
  return s.Leave(cuda::ProfileKernels(workload, kernels, policy, *s.data, s.Bench()));
}

absl::StatusOr<Measurement> CudaDevice::ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                                         const ProfilePolicy& policy) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  LADDER_RETURN_IF_ERROR(s.Enter(true));
  if (yardstick == "empty") return s.Leave(cuda::ProfileEmpty(policy, s.Bench()));

  CublasType type;
  int64_t m = workload.m;
  if (yardstick == "cublaslt_fp16") {
    type = workload.op.activation() == DataType::kBF16 ? CublasType::kBF16 : CublasType::kF16;
  } else if (yardstick == "cublaslt_fp8") {
    // The least the library takes, in multiples of 16.
    type = CublasType::kFp8;
    m = (m + 15) / 16 * 16;
  } else if (yardstick == "cublaslt_int8") {
    type = CublasType::kInt8;
    m = (m + 31) / 32 * 32;
  } else {
    return absl::UnimplementedError(
        absl::StrCat("no yardstick '", yardstick, "'; there are cublaslt_fp16, cublaslt_fp8, cublaslt_int8 and empty"));
  }
  if (!s.Cublas().ok()) return s.Cublas().status();
  s.data->Clear();  // the library's operands are larger than ours: make room
  return s.Leave(cuda::ProfileCublas(**s.Cublas(), type, m, workload.op.n(), workload.op.k(), policy, s.Bench()));
}

}  // namespace ladder
