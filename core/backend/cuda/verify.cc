#include "core/backend/cuda/verify.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/backend/cuda/launcher.h"
#include "core/backend/cuda/status_macros.h"
#include "core/tuning/error_bound.h"

namespace ladder::cuda {
namespace {

// NaNs in every output type, and plain numbers of another kind: what a kernel leaves unwritten shows in the first run's
// comparison or in the second run's bits.
constexpr uint8_t kFirstPoison = 0xff;
constexpr uint8_t kSecondPoison = 0x3c;

absl::StatusOr<int64_t> CountersLeft(DevicePointer workspace, const Stream& stream) {
  std::vector<uint32_t> counters(kCounterBytes / 4);
  LADDER_RETURN_IF_ERROR(stream.Download(counters.data(), workspace, kCounterBytes));
  return std::ranges::count_if(counters, [](uint32_t value) { return value != 0; });
}

}  // namespace

absl::StatusOr<Verification> VerifyKernel(const Workload& workload, const KernelBinary& kernel, WorkloadData& data,
                                          const SupportKernels& support, const Stream& stream) {
  LADDER_ASSIGN_OR_RETURN(const LoadedKernel loaded, LoadedKernel::Load(kernel));
  LADDER_RETURN_IF_ERROR(data.Prepare(workload, true, support));
  const int64_t workspace_bytes = loaded.WorkspaceBytes(workload.m);
  LADDER_RETURN_IF_ERROR(data.PrepareWorkspace(workspace_bytes));

  const auto run = [&](bool follows_kernel) {
    return loaded.Enqueue(workload.op, workload.m, data.x(), data.weight(0), data.epilogue(), data.y(),
                          data.workspace(), follows_kernel, stream);
  };
  Verification verification;
  const auto fail = [&](const std::string& detail) {
    verification.passed = false;
    if (verification.detail.empty()) verification.detail = detail;
  };

  LADDER_RETURN_IF_ERROR(data.PoisonOutput(kFirstPoison));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  LADDER_RETURN_IF_ERROR(run(false));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  const ErrorBound bound = BoundFor(workload.op, kernel.numerics);
  LADDER_ASSIGN_OR_RETURN(const Comparison comparison, data.CompareOutput(bound, support));
  verification.passed = comparison.wrong == 0;
  verification.wrong_elements = comparison.wrong;
  verification.worst_ratio = comparison.worst_ratio;
  verification.relative_norm =
      comparison.squared_reference > 0 ? std::sqrt(comparison.squared_error / comparison.squared_reference) : 0;
  if (comparison.wrong > 0) {
    LADDER_ASSIGN_OR_RETURN(const std::string element, data.DescribeElement(comparison.first_wrong, bound, support));
    fail(absl::StrCat(comparison.wrong, " of ", workload.m * workload.op.columns(),
                      " elements are wrong, the first is ", element));
  }
  LADDER_ASSIGN_OR_RETURN(const std::string guards, data.CheckGuards());
  if (!guards.empty()) fail(guards);
  if (workspace_bytes > 0) {
    LADDER_ASSIGN_OR_RETURN(const int64_t left, CountersLeft(data.workspace(), stream));
    if (left > 0) fail(absl::StrCat("left ", left, " workspace counters that are not zero"));
  }
  if (!verification.passed) return verification;

  LADDER_ASSIGN_OR_RETURN(const uint64_t first_bits, support.Hash(data.y(), data.y_bytes(), stream));
  LADDER_RETURN_IF_ERROR(data.PoisonOutput(kSecondPoison));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  LADDER_RETURN_IF_ERROR(run(false));
  LADDER_RETURN_IF_ERROR(run(true));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  LADDER_ASSIGN_OR_RETURN(const uint64_t second_bits, support.Hash(data.y(), data.y_bytes(), stream));
  if (first_bits != second_bits) fail("two runs on the same inputs gave different bits");
  LADDER_ASSIGN_OR_RETURN(const std::string guards_again, data.CheckGuards());
  if (!guards_again.empty()) fail(guards_again);
  return verification;
}

}  // namespace ladder::cuda
