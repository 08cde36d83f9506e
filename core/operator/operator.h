// What a caller asks for, and what Ladder understood.
#ifndef LADDER_CORE_OPERATOR_OPERATOR_H_
#define LADDER_CORE_OPERATOR_OPERATOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/types/data_type.h"
#include "core/types/weight_type.h"

namespace ladder {

// One M (first == last) or an inclusive range, served by buckets.
struct MRange {
  int64_t first = 1;
  int64_t last = 1;
  friend bool operator==(const MRange&, const MRange&) = default;
};

// What is done with a finished sum: y = act(sum + bias) * output_scale + residual. Swiglu takes two sums, of the gate
// rows of W (the first half) and of its up rows (the second half): act = silu(gate + bias) * (up + bias), and Y has
// half as many columns as W has rows.
enum class ActivationFunction : uint8_t {
  kNone = 0,
  kSilu = 1,      // z / (1 + exp(-z))
  kGelu = 2,      // z * Phi(z), Phi by the error function
  kGeluTanh = 3,  // z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3)))
  kSwiglu = 4,
};
// "none", "silu", "gelu", "gelu_tanh", "swiglu".
absl::string_view Name(ActivationFunction act);

// Factors of the activations that are no part of their codes, given at launch. Those of all and of a row are fp32 and
// multiply the sums before the bias; those of a group, one for each row and so many consecutive k, multiply the codes:
// fp32 too, or e8m0, a power of two, where they are part of the type (mxfp8, per 32).
enum class ActivationScale : uint8_t { kNone = 0, kTensor = 1, kRow = 2, kGroup = 3 };
// "none", "tensor", "row", "group" (in operators with the number of k: "group128").
absl::string_view Name(ActivationScale scale);

// What the caller said, unchecked. Empty strings mean the default.
struct OperatorDescriptor {
  std::string op = "matmul";
  // Activation: fp16, bf16, fp8_e4m3, fp8_e5m2, int8, mxfp8_e4m3, mxfp8_e5m2 (mxfp8: the former).
  std::string a = "fp16";
  std::string w = "int4";  // weight element, or a named type: an element with its scales (mxfp4, nvfp4)
  // An element of the user's own: decides instead of w, which is then a name for people only.
  std::optional<ElementDefinition> element;
  // Default: the activation's type, or bf16 for mxfp8 and fp16 for others of 8 bits; "none": no scales.
  std::string scale;
  std::string zeros;  // default: none
  // Default: none; of activations of 8 bits a factor for all ("tensor"), for each row ("row"), or for each row and so
  // many consecutive k, a power of two from 32 on that divides K ("group128").
  std::string a_scale;
  std::string out;  // default: as scale's; int32 too where activations are int8 and nothing scales the sums
  // Default: 32 for e8m0 scales, 16 for e4m3, otherwise 64 for tables and 128 for the rest (K if K is smaller or does
  // not divide, and where weights and activations both have 8 bits); -1: per channel.
  std::optional<int64_t> group;
  bool tensor_scale = false;  // one fp32 factor of the whole weight, given at launch
  bool bias = false;          // added in fp32; see NormalizedOperator::bias_type
  std::string act;            // default: none
  bool output_scale = false;  // an fp32 factor given at launch
  bool residual = false;      // added after the factor; of Y's type and shape
  int64_t n = 0;
  int64_t k = 0;
  std::vector<MRange> m;  // default: 1..4096
};

// A descriptor that makes sense. Only Normalize makes one, so nothing unchecked reaches a key. Equivalent descriptors
// normalize to equal operators. M is not part of it: a weight is packed once and meets every M.
class NormalizedOperator {
 public:
  NormalizedOperator() = default;  // empty (n == 0), for containers; no key is made of it
  DataType activation() const { return activation_; }
  ActivationScale activation_scale() const { return activation_scale_; }
  // Consecutive k that share a scale of the activations; 0 unless that is kGroup.
  int64_t activation_group() const { return activation_group_; }
  // Of those scales: e8m0 or fp32.
  DataType activation_scale_type() const { return mx_ ? DataType::kE8M0 : DataType::kF32; }
  // Bytes of the scales that a row of X has: [K / group] of a group's, 4 of one of its own, 0 for none.
  int64_t activation_scale_row_bytes() const {
    if (activation_group_ != 0) return k_ / activation_group_ * Bytes(activation_scale_type());
    return activation_scale_ == ActivationScale::kRow ? 4 : 0;
  }
  // "fp16", "fp8_e4m3", "mxfp8_e4m3"; and what a descriptor says of its scales: "row", "group128", "" for none.
  std::string activation_name() const;
  std::string activation_scale_name() const;
  const WeightType& weight() const { return weight_; }
  DataType out() const { return out_; }
  bool bias() const { return bias_; }
  // The activation's type, or that of Y where the activation has 8 bits.
  DataType bias_type() const { return Bytes(activation_) == 1 ? out_ : activation_; }
  ActivationFunction act() const { return act_; }
  bool output_scale() const { return output_scale_; }
  // Kernels multiply what they store by a factor: the output scale, or the weight's tensor scale, or the product of
  // both. With activations of 8 bits the tensor scale multiplies sums instead.
  bool scales_output() const { return output_scale_ || (weight_.tensor_scale && Bytes(activation_) > 1); }
  // Kernels multiply sums of 8-bit activations by a factor, before the bias: that of the activations, or the weight's
  // tensor scale, or the product of both.
  bool scales_sums() const {
    return Bytes(activation_) == 1 && (weight_.tensor_scale || activation_scale_ == ActivationScale::kTensor);
  }
  bool residual() const { return residual_; }
  int64_t n() const { return n_; }  // rows of W
  int64_t k() const { return k_; }
  // Of Y: N, or N / 2 where a gate and an up row make one.
  int64_t columns() const { return act_ == ActivationFunction::kSwiglu ? n_ / 2 : n_; }
  // The type the products are computed in: the activation's, or of 8-bit ones a wider one that holds them exactly where
  // products of 8 bits can't be had: with scales per group (bf16, as a power of two is no fp16; the product with an
  // fp32 scale is rounded once), and with weights whose values, zero points or groups no product of bytes takes (the
  // scales' type).
  DataType compute() const { return compute_; }
  bool widens() const { return Bytes(compute_) > Bytes(activation_); }

