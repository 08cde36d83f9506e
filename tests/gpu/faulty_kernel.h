// Kernels that break the context or don't end, in the place of any matmul kernel.
#ifndef LADDER_TESTS_GPU_FAULTY_KERNEL_H_
#define LADDER_TESTS_GPU_FAULTY_KERNEL_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace ladder {

// Bounds the loop of a fault: long enough to still run when it is killed at its deadline (kFaultDeadline of
// kernel_faults_test.cc), short enough that a GPU which can't be freed of it is free soon after.
inline constexpr int64_t kFaultLoopNs = 5'000'000'000;

// `fault`: "illegal", "misaligned" or "loop", for so long.
inline std::string FaultyKernel(const std::string& fault, int64_t loop_ns = kFaultLoopNs) {
  return absl::StrCat("#define FAULT_", fault, "\n#define LOOP_NS ", loop_ns, "ull\n", R"(
#include "schedules/device/ptx.cuh"
LADDER_KERNEL void ladder_kernel(const LADDER_GRID_CONSTANT ladder::MatmulArguments p) {
#if defined(FAULT_illegal)
  *reinterpret_cast<volatile unsigned*>(16ull) = 1;
#elif defined(FAULT_misaligned)
  unsigned value;
  asm volatile("ld.global.u32 %0, [%1];" : "=r"(value) : "l"(static_cast<const char*>(p.x) + 1));
  *static_cast<volatile unsigned*>(p.y) = value;
#elif defined(FAULT_loop)
  unsigned long long begin, now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (now - begin < LOOP_NS);
#else
#error "no such fault"
#endif
}
)");
}

}  // namespace ladder

#endif  // LADDER_TESTS_GPU_FAULTY_KERNEL_H_
