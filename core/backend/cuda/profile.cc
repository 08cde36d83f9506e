#include "core/backend/cuda/profile.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backend/cuda/graph_timer.h"
#include "core/backend/cuda/launcher.h"
#include "core/backend/cuda/status_macros.h"

namespace ladder::cuda {
namespace {

constexpr int kL2Multiple = 6;
constexpr int kCublasAlgorithms = 8;
constexpr ProfilePolicy kCool = {.preheat_ms = 20};  // for what draws little power
constexpr ProfilePolicy kQuick = {.repeats = 3, .replay_ms = 0.5, .preheat_ms = 1, .rotate_bytes = 0};

int64_t RotateBytes(const ProfilePolicy& policy, const Target& target) {
  return policy.rotate_bytes > 0 ? policy.rotate_bytes : kL2Multiple * target.limits.l2_bytes;
}

// x, y and what else has a row for each of theirs.
int64_t RowBytes(const Workload& workload) {
  const NormalizedOperator& op = workload.op;
  const int64_t y_bytes = op.columns() * Bytes(op.out());
  return workload.m * (op.k() * Bytes(op.activation()) + (op.residual() ? 2 : 1) * y_bytes);
}

absl::Status FillOperand(CublasType type, DevicePointer out, int64_t rows, int64_t columns, uint64_t seed, float scale,
                         const Bench& bench) {
  RandomArguments arguments = {out, rows, columns, seed, -scale, scale, kRandomF16, 0};
  switch (type) {
    case CublasType::kF16:
      arguments.kind = kRandomF16;
      break;
    case CublasType::kBF16:
      arguments.kind = kRandomBF16;
      break;
    case CublasType::kFp8:
      arguments.kind = kRandomE4M3;
      break;
    case CublasType::kInt8:
      arguments.kind = kRandomBytes;
      break;
  }
  return bench.support.Random(arguments, bench.stream);
}

}  // namespace

int RotatingCopies(int64_t rotate_bytes, int64_t weight_bytes, int64_t other_bytes) {
  const int64_t launch_bytes = std::max<int64_t>(1, weight_bytes + other_bytes);
  return static_cast<int>(std::clamp<int64_t>((rotate_bytes + launch_bytes - 1) / launch_bytes, 1, kMostCopies));
}

absl::StatusOr<std::vector<Measurement>> ProfileKernels(const Workload& workload, std::span<const KernelBinary> kernels,
                                                        const ProfilePolicy& policy, WorkloadData& data,
                                                        const Bench& bench) {
  std::vector<LoadedKernel> loaded;
  int64_t workspace_bytes = 0;
  for (const KernelBinary& kernel : kernels) {
    LADDER_ASSIGN_OR_RETURN(LoadedKernel one, LoadedKernel::Load(kernel));
    workspace_bytes = std::max(workspace_bytes, one.WorkspaceBytes(workload.m));
    loaded.push_back(std::move(one));
  }
  LADDER_RETURN_IF_ERROR(data.Prepare(workload, false, bench.support));
  LADDER_RETURN_IF_ERROR(data.PrepareWorkspace(workspace_bytes));
  const int wanted = RotatingCopies(RotateBytes(policy, bench.target), data.weight_bytes(), RowBytes(workload));
  LADDER_RETURN_IF_ERROR(data.PrepareCopies(wanted));
  const int copies = std::min(wanted, data.copies());  // fewer rows before may have left more
  std::vector<EnqueueCall> calls;
  calls.reserve(loaded.size());
  for (const LoadedKernel& kernel : loaded) {
    calls.push_back([&workload, &data, &kernel, copies](int index, const Stream& stream) {
      return kernel.Enqueue(workload.op, workload.m, data.x(), data.weight(index % copies), data.epilogue(), data.y(),
                            data.workspace(), index > 0, stream);
    });
  }
  return TimeInterleaved(calls, copies, policy, bench.uuid, bench.stream);
}

absl::StatusOr<Measurement> ProfileCublas(const CublasLt& library, CublasType type, int64_t m, int64_t n, int64_t k,
                                          const ProfilePolicy& policy, const Bench& bench) {
  LADDER_ASSIGN_OR_RETURN(const std::unique_ptr<CublasLt::Plan> plan,
                          library.MakePlan(type, m, n, k, kCublasAlgorithms));
  const int64_t weight_bytes = n * k * CublasInputBytes(type);
  const int64_t x_bytes = m * k * CublasInputBytes(type), y_bytes = m * n * CublasOutputBytes(type);
  const int copies = RotatingCopies(RotateBytes(policy, bench.target), weight_bytes, x_bytes + y_bytes);
  LADDER_ASSIGN_OR_RETURN(const Memory weights, Memory::Allocate(copies * weight_bytes));
  LADDER_ASSIGN_OR_RETURN(const Memory x, Memory::Allocate(x_bytes));
  LADDER_ASSIGN_OR_RETURN(const Memory y, Memory::Allocate(y_bytes));
  LADDER_ASSIGN_OR_RETURN(const Memory workspace, Memory::Allocate(kCublasWorkspaceBytes));
  LADDER_RETURN_IF_ERROR(FillOperand(type, weights.pointer(), copies * n, k, 1, 0.125f, bench));
  LADDER_RETURN_IF_ERROR(FillOperand(type, x.pointer(), m, k, 2, 1.0f, bench));

  const auto call = [&](int algorithm) -> EnqueueCall {
    return [&, algorithm](int index, const Stream& stream) {
      const DevicePointer w = weights.pointer() + static_cast<DevicePointer>(index % copies * weight_bytes);
      return plan->Enqueue(algorithm, x.pointer(), w, y.pointer(), workspace.pointer(), stream);
    };
  };
  // The heuristic may propose what then refuses to run.
  std::vector<int> usable;
  for (int algorithm = 0; algorithm < plan->algorithms(); algorithm++) {
    if (call(algorithm)(0, bench.stream).ok()) usable.push_back(algorithm);
  }
  LADDER_RETURN_IF_ERROR(bench.stream.Synchronize());
  if (usable.empty()) return absl::UnimplementedError("no algorithm that cuBLASLt proposes runs");
  int best = usable.front();
  if (usable.size() > 1) {
    std::vector<EnqueueCall> calls;
    calls.reserve(usable.size());
    for (const int algorithm : usable) calls.push_back(call(algorithm));
    LADDER_ASSIGN_OR_RETURN(const std::vector<Measurement> quick,
                            TimeInterleaved(calls, copies, kQuick, bench.uuid, bench.stream));
    const auto fastest = std::ranges::min_element(quick, {}, &Measurement::median_us);
    best = usable[fastest - quick.begin()];
  }
  LADDER_ASSIGN_OR_RETURN(const std::vector<Measurement> final,
                          TimeInterleaved({call(best)}, copies, policy, bench.uuid, bench.stream));
  return final.front();
}

absl::StatusOr<Measurement> ProfileEmpty(const ProfilePolicy& policy, const Bench& bench) {
  const bool dependent = bench.target.capability() >= 90;
  LADDER_ASSIGN_OR_RETURN(const std::vector<Measurement> measured,
                          TimeInterleaved({[&](int index, const Stream& stream) {
                                            return bench.support.Empty(dependent && index > 0, stream);
                                          }},
                                          100, policy, bench.uuid, bench.stream));
  return measured.front();
}

absl::Status MeasureRates(const CublasLt* library, int64_t budget_bytes, const Bench& bench, DeviceLimits& limits) {
  {
    // Several times the L2, within the budget.
    const int64_t wanted = std::max(16 * limits.l2_bytes, int64_t{64} << 20);
    const int64_t bytes = std::min(wanted, budget_bytes * 3 / 4) & ~int64_t{255};
    LADDER_ASSIGN_OR_RETURN(const Memory memory, Memory::Allocate(bytes));
    LADDER_RETURN_IF_ERROR(bench.support.Random({memory.pointer(), 1, bytes, 1, 0, 0, kRandomBytes, 0}, bench.stream));
    std::vector<EnqueueCall> calls;
    for (const int blocks : {8, 16, 32, 64}) {
      calls.push_back([&, blocks](int, const Stream& stream) {
        return bench.support.Read(memory.pointer(), bytes, blocks, stream);
      });
    }
    LADDER_ASSIGN_OR_RETURN(const std::vector<Measurement> reads,
                            TimeInterleaved(calls, 4, kCool, bench.uuid, bench.stream));
    const double us = std::ranges::min_element(reads, {}, &Measurement::median_us)->median_us;
    limits.read_gb_per_s = static_cast<double>(bytes) / us * 1e-3;
  }
  LADDER_ASSIGN_OR_RETURN(const Measurement empty, ProfileEmpty(kCool, bench));
  limits.launch_us = empty.median_us;

  constexpr int64_t kSide = 8192;
  constexpr double kOperations = 2.0 * kSide * kSide * kSide;
  absl::StatusOr<Measurement> product = absl::UnimplementedError("no library");
  if (library != nullptr && 3 * kSide * kSide * 2 + kCublasWorkspaceBytes <= budget_bytes) {
    product = ProfileCublas(*library, CublasType::kF16, kSide, kSide, kSide, {.rotate_bytes = 1}, bench);
    if (!product.ok() && product.status().code() == absl::StatusCode::kInternal) return product.status();
  }
  if (product.ok()) {
    limits.dense_fp16_tflops = kOperations / product->median_us * 1e-6;
  } else if (const absl::StatusOr<Target> flagship = Target::FromName(bench.target.arch); flagship.ok()) {
    const DeviceLimits& published = flagship->limits;
    limits.dense_fp16_tflops = published.dense_fp16_tflops * limits.multiprocessors * limits.clock_ghz /
                               (published.multiprocessors * published.clock_ghz);
  }
  return absl::OkStatus();
}

}  // namespace ladder::cuda
