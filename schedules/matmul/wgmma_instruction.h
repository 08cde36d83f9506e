// The warp group matrix instruction as a generated header. Its operand list has one accumulator per N / 2, so each N is
// a text of its own; writing all 32 of them into one file would cost every compile the parsing of all.
#ifndef LADDER_SCHEDULES_MATMUL_WGMMA_INSTRUCTION_H_
#define LADDER_SCHEDULES_MATMUL_WGMMA_INSTRUCTION_H_

#include <string>

#include "core/types/data_type.h"

namespace ladder {

// Where operand A (64 rows of weights) comes from.
enum class WgmmaSource { kRegisters, kShared };

// KernelSource::extra_headers key of the text below.
inline constexpr char kWgmmaInstructionHeader[] = "ladder/wgmma_instruction.cuh";

// A header that declares, in namespace ladder,
//
//   template <class Compute, int kN>
//   LADDER_DEVICE void wgmma_rs(Sum (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor, u32 accumulate);
//   template <class Weight, class Compute, int kN>  // of 8-bit types
//   LADDER_DEVICE void wgmma_rs(Sum (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor, u32 accumulate);
//   template <class Weight, class Compute, int kN>
//   LADDER_DEVICE void wgmma_ss(Sum (&acc)[kN / 2], u64 a_descriptor, u64 b_descriptor, u32 accumulate);
//
// (Sum: SumOf<Compute>::Type) and specialises the one of `source` for (`weight`, `compute`, `n`), A being the weight:
// wgmma.mma_async.sync.aligned.m64nNk16, of 8-bit types m64nNk32, over 128
// converged threads, acc = a * b + (accumulate ? acc : 0), asynchronous until the group it is committed to is waited
// for. Operand A: registers as mma.m16n8k16 (of 8 bits m16n8k32) has them, warp w of the group holding rows 16w .. 16w
// + 15, or a K-major tile of 64 rows. Operand B: a K-major tile of kN rows (B[k][n] = row n, column k). Descriptors:
// schedules/device/wgmma.cuh. acc[4j + i] of lane t in warp w is row 16w + t / 4 + 8 * (i >> 1), column 8j + 2 * (t %
// 4) + (i & 1).
//
// REQUIRES: weight and compute are both fp16, both bf16, both int8, or each of them fp8; WgmmaTakes(compute, n).
// `unsigned_weight`: of int8, that bytes of the weight are unsigned (U8).
std::string WgmmaInstructionHeader(WgmmaSource source, DataType weight, DataType compute, int n,
                                   bool unsigned_weight = false);

// Whether the instruction exists: n a multiple of 8 from 8 to 256, of int8 above 32 a multiple of 16.
bool WgmmaTakes(DataType compute, int n);

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WGMMA_INSTRUCTION_H_
