#include "core/reference/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/layout/natural_code.h"

namespace ladder {
namespace {

struct Range {
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  double magnitude() const { return std::max(std::fabs(least), std::fabs(greatest)); }
};

Range RangeOf(std::span<const float> values) {
  Range range;
  for (const float value : values) {
    range.least = std::min<double>(range.least, value);
    range.greatest = std::max<double>(range.greatest, value);
  }
  return range;
}

// Least and greatest positive finite number of a type.
std::pair<double, double> PositiveRange(DataType type) {
  switch (type) {
    case DataType::kF16:
      return {std::ldexp(1.0, -24), 65504};
    case DataType::kBF16:
      return {std::ldexp(1.0, -133), std::ldexp(255.0, 120)};
    case DataType::kF32:
      return {std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()};
    case DataType::kE4M3:
      return {std::ldexp(1.0, -9), 448};
    case DataType::kE8M0:
      return {std::ldexp(1.0, -127), std::ldexp(1.0, 127)};
    case DataType::kE5M2:
    case DataType::kI8:
    case DataType::kI32:
      break;  // no type of scales
  }
  return {0, 0};
}

// Rounds a positive number to `type`, stores it, and returns what was stored.
double StorePositive(DataType type, std::vector<uint8_t>& plane, int64_t index, double value) {
  const auto [least, greatest] = PositiveRange(type);
  StoreElement(type, plane.data(), index, static_cast<float>(std::clamp(value, least, greatest)));
  return LoadElement(type, plane.data(), index);
}

// The greatest fp16 scale that takes no value of the element out of fp16's range.
double GreatestHalfScale(const CodeRounder& rounder) {
  const double greatest = PositiveRange(DataType::kF16).second;
  const double exact = greatest / std::max(std::fabs(rounder.least()), std::fabs(rounder.greatest()));
  if (!(exact < greatest)) return greatest;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(exact), -14) - 10);
  return std::floor(exact / unit) * unit;
}

// The scale that brings the range just inside the element's; 0 if any would do.
double AbsmaxScale(const Range& range, const CodeRounder& rounder) {
  double scale = 0;
  if (rounder.greatest() > 0) scale = std::max(scale, range.greatest / rounder.greatest());
  if (rounder.least() < 0) scale = std::max(scale, range.least / rounder.least());
  return scale;
}

double PowerOfTwoScale(const Range& range, const CodeRounder& rounder) {
  const double element = std::max(std::fabs(rounder.least()), std::fabs(rounder.greatest()));
  if (range.magnitude() == 0 || element == 0) return 0;
  return std::ldexp(1.0, std::ilogb(range.magnitude()) - std::ilogb(element));
}

// The scale a group of that range wants, not yet stored; 0 if any would do.
double GroupScaleFor(const WeightType& type, const CodeRounder& rounder, const Range& range) {
  if (type.zeros != ZeroMode::kNone) {
    return (std::max(range.greatest, 0.0) - std::min(range.least, 0.0)) / ((1 << type.element.bits) - 1);
  }
  return type.has_scale && type.scale == DataType::kE8M0 ? PowerOfTwoScale(range, rounder)
                                                         : AbsmaxScale(range, rounder);
}

absl::Status Check(const WeightType& type, int64_t n, int64_t k, std::span<const float> w) {
  if (!type.element.quantized()) return absl::InvalidArgumentError("element: plain weights are not quantised");
  const std::vector<float> values = type.element.Values();
  if (std::ranges::none_of(values, [](float value) { return std::isfinite(value); })) {
    return absl::InvalidArgumentError("element: no code has a finite value");
  }
  if (n < 1 || k < 1 || static_cast<int64_t>(w.size()) != n * k) {
    return absl::InvalidArgumentError(absl::StrCat("w: ", w.size(), " values are not ", n, " x ", k));
  }
  if (type.has_scale && (type.group < 1 || k % type.group != 0)) {
    return absl::InvalidArgumentError(absl::StrCat("group: ", type.group, " does not divide ", k));
  }
  const auto odd = std::ranges::find_if_not(w, [](float value) { return std::isfinite(value); });
  if (odd == w.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("w[", (odd - w.begin()) / k, ", ", (odd - w.begin()) % k, "]: ", *odd, " has no code"));
}

// One group's scale and zero, stored; what its codes are then made with.
struct GroupScale {
  double scale = 1;
  double zero = 0;
};

