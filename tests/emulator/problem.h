// A matmul drawn at random, in the natural and in the packed form, with its exact product.
#ifndef LADDER_TESTS_EMULATOR_PROBLEM_H_
#define LADDER_TESTS_EMULATOR_PROBLEM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/device.h"
#include "core/operator/operator.h"

namespace ladder::emulator {

// Bytes that start where a GPU allocation would: at a multiple of 256.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(int64_t bytes = 0, uint8_t fill = 0);
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  int64_t size() const { return bytes_; }
  std::span<uint8_t> span() { return {data_.get(), static_cast<size_t>(bytes_)}; }
  std::span<const uint8_t> span() const { return {data_.get(), static_cast<size_t>(bytes_)}; }
  void Fill(uint8_t value);

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  std::unique_ptr<uint8_t, Free> data_;
  int64_t bytes_;
};

struct Problem {
  NormalizedOperator op;
  int64_t m = 0;
  // The natural form; empty where the operator has none.
  std::vector<uint8_t> codes, scales, zeros;
  // What a kernel gets.
  DeviceBuffer x, w, scale, zero, bias, residual;
  float output_scale = 1, sum_scale = 1;
  DeviceBuffer row_scale;
  // The exact result, and the magnitude its error bound is a multiple of.
  std::vector<double> y, magnitude;
};

// Inputs of a seed: activations in [-1, 1), codes uniform over all of them, scales of both signs, zero points over the
// whole range of the codes (fractional where they are numbers).
absl::StatusOr<Problem> DrawProblem(const NormalizedOperator& op, int64_t m, uint64_t seed);

// Compares every element of y (of the operator's output type) with the exact product.
Verification Compare(const Problem& problem, const NumericsSpec& numerics, std::span<const uint8_t> y);

// Runs a kernel on the problem as a launcher would, in slices of max_m rows, y poisoned and the workspace's scratch
// too. `seed`: see Launch::seed. FailedPrecondition for whatever the emulator finds wrong, counters left behind
// included.
class KernelImage;
// `in_place`: the residual, if there is one, is what y holds before.
absl::StatusOr<DeviceBuffer> RunProblem(const Problem& problem, const LaunchSpec& spec, const KernelImage& image,
                                        uint64_t seed, bool in_place = false);

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_PROBLEM_H_
