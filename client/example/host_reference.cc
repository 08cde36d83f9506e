#include "client/example/host_reference.h"

#include <cmath>
#include <random>

namespace ladder::example {
namespace {

// NormalFloat4: quantiles of the normal distribution, scaled to [-1, 1] (Dettmers et al., QLoRA, 2023).
constexpr double kNf4[16] = {-1.0,
                             -0.6961928009986877,
                             -0.5250730514526367,
                             -0.39491748809814453,
                             -0.28444138169288635,
                             -0.18477343022823334,
                             -0.09105003625154495,
                             0.0,
                             0.07958029955625534,
                             0.16093020141124725,
                             0.24611230194568634,
                             0.33791524171829224,
                             0.44070982933044434,
                             0.5626170039176941,
                             0.7229568362236023,
                             1.0};

}  // namespace

double HalfToDouble(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0x1f) return mantissa != 0 ? std::nan("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

std::vector<uint16_t> RandomHalves(size_t count, int low, int high, bool positive, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) {
    const uint64_t bits = random();
    const uint64_t exponent = static_cast<uint64_t>(low + 15) + (bits >> 32) % static_cast<uint64_t>(high - low);
    value = static_cast<uint16_t>((positive ? 0 : (bits & 1) << 15) | exponent << 10 | ((bits >> 1) & 0x3ff));
  }
  return values;
}

std::vector<uint8_t> RandomBytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() >> 56);
  return bytes;
}

HostWeight RandomWeight(int64_t n, int64_t k, int64_t group, uint64_t seed) {
  HostWeight weight{n, k, group, {}, {}};
  weight.codes = RandomBytes(static_cast<size_t>(n * (k / 2)), seed);
  weight.scales = RandomHalves(static_cast<size_t>(n * (k / group)), -7, -5, /*positive=*/true, seed + 1);
  return weight;
}

std::vector<Expected> Reference(const HostWeight& weight, const std::vector<uint16_t>& x,
                                const std::vector<int64_t>& rows) {
  const size_t k = static_cast<size_t>(weight.k), n = static_cast<size_t>(weight.n);
  std::vector<std::vector<double>> inputs;
  for (int64_t row : rows) {
    std::vector<double>& input = inputs.emplace_back(k);
    for (size_t i = 0; i < k; i++) input[i] = HalfToDouble(x[static_cast<size_t>(row) * k + i]);
  }
  const size_t groups = static_cast<size_t>(weight.k / weight.group);
  std::vector<double> decoded(k);
  std::vector<Expected> expected(rows.size() * n);
  for (size_t column = 0; column < n; column++) {
    for (size_t i = 0; i < k; i++) {
      const int code = weight.codes[column * (k / 2) + i / 2] >> (4 * (i % 2)) & 0xf;
      decoded[i] = kNf4[code] * HalfToDouble(weight.scales[column * groups + i / static_cast<size_t>(weight.group)]);
    }
    for (size_t row = 0; row < rows.size(); row++) {
      Expected& sum = expected[row * n + column];
      for (size_t i = 0; i < k; i++) {
        const double product = inputs[row][i] * decoded[i];
        sum.value += product;
        sum.magnitude += std::fabs(product);
      }
    }
  }
  return expected;
}

double Bound(const Expected& expected, int64_t k) {
  const double half = std::ldexp(1.0, -11);
  const double gamma = static_cast<double>(k) * std::ldexp(1.0, -23);
  return half * std::fabs(expected.value) + 1.01 * (2 * half + gamma) * expected.magnitude + std::ldexp(1.0, -25);
}

}  // namespace ladder::example