  // Canonical one-line text: "matmul a=fp16 w=nf4 scale=fp16 group=64 zeros=none out=fp16 bias=0 n=8192 k=28672". What
  // follows the bias (act=silu output_scale=1 residual=1) is there only where it is asked for, so that keys made before
  // those fields existed still hold.
  // Likewise a_scale=row after a. Tables and floats are spelled out by a digest of their values, so that a name alone
  // never decides a key; a user's name for a type is not in it. scale=none and tensor_scale=1 are there only where they
  // say something.
  std::string ToString() const;
  // The descriptor that normalizes to this.
  OperatorDescriptor ToDescriptor() const;

  friend bool operator==(const NormalizedOperator&, const NormalizedOperator&) = default;

 private:
  friend absl::StatusOr<NormalizedOperator> Normalize(const OperatorDescriptor&);
  DataType activation_ = DataType::kF16;
  DataType compute_ = DataType::kF16;
  ActivationScale activation_scale_ = ActivationScale::kNone;
  int64_t activation_group_ = 0;
  bool mx_ = false;  // scales of the activations are part of their type
  WeightType weight_;
  DataType out_ = DataType::kF16;
  bool bias_ = false;
  ActivationFunction act_ = ActivationFunction::kNone;
  bool output_scale_ = false;
  bool residual_ = false;
  int64_t n_ = 0;
  int64_t k_ = 0;
};

inline constexpr int64_t kMaxDimension = int64_t{1} << 24;  // N and K; M too
inline constexpr int64_t kMaxBucket = 8192;
// Products of two int8, each at most 2^14, that an int32 sum always holds.
inline constexpr int64_t kMaxIntegerProducts = (int64_t{1} << 17) - 1;

// The activations that operators have, by name; the kinds of factors they may come with, and the activation functions.
std::vector<std::string> ActivationNames();
std::vector<std::string> ActivationScaleNames();
std::vector<std::string> ActivationFunctionNames();

// InvalidArgument, its message starting with the field's name, if the descriptor makes no sense; Unimplemented if it
// does but nothing serves it.
absl::StatusOr<NormalizedOperator> Normalize(const OperatorDescriptor& descriptor);

// The M values to tune for, ascending, without duplicates: a single M as it is; a range a..b as the buckets (powers of
// two up to kMaxBucket) from the first one that covers a to the first one that covers b. InvalidArgument for m < 1.
absl::StatusOr<std::vector<int64_t>> NormalizeM(const std::vector<MRange>& m);

// "1,16,1..4096" -> ranges.
absl::StatusOr<std::vector<MRange>> ParseMList(absl::string_view text);

}  // namespace ladder

#endif  // LADDER_CORE_OPERATOR_OPERATOR_H_
