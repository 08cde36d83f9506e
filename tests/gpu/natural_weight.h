// A random weight in the natural form, on the host.
#ifndef LADDER_TESTS_GPU_NATURAL_WEIGHT_H_
#define LADDER_TESTS_GPU_NATURAL_WEIGHT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/layout/packed_layout.h"
#include "core/operator/operator.h"

namespace ladder {

struct NaturalWeight {
  std::vector<uint8_t> codes, scales, zeros;
};

// All codes; scales and fractional zeros of plausible size. The bits after a row's last code are zero, as unpacking
// leaves them.
NaturalWeight RandomWeight(const NormalizedOperator& op, uint64_t seed);
// Values of `type`, uniform in [low, high].
std::vector<uint8_t> RandomValues(DataType type, int64_t count, float low, float high, uint64_t seed);

// Operators that between them have every weight element, kind of zero, placement and odd size.
std::vector<OperatorDescriptor> PackingCases();
// For test names: "nf4_group64_fp16".
std::string CaseName(const OperatorDescriptor& descriptor);

}  // namespace ladder

#endif  // LADDER_TESTS_GPU_NATURAL_WEIGHT_H_
