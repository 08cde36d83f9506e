// The plainest kernel for fp16 weights, and versions of it with one fault each: what verification has to catch.
#ifndef LADDER_TESTS_GPU_PLAIN_KERNEL_H_
#define LADDER_TESTS_GPU_PLAIN_KERNEL_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "core/operator/operator.h"
#include "core/schedule/launch_spec.h"

namespace ladder {

enum class Fault : int {
  kNone = 0,
  kWrongElement = 1,    // one element off by 1
  kUnwritten = 2,       // one element never written
  kPastTheEnd = 3,      // one element written behind y
  kBeforeTheStart = 4,  // and before it
  kChangesEachRun = 5,  // within the bound, other bits every time (for fp32 outputs)
  kLeavesCounter = 6,   // a workspace counter stays set
  kIllegalAddress = 7,
};

// One thread an output element, fp32 sums in natural order.
inline std::string PlainKernel(const NormalizedOperator& op, Fault fault) {
  return absl::StrCat("#define FAULT ", static_cast<int>(fault), "\n#define N ", op.n(), "LL\n#define K ", op.k(),
                      "LL\n#define OUT_F32 ", op.out() == DataType::kF32 ? 1 : 0, R"(
#include "schedules/device/ptx.cuh"
LADDER_KERNEL void ladder_kernel(const LADDER_GRID_CONSTANT ladder::MatmulArguments p) {
  using namespace ladder;
  const i64 i = static_cast<i64>(block_id()) * 128 + thread_id();
  if (i >= p.m * N) return;
  const u16* x = static_cast<const u16*>(p.x) + i / N * K;
  const u16* w = static_cast<const u16*>(p.w) + i % N * K;
#if OUT_F32
  float* y = static_cast<float*>(p.y);
#else
  u16* y = static_cast<u16*>(p.y);
#endif
  if (FAULT == 7) y = reinterpret_cast<decltype(y)>(16ull);
  float sum = 0;
  for (i64 k = 0; k < K; k++) sum += to_float(F16{}, x[k]) * to_float(F16{}, w[k]);
  if (FAULT == 1 && i == N + 3) sum += 1;
  if (FAULT == 2 && i == N + 3) return;
  // The scratch behind the counters starts as all ones: 1, 0, 0 in three runs.
  if (FAULT == 5 && i == N + 3) {
    sum = bits_float(float_bits(sum) ^ (atomic_increment(static_cast<char*>(p.workspace) + 65536) >> 1 & 1));
  }
#if OUT_F32
  y[i] = sum;
#else
  y[i] = static_cast<u16>(from_float(F16{}, sum));
#endif
  if (FAULT == 3 && i == 0) y[p.m * N] = 0;
  if (FAULT == 4 && i == 0) y[-1] = 0;
  if (FAULT == 6 && i == 0) atomic_increment(p.workspace);
}
)");
}

inline LaunchSpec PlainLaunch(const NormalizedOperator& op, Fault fault) {
  LaunchSpec spec;
  spec.threads = 128;
  spec.blocks_per_m_tile = (op.n() + 127) / 128;
  spec.max_m = 1 << 20;
  if (fault == Fault::kChangesEachRun || fault == Fault::kLeavesCounter) spec.workspace_bytes_per_m_tile = 16;
  return spec;
}

}  // namespace ladder

#endif  // LADDER_TESTS_GPU_PLAIN_KERNEL_H_
