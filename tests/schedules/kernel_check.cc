#include "tests/schedules/kernel_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/emulator/emulator_compiler.h"
#include "tests/emulator/kernel_image.h"
#include "tests/emulator/problem.h"

namespace ladder {

std::string EmulatedKernel::name() const {
  return absl::StrCat(candidate.ToString(), " for ", op.ToString(), " at m = ", m, " on ", arch);
}

std::string CheckKernel(const EmulatedKernel& kernel, const std::string& binary) {
  absl::StatusOr<std::unique_ptr<emulator::KernelImage>> image = emulator::KernelImage::Load(binary);
  if (!image.ok()) return image.status().ToString();
  absl::StatusOr<emulator::Problem> problem = emulator::DrawProblem(kernel.op, kernel.m, 17);
  if (!problem.ok()) return problem.status().ToString();
  std::vector<uint8_t> first;
  for (uint64_t seed : {0, 3}) {
    // The second time a residual is y itself.
    absl::StatusOr<emulator::DeviceBuffer> y =
        emulator::RunProblem(*problem, kernel.lowered.launch, **image, seed, /*in_place=*/seed != 0);
    if (!y.ok()) return absl::StrCat("seed ", seed, ": ", y.status().message());
    const Verification verification = emulator::Compare(*problem, kernel.lowered.numerics, y->span());
    if (!verification.passed) {
      return absl::StrCat("seed ", seed, ": ", verification.wrong_elements, " elements wrong, ", verification.detail);
    }
    if (seed == 0) {
      first.assign(y->data(), y->data() + y->size());
    } else if (!std::equal(first.begin(), first.end(), y->data())) {
      return "another order of threads gives other bits";
    }
  }
  return "";
}

size_t ExpectWithinBound(const std::vector<EmulatedKernel>& kernels, int threads) {
  // Compiling and running alternate on each thread: none waits for the others' phase.
  EmulatorCompilerOptions options;
  options.parallel = 1;
  EmulatorCompiler compiler(options);
  std::vector<std::string> faults(kernels.size());
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i; (i = next++) < kernels.size();) {
      const CompileRequest request{.arch = kernels[i].arch, .source = kernels[i].lowered.source};
      absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&request, 1}, nullptr)[0];
      faults[i] = compiled.ok() ? CheckKernel(kernels[i], compiled->binary) : compiled.status().ToString();
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  size_t wrong = 0;
  for (size_t i = 0; i < kernels.size(); ++i) {
    if (!faults[i].empty()) ADD_FAILURE() << kernels[i].name() << ": " << faults[i];
    wrong += !faults[i].empty();
  }
  return wrong;
}

}  // namespace ladder
