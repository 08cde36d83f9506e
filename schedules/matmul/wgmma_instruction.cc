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

struct Names {
  absl::string_view instruction, tag;
};

Names NamesOf(DataType type) {
  switch (type) {
    case DataType::kBF16:
      return {"bf16", "BF16"};
    case DataType::kE4M3:
      return {"e4m3", "E4M3"};
    case DataType::kE5M2:
      return {"e5m2", "E5M2"};
    case DataType::kI8:
      return {"s8", "I8"};
    case DataType::kF16:
    case DataType::kF32:
    case DataType::kI32:
    case DataType::kE8M0:
      break;
  }
  return {"f16", "F16"};
}

}  // namespace

bool WgmmaTakes(DataType compute, int n) {
  return n % 8 == 0 && n >= 8 && n <= 256 && (compute != DataType::kI8 || n <= 32 || n % 16 == 0);
}

std::string WgmmaInstructionHeader(WgmmaSource source, DataType weight, DataType compute, int n, bool unsigned_weight) {
  const bool registers = source == WgmmaSource::kRegisters;
  const int accumulators = n / 2;
  const Names a_names = unsigned_weight ? Names{"u8", "U8"} : NamesOf(weight), b_names = NamesOf(compute);
  const bool integer = compute == DataType::kI8, wide = Bytes(compute) == 2;
  const int a = accumulators;  // operand numbers after the accumulators
  const int b = a + (registers ? 4 : 1);
  const std::string a_text = registers ? absl::StrCat("{", Operands(a, 4), "}") : Operands(a, 1);
  const std::string a_parameter = registers ? "const u32 (&a)[4]" : "u64 a_descriptor";
  const std::string a_inputs = registers ? R"("r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]))" : R"("l"(a_descriptor))";
  std::string outputs;
  for (int i = 0; i < accumulators; ++i)
    absl::StrAppend(&outputs, i == 0 ? "" : ", ", integer ? "\"+r\"(acc[" : "\"+f\"(acc[", i, "])");

  std::string text = R"(#pragma once
#include "schedules/device/ptx.cuh"
namespace ladder {
template <class Compute, int kN>
LADDER_DEVICE void wgmma_rs(typename SumOf<Compute>::Type (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor,
                            u32 accumulate);
template <class Weight, class Compute, int kN>
LADDER_DEVICE void wgmma_rs(typename SumOf<Compute>::Type (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor,
                            u32 accumulate);
template <class Weight, class Compute, int kN>
LADDER_DEVICE void wgmma_ss(typename SumOf<Compute>::Type (&acc)[kN / 2], u64 a_descriptor, u64 b_descriptor,
                            u32 accumulate);
)";
  // scale-d is a predicate; then, but for integers, the signs of A and B; and for 16 bits the transposition of what
  // comes from shared memory (none).
  const absl::string_view modifiers = integer ? "" : !wide ? ", 1, 1" : registers ? ", 1, 1, 0" : ", 1, 1, 0, 0";
  absl::StrAppend(&text, "template <>\nLADDER_DEVICE void ", registers ? "wgmma_rs<" : "wgmma_ss<",
                  registers && wide ? "" : absl::StrCat(a_names.tag, ", "), b_names.tag, ", ", n, ">(",
                  integer ? "int" : "float", " (&acc)[", accumulators, "], ", a_parameter,
                  ", u64 b_descriptor, u32 accumulate) {\n  asm volatile(\"{\\n.reg .pred p;\\nsetp.ne.b32 p, %", b + 1,
                  ", 0;\\n\"\n      \"wgmma.mma_async.sync.aligned.m64n", n, wide ? "k16." : "k32.",
                  integer ? "s32" : "f32", ".", a_names.instruction, ".", b_names.instruction, " {",
                  Operands(0, accumulators), "}, ", a_text, ", %", b, ", p", modifiers, ";\\n}\"\n      : ", outputs,
                  "\n      : ", a_inputs, ", \"l\"(b_descriptor), \"r\"(accumulate));\n}\n}  // namespace ladder\n");
  return text;
}

}  // namespace ladder
