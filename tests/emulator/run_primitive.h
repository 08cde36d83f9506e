// Runs one primitive case in the emulator.
#ifndef LADDER_TESTS_EMULATOR_RUN_PRIMITIVE_H_
#define LADDER_TESTS_EMULATOR_RUN_PRIMITIVE_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/emulator/emulator_compiler.h"
#include "tests/emulator/kernel_image.h"
#include "tests/emulator/primitive_cases.h"
#include "tests/emulator/problem.h"

namespace ladder::emulator {

inline DeviceBuffer ToBuffer(const std::vector<uint32_t>& words) {
  DeviceBuffer buffer(static_cast<int64_t>(words.size()) * 4);
  std::copy(words.begin(), words.end(), reinterpret_cast<uint32_t*>(buffer.data()));
  return buffer;
}

// The words of y, 0xffffffff where nothing was written.
inline absl::StatusOr<std::vector<uint32_t>> RunPrimitive(Compiler& compiler, const PrimitiveCase& primitive,
                                                          uint64_t seed, const std::string& arch = "sm_90a") {
  const CompileRequest request = PrimitiveRequest(primitive, arch);
  absl::StatusOr<CompiledKernel> compiled = compiler.Compile({&request, 1}, nullptr)[0];
  if (!compiled.ok()) return compiled.status();
  absl::StatusOr<std::unique_ptr<KernelImage>> image = KernelImage::Load(compiled->binary);
  if (!image.ok()) return image.status();
  DeviceBuffer x = ToBuffer(primitive.x), w = ToBuffer(primitive.w), y(primitive.y_words * 4, 0xff),
               workspace(primitive.workspace_words * 4);
  MatmulTmaArguments arguments = {};
  arguments.base.x = x.data();
  arguments.base.w = w.data();
  arguments.base.y = y.data();
  arguments.base.workspace = workspace.data();
  arguments.base.m = primitive.m;
  if (primitive.tensor_map) {
    TensorMapContents map = primitive.map;
    map.base = x.data();
    const absl::Status encoded = EncodeTensorMap(map, arguments.x_map);
    if (!encoded.ok()) return encoded;
  }
  Launch launch;
  launch.threads = 128;
  launch.blocks = primitive.blocks;
  launch.cluster = primitive.cluster;
  launch.shared_bytes = primitive.shared_bytes;
  launch.seed = seed;
  launch.buffers = {{"x", x.data(), x.size()},
                    {"w", w.data(), w.size()},
                    {"y", y.data(), y.size(), true},
                    {"workspace", workspace.data(), workspace.size(), true}};
  const absl::Status status = (*image)->Run(launch, &arguments);
  if (!status.ok()) return status;
  const uint32_t* words = reinterpret_cast<const uint32_t*>(y.data());
  return std::vector<uint32_t>(words, words + primitive.y_words);
}

// The same bits, or the same number within the case's tolerance.
inline bool SameWord(const PrimitiveCase& primitive, uint32_t got, uint32_t expected) {
  if (primitive.tolerance == 0) return got == expected;
  const double value = std::bit_cast<float>(expected);
  return std::fabs(std::bit_cast<float>(got) - value) <= primitive.tolerance * std::fabs(value);
}

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_RUN_PRIMITIVE_H_
