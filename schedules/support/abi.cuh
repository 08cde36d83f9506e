// The arguments of the support kernels, one struct by value each. A client that packs weights itself builds
// PackArguments from these fields; core/backend/cuda/support_abi.h mirrors all of them for the host.
// Every kernel strides over its work, so any 1-D grid is correct; blocks are kSupportThreads wide.
#pragma once
#include "schedules/device/types.cuh"

namespace ladder::support {

inline constexpr int kSupportThreads = 256;
inline constexpr int kScaleF32 = 3, kScaleE4M3 = 4, kScaleE8M0 = 5;  // DataType

// ladder_pack reads the natural form and writes the packed one; ladder_unpack the other way round. 96 bytes.
// Natural form: codes row-major, `bits` each, little-endian within bytes, rows byte-aligned; scales and zeros row-major
// [n][groups]; quantized zeros row-major, `bits` each, rows byte-aligned. Packed form: core/layout/packed_layout.h.
struct PackArguments {
  void* codes;
  void* scales;  // 16-bit values, or what scale_type says; unused when groups == 0
  void* zeros;   // unused when zero_mode == 0
  void* packed;  // 16-byte aligned, as are all packed pointers
  void* packed_scales;
  void* packed_zeros;
  i64 n;
  i64 k;
  i64 groups;         // K / group; 0: no scales
  int placement;      // CodePlacement: 0: not packed, copied with scales of the type they have; 1: integers; 2: tables;
                      // for activations of 8 bits 3: bytes; 4: looked up
  int bits;           // 1 to 8 (16 or 8 with placement 0)
  int offset_binary;  // 1: two's complement codes, packed as code + 2^(bits - 1)
  int zero_mode;      // 0 none, 1 original and 2 rescale (16-bit values), 3 quantized (`bits` each)
  int gated;          // 1: gate rows [0, n/2) and up rows [n/2, n), interleaved by 8; n is a multiple of 16
  int scale_type;  // natural scales: 0 as packed, 16 bits; DataType 3 fp32, copied; DataType 4 (e4m3, packed as fp16)
                   // or 5 (e8m0, packed as bf16)
};

// ladder_random fills a matrix. 48 bytes.
enum RandomKind : int {
  kRandomF16 = 1,  // uniform in [low, high], rounded
  kRandomBF16 = 2,
  kRandomF32 = 3,
  kRandomCodes = 4,  // all codes of `bits`; rows are byte-aligned, the bits after a row's last code are zero
  kRandomBytes = 5,  // all 256
  kRandomE4M3 = 6,   // finite fp8 values, e5m2's too, of magnitude below 2
  kRandomE8M0 = 7,   // 2^-8 to 2^-1, over 2^bits
  // Integers of magnitude at most `high`, at most 8 (core/reference/operand_draw.h).
  kRandomSmallI8 = 8,
  kRandomSmallE4M3 = 9,
  kRandomSmallE5M2 = 10,
  kRandomScaleE4M3 = 11,  // kRandomE4M3's, with exponents less by `bits`, but none below the least
};
struct RandomArguments {
  void* out;
  i64 rows;
  i64 columns;  // elements in a row
  u64 seed;
  float low;
  float high;
  int kind;
  int bits;  // of kRandomCodes, and where said above
};

// ladder_reference: act(product * row_scale * sum_scale + bias) * output_scale + residual from the natural form,
// rounded once to fp32 (fp32 sums of 16 products, added in fp64; what follows in fp64), and the magnitude that the
// error bound multiplies (core/tuning/error_bound.h), both [m][columns] without gaps. 1,176 bytes.
struct ReferenceArguments {
  const void* x;      // [m][k]
  const void* codes;  // as in PackArguments, or weights that are multiplied as they are
  const void* scales;
  const void* zeros;
  const void* bias;  // [n] in natural order, or null
  float* reference;
  float* magnitude;
  i64 m;
  i64 n;
  i64 k;
  i64 group;              // consecutive k per scale; 0: no scales
  float table[256];       // value of each code, two's complement codes included
  int activation;         // DataType: 1 fp16, 2 bf16, 4 e4m3, 6 e5m2, 7 int8
  int scale;              // DataType of scales (1, 2, 3, 4, 5) and of zeros that aren't quantized (1, 2)
  int plain;              // 0: codes through the table; else the DataType of weights that are not packed
  int zero_mode;          // as in PackArguments
  int act;                // ActivationFunction: 0 none, 1 silu, 2 gelu, 3 gelu_tanh, 4 swiglu
  int out;                // DataType of the residual
  const void* residual;   // [m][columns], or null
  float output_scale;     // 1 without one
  float product_error;    // ErrorBound::absolute of the widest path, for the second-order term of swiglu
  const void* row_scale;  // [m] in fp32, or of the groups of x, or null
  float sum_scale;        // 1 without one
  int bias_type;          // DataType
  int bits;               // of a code
  int x_group;            // logarithm of the consecutive k of x per scale, which divide k, + 256 * the scale's DataType
                          // (3 or 5); 0: no such scales
};

// ladder_compare adds to one CompareResult, which the host prepares (zeros; first_wrong all ones). 80 bytes.
struct CompareResult {
  u64 wrong;             // beyond the bound, or not a finite number
  u64 first_wrong;       // lowest index of those
  u64 worst_ratio_bits;  // of the double max |y - ref| / bound; kNotFiniteRatio for a NaN or infinity
  double squared_error;
  double squared_reference;
};
inline constexpr double kNotFiniteRatio = 1e30;
struct CompareArguments {
  const void* y;
  const float* reference;
  const float* magnitude;
  CompareResult* result;
  i64 count;        // elements
  i64 first_index;  // added to the indices reported
  double relative;  // bound = relative |ref| + absolute magnitude + tiny
  double absolute;
  double tiny;
  int out;  // DataType
  int unused;
};

// ladder_hash adds an order-independent 64-bit hash of (index, word) to *result. `bytes` is a multiple of 2. 24 bytes.
struct HashArguments {
  const void* data;
  i64 bytes;
  u64* result;
};

// ladder_read reads `bytes` (a multiple of 16) once, writing nothing but a sum that is never expected. 24 bytes.
struct ReadArguments {
  const void* data;
  i64 bytes;
  u32* sink;
};

// ladder_empty takes nothing: the launch floor.

}  // namespace ladder::support
