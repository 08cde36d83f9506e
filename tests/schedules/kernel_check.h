// Kernels run by the emulator against the float64 reference.
#ifndef LADDER_TESTS_SCHEDULES_KERNEL_CHECK_H_
#define LADDER_TESTS_SCHEDULES_KERNEL_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/schedule.h"

namespace ladder {

struct EmulatedKernel {
  std::string arch;
  NormalizedOperator op;
  int64_t m;
  Candidate candidate;
  LoweredKernel lowered;
  std::string name() const;
};

// Empty, or what is wrong with a compiled kernel: run under two orders of threads, the second time with a residual that
// is y itself, every element is within the bound and both times the same bits.
std::string CheckKernel(const EmulatedKernel& kernel, const std::string& binary);

// Compiles and checks each, on `threads` threads; a failure of the test for each that is wrong. How many are.
size_t ExpectWithinBound(const std::vector<EmulatedKernel>& kernels, int threads);

}  // namespace ladder

#endif  // LADDER_TESTS_SCHEDULES_KERNEL_CHECK_H_
