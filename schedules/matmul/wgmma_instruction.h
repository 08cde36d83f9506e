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
//   LADDER_DEVICE void wgmma_rs(float (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor, u32 accumulate);
//   template <class Compute, int kN>
//   LADDER_DEVICE void wgmma_ss(float (&acc)[kN / 2], u64 a_descriptor, u64 b_descriptor, u32 accumulate);
//
// and specialises the one of `source` for (`compute`, `n`): wgmma.mma_async.sync.aligned.m64nNk16.f32 over 128
// converged threads, acc = a * b + (accumulate ? acc : 0), asynchronous until the group it is committed to is waited
// for. Operand A: registers as mma.m16n8k16 has them, warp w of the group holding rows 16w .. 16w + 15, or a K-major
// tile of 64 rows. Operand B: a K-major tile of kN rows (B[k][n] = row n, column k). Descriptors:
// schedules/device/wgmma.cuh. acc[4j + i] of lane t in warp w is row 16w + t / 4 + 8 * (i >> 1), column 8j + 2 * (t %
// 4) + (i & 1).
//
// REQUIRES: compute is fp16 or bf16; n a multiple of 8 from 8 to 256.
std::string WgmmaInstructionHeader(WgmmaSource source, DataType compute, int n);

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_WGMMA_INSTRUCTION_H_