GroupScale StoreGroup(const WeightType& type, const CodeRounder& rounder, std::span<const float> w, int64_t row,
                      int64_t group, int64_t groups, QuantizedWeight& out) {
  GroupScale result;
  Range range = RangeOf(w);
  const int64_t index = row * groups + group;
  const double tensor = out.tensor_scale;
  const double wanted = GroupScaleFor(type, rounder, range) / tensor;
  result.scale = StorePositive(type.scale, out.scales, index, wanted > 0 ? wanted : 1);
  if (type.zeros == ZeroMode::kNone) {
    const auto beyond_half = [&](float value) {
      const double decoded = type.element.Decode(rounder.Nearest(value / (result.scale * tensor)));
      return std::fabs(decoded * result.scale) > PositiveRange(DataType::kF16).second;
    };
    if (type.scale == DataType::kF16 && result.scale > GreatestHalfScale(rounder) &&
        std::ranges::any_of(w, beyond_half)) {
      result.scale = StorePositive(type.scale, out.scales, index, GreatestHalfScale(rounder));
    }
    return result;
  }
  range.least = std::min(range.least, 0.0);
  const double steps = (1 << type.element.bits) - 1;
  const double zero = -range.least / (result.scale * tensor);
  if (type.zeros == ZeroMode::kQuantized) {
    const auto code = static_cast<uint32_t>(std::clamp(std::nearbyint(zero), 0.0, steps));
    SetNaturalCode(out.zeros, type.element.bits, groups, row, group, code);
    result.zero = code;
    return result;
  }
  const bool rescale = type.zeros == ZeroMode::kRescale;
  const double number = std::min(rescale ? -range.least / tensor : zero, PositiveRange(type.scale).second);
  StoreElement(type.scale, out.zeros.data(), index, static_cast<float>(number));
  const double stored = LoadElement(type.scale, out.zeros.data(), index);
  result.zero = rescale ? stored / result.scale : stored;
  return result;
}

}  // namespace

CodeRounder::CodeRounder(const ElementType& element) {
  for (uint32_t code = 0; code < 1u << element.bits; code++) {
    if (std::isfinite(element.Decode(code))) codes_.emplace_back(element.Decode(code), code);
  }
  std::ranges::stable_sort(codes_, {}, &std::pair<double, uint32_t>::first);  // equal values stay in order of codes
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  codes_.erase(std::unique(codes_.begin(), codes_.end(), same), codes_.end());
}

uint32_t CodeRounder::Nearest(double value) const {
  const auto above = std::ranges::lower_bound(codes_, value, {}, &std::pair<double, uint32_t>::first);
  if (above == codes_.begin()) return above->second;
  const auto below = above - 1;
  if (above == codes_.end()) return below->second;
  const double up = above->first - value, down = value - below->first;
  if (up != down) return up < down ? above->second : below->second;
  if (above->second % 2 != below->second % 2) return above->second % 2 == 0 ? above->second : below->second;
  return std::min(above->second, below->second);
}

absl::StatusOr<QuantizedWeight> QuantizeReference(const WeightType& type, int64_t n, int64_t k,
                                                  std::span<const float> w) {
  if (absl::Status status = Check(type, n, k, w); !status.ok()) return status;
  const int bits = type.element.bits;
  const CodeRounder rounder(type.element);
  const int64_t groups = type.has_scale ? k / type.group : 0;
  QuantizedWeight out;
  out.codes.resize(n * NaturalRowBytes(bits, k));
  out.scales.resize(n * groups * Bytes(type.scale));
  if (type.zeros == ZeroMode::kQuantized) {
    out.zeros.resize(n * NaturalRowBytes(bits, groups));
  } else if (type.zeros != ZeroMode::kNone) {
    out.zeros.resize(out.scales.size());
  }
  if (type.tensor_scale) {
    const Range range = RangeOf(w);
    const double wanted = GroupScaleFor(type, rounder, range);
    const double share = type.has_scale && type.scale == DataType::kE4M3 ? PositiveRange(type.scale).second : 1;
    const auto [least, greatest] = PositiveRange(DataType::kF32);
    if (wanted > 0) out.tensor_scale = static_cast<float>(std::clamp(wanted / share, least, greatest));
  }
  const int64_t length = groups > 0 ? type.group : k;
  for (int64_t row = 0; row < n; row++) {
    for (int64_t begin = 0; begin < k; begin += length) {
      const std::span<const float> part = w.subspan(row * k + begin, length);
      const GroupScale group =
          groups > 0 ? StoreGroup(type, rounder, part, row, begin / length, groups, out) : GroupScale();
      for (int64_t i = 0; i < length; i++) {
        const double code = part[i] / (group.scale * out.tensor_scale) + group.zero;
        SetNaturalCode(out.codes, bits, k, row, begin + i, rounder.Nearest(code));
      }
    }
  }
  return out;
}

}  // namespace ladder
