#include "schedules/matmul/wgmma_instruction.h"

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

// "%first, %first+1, ..." (count of them).
std::string Operands(int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) absl::StrAppend(&text, i == 0 ? "" : ", ", "%", first + i);
  return text;
}

}  // namespace

std::string WgmmaInstructionHeader(WgmmaSource source, DataType compute, int n) {
  const bool registers = source == WgmmaSource::kRegisters;
  const int accumulators = n / 2;
  const std::string type = compute == DataType::kF16 ? "f16" : "bf16";
  const std::string tag = compute == DataType::kF16 ? "F16" : "BF16";
  const int a = accumulators;  // operand numbers after the accumulators
  const int b = a + (registers ? 4 : 1);
  const std::string a_text = registers ? absl::StrCat("{", Operands(a, 4), "}") : Operands(a, 1);
  const std::string a_parameter = registers ? "const u32 (&a)[4]" : "u64 a_descriptor";
  const std::string a_inputs = registers ? R"("r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]))" : R"("l"(a_descriptor))";
  std::string outputs;
  for (int i = 0; i < accumulators; ++i) absl::StrAppend(&outputs, i == 0 ? "" : ", ", "\"+f\"(acc[", i, "])");

  std::string text = R"(#pragma once
#include "schedules/device/ptx.cuh"
namespace ladder {
template <class Compute, int kN>
LADDER_DEVICE void wgmma_rs(float (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor, u32 accumulate);
template <class Compute, int kN>
LADDER_DEVICE void wgmma_ss(float (&acc)[kN / 2], u64 a_descriptor, u64 b_descriptor, u32 accumulate);
)";
  // scale-d is a predicate; then the signs of A and B, and the transposition of what comes from shared memory (none).
  absl::StrAppend(&text, "template <>\nLADDER_DEVICE void ", registers ? "wgmma_rs" : "wgmma_ss", "<", tag, ", ", n,
                  ">(float (&acc)[", accumulators, "], ", a_parameter, ", u64 b_descriptor, u32 accumulate) {\n",
                  "  asm volatile(\"{\\n.reg .pred p;\\nsetp.ne.b32 p, %", b + 1, ", 0;\\n\"\n",
                  "      \"wgmma.mma_async.sync.aligned.m64n", n, "k16.f32.", type, ".", type, " {",
                  Operands(0, accumulators), "}, ", a_text, ", %", b, ", p, 1, 1, ", registers ? "0" : "0, 0",
                  ";\\n}\"\n      : ", outputs, "\n      : ", a_inputs,
                  ", \"l\"(b_descriptor), \"r\"(accumulate));\n}\n}  // namespace ladder\n");
  return text;
}

}  // namespace ladder
