// Reference quantisers: how a matrix of numbers becomes codes, scales and zero points. Simple and exact in what they
// promise; calibration belongs elsewhere.
#ifndef LADDER_CORE_REFERENCE_QUANTIZE_H_
#define LADDER_CORE_REFERENCE_QUANTIZE_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/types/weight_type.h"

namespace ladder {

// Rounds to the codes of an element.
class CodeRounder {
 public:
  // REQUIRES: the element is quantized and has a finite value.
  explicit CodeRounder(const ElementType& element);
  // The code of the nearest finite value. A tie goes to the even code, of two even or two odd ones to the lower. What
  // lies beyond the largest or smallest value, infinities included, gets that one's code (saturation). Of codes with
  // equal values (zeros of both signs) the lowest is used. REQUIRES: not a NaN.
  uint32_t Nearest(double value) const;
  double least() const { return codes_.front().first; }
  double greatest() const { return codes_.back().first; }

 private:
  std::vector<std::pair<double, uint32_t>> codes_;  // finite values, ascending, without duplicates
};

// A weight in the natural form (core/layout/packed_layout.h).
struct QuantizedWeight {
  std::vector<uint8_t> codes, scales, zeros;
  float tensor_scale = 1;
};

// Quantises w, n x k row-major. For each group of `type`:
//   without zeros (absmax)  s is the least number that brings the group into the element's range: for int4
//     max(max w / 7, min w / -8), for elements of one sign by that sign alone. Stored to nearest even; e8m0: the power
//     of two that takes the largest power of two not above max |w| to that of the element (OCP MX 1.0, section 6.3),
//     beyond which values saturate.
//     An fp16 scale with which a code of the group would be beyond fp16's range (65504) becomes the greatest with which
//     no code is: kernels may round scaled weights to fp16. Only weights of that size meet this; they saturate.
//   with zeros (min-max)    s = (max - min) / (2^bits - 1) over the group's values and 0, z = -min / s: rounded to an
//     integer (quantized), as it is (original), or as -min (rescale).
// Codes are CodeRounder's of w / s by the stored s (and stored z), so each is the best for the scales there are. A
// group of zeros has s = 1. Scales that would underflow become the least positive number, scales and zeros that would
// overflow the largest of their type. A tensor scale is what one group of all weights would have, divided by 448 (the
// largest e4m3) for e4m3 scales; without group scales it is the scale.
//
// InvalidArgument for sizes that don't fit, a group that does not divide k, plain elements, ones without a finite
// value, NaNs and infinities.
absl::StatusOr<QuantizedWeight> QuantizeReference(const WeightType& type, int64_t n, int64_t k,
                                                  std::span<const float> w);

}  // namespace ladder

#endif  // LADDER_CORE_REFERENCE_QUANTIZE_H_
