// The kernels of primitive_kernels.cuh as data: source, launch, inputs. tests/emulator runs them in the emulator and
// checks what they write; the gpu test runs them on both and compares.
#ifndef LADDER_TESTS_EMULATOR_PRIMITIVE_CASES_H_
#define LADDER_TESTS_EMULATOR_PRIMITIVE_CASES_H_

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/backend/compiler.h"
#include "core/types/data_type.h"
#include "tests/emulator/launch.h"

namespace ladder::emulator {

struct PrimitiveCase {
  std::string name;
  std::string call;          // "arithmetic_kernel<F16>(p)"
  std::string declarations;  // before the kernel, outside any namespace
  int capability = 80;       // the least that has it; 90 for wgmma means sm_90a
  bool wgmma = false;
  int n = 0;  // wgmma's N, and whether A comes from registers, and its type
  bool registers = false;
  DataType a_type = DataType::kF16, b_type = DataType::kF16;  // of the warp group instruction
  bool unsigned_a = false;                                    // U8 where a_type is int8
  int m = 0;
  int64_t blocks = 1;
  int cluster = 1;
  int64_t workspace_words = 0;
  int64_t shared_bytes = 0;
  std::vector<uint32_t> x, w;
  int64_t y_words = 0;
  double tolerance = 0;     // not 0: the words are floats and may differ by this, relative to the value
  bool tensor_map = false;  // over x
  TensorMapContents map;    // base is set at the launch
};

// For GoogleTest's messages.
void PrintTo(const PrimitiveCase& primitive, std::ostream* out);

std::vector<PrimitiveCase> PrimitiveCases();
// The text that either compiler gets; headers of tests/emulator travel with it, as NVRTC reads no files.
CompileRequest PrimitiveRequest(const PrimitiveCase& primitive, const std::string& arch);

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_PRIMITIVE_CASES_H_
