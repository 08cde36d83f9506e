// A plain float64 product to check against: no code shared with the kernels.
#ifndef LADDER_CLIENT_EXAMPLE_HOST_REFERENCE_H_
#define LADDER_CLIENT_EXAMPLE_HOST_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ladder::example {

double HalfToDouble(uint16_t bits);
// Random fp16 values: either sign (or only positive), magnitude uniform in the logarithm from 2^low to 2^high.
std::vector<uint16_t> RandomHalves(std::size_t count, int low, int high, bool positive, uint64_t seed);
std::vector<uint8_t> RandomBytes(std::size_t count, uint64_t seed);

// An nf4 weight as checkpoints have it: two codes a byte (even k in the low half), one fp16 scale per `group` of k.
struct HostWeight {
  int64_t n = 0, k = 0, group = 0;
  std::vector<uint8_t> codes;    // [n][k / 2]
  std::vector<uint16_t> scales;  // [n][k / group]
};
HostWeight RandomWeight(int64_t n, int64_t k, int64_t group, uint64_t seed);

struct Expected {
  double value = 0;
  double magnitude = 0;  // sum_k |x| |w|
};
// y of the given rows of x (fp16, [m][k]): [rows.size()][n].
std::vector<Expected> Reference(const HostWeight& weight, const std::vector<uint16_t>& x,
                                const std::vector<int64_t>& rows);

// What a kernel's y may be off by: half an ulp of the fp16 store; the table's and the scale's rounding to fp16; and the
// fp32 sum of k products, at most 2^-23 of the whole a step for tensor cores, which truncate.
double Bound(const Expected& expected, int64_t k);

}  // namespace ladder::example

#endif  // LADDER_CLIENT_EXAMPLE_HOST_REFERENCE_H_
