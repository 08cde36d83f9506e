// The text of a kernel: an include, a typed Config and one instantiation. Everything a kernel knows at compile time is
// a named member of Config, so the text stays a handful of lines and no kernel is written inside a string.
#ifndef LADDER_SCHEDULES_MATMUL_CONFIG_H_
#define LADDER_SCHEDULES_MATMUL_CONFIG_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/target/target.h"

namespace ladder {

// What surrounds the operator in the text.
struct KernelShape {
  absl::string_view header;    // "schedules/matmul/decode.cuh"
  absl::string_view function;  // "DecodeMatmul": a template over Config in namespace ladder
  absl::string_view arguments = "MatmulArguments";
  int threads = 0;
  int blocks_per_multiprocessor = 1;  // what registers are allotted for
  // Further includes, before `header` (generated instructions).
  std::vector<absl::string_view> includes;
  // Schedule parameters, as `static constexpr int` members: {"kStages", 4}.
  std::vector<std::pair<absl::string_view, int64_t>> parameters;
};

// struct Config with
//   Compute, Output    ladder::F16, BF16, F32
//   X                  the activations': Compute, or E4M3, E5M2, I8 that are widened to it (widen.cuh)
//   Weight             ladder::Integer4<8> (int4), Integer4<0> (uint4), Integer<bits, offset>, Signs (int1);
//                      Table4<...>, Table<bits, ...> (tables and floats of up to 4 bits); Float<...>, HalfOfF16 (wider
//                      floats); Values, a type before Config that derives from Lookup<bits> (wider tables); with 8-bit
//                      activations TopBytes<bits>, SignBytes, LowBytes<bits, ...>, FloatBytes<bits, ...>,
//                      TableBytes<bits, ...>; F16, BF16, E4M3, E5M2 or I8 for those that are multiplied as they are
//   Bias               the bias's type
//   Scale, kZeros      the scale's type (Compute for plain weights), ladder::Zeros
//   kN, kK, kGroup     int; kGroup == kK for one scale per channel
//   kXGroup, XScale    int; columns of x that share a scale, 0: none do. Its type: E8M0, F32
//   kBias              bool
//   kChannelScale, kRowScale, kSumScale   bool: what the epilogue multiplies sums by
//   kAct               ladder::Act
//   kOutputScale, kResidual   bool; the residual is of type Output
// and the parameters.
std::string ConfigText(const NormalizedOperator& op, const KernelShape& shape);
// The whole source: includes, Config and the kernel `ladder_kernel`.
std::string KernelText(const NormalizedOperator& op, const KernelShape& shape);

// Whether the weight can be decoded by looking values up in shared memory (`shared_table`; pair_table.cuh) or without.
// For tables and floats of 4 bits that is a schedule's choice; wider tables are always looked up, the rest never.
bool CanDecode(const NormalizedOperator& op, bool shared_table);
// Size of that table.
int64_t SharedTableBytes(const NormalizedOperator& op);

// Ok if the device decoders serve the weight: signed, unsigned, float or table elements, whose values the compute type
// can hold, with fp16 or bf16 scales whose group is a multiple of 16 or K,
// zeros for unsigned elements only. Unimplemented naming the field and the nearest that is served otherwise.
absl::Status SupportsQuantizedWeight(const NormalizedOperator& op);

// Whether a scaled weight, w * s in the compute type, is a finite number. fp16 holds 65504: bf16 and e8m0 scales go far
// beyond; e4m3 ones, of at most 448, do with values above 146 (uint8, fp8). Of fp16 scales it is the contract that no
// weight is outside fp16's range, as those of fp16 models aren't (QuantizeReference makes none).
bool ScaledWeightsFit(const NormalizedOperator& op);

// The type of the bytes that packed weights are decoded to for 8-bit activations; unsigned 8-bit codes go by int8 too.
DataType ByteType(const NormalizedOperator& op);
// Ok if byte_decode.cuh decodes the weight for the operator's 8-bit activations, by a device of this target's
// architecture: what is packed for products of bytes (NormalizedOperator::compute), with scales of 16 or 8 bits.
// Unimplemented naming the field and the nearest that is served otherwise.
absl::Status SupportsByteWeight(const NormalizedOperator& op, const Target& target);

// Ok if the weight is multiplied as it is, both operands of 16 bits or both of 8, by a device of this target's
// architecture. Unimplemented naming the field and the nearest that is served otherwise.
absl::Status SupportsDenseWeight(const NormalizedOperator& op, const Target& target);

// InvalidArgument unless the candidate is of this schedule and has exactly these parameters in this order (it may come
// from another machine's records).
absl::Status CheckParameters(const Candidate& candidate, absl::string_view schedule,
                             const std::vector<absl::string_view>& names);

}  // namespace ladder

#endif  // LADDER_SCHEDULES_MATMUL_CONFIG_H_
