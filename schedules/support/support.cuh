// Kernels that serve every operator of an architecture: packing, random inputs, the reference product, comparison and
// the measurements of the machine itself. One module holds them all; see abi.cuh for what each takes.
#pragma once
#include "schedules/device/ptx.cuh"
#include "schedules/support/abi.cuh"
#include "schedules/support/pack.cuh"
#include "schedules/support/reference.cuh"

namespace ladder::support {

// A well-mixed 64-bit hash of a counter (the finaliser of SplitMix64): every element has its own random bits, whatever
// the grid.
LADDER_DEVICE u64 mix(u64 z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

LADDER_DEVICE float uniform(u64 bits, float low, float high) {
  return low + (high - low) * (static_cast<float>(bits >> 40) * (1.0f / 16777215.0f));
}

LADDER_DEVICE int small_integer(u64 bits, int magnitude) {
  return static_cast<int>(static_cast<u32>(bits >> 40) % (2 * magnitude + 1)) - magnitude;
}
// One of those as fp8: of fp16's bits e5m2 is the upper half, and e4m3 the upper bits with an exponent 8 less.
LADDER_DEVICE u32 small_fp8(int kind, int value) {
  const u32 bits = from_float(F16{}, static_cast<float>(value));
  if (kind == kRandomSmallE5M2 || value == 0) return bits >> 8;
  return (bits >> 8 & 0x80) | ((bits & 0x7fff) - (8u << 10)) >> 7;
}

}  // namespace ladder::support

LADDER_KERNEL void __launch_bounds__(256) ladder_random(const ladder::support::RandomArguments p) {
  using namespace ladder;
  using namespace ladder::support;
  const u64 stream = mix(p.seed);
  if (p.kind == kRandomCodes) {
    const i64 row_bytes = (p.columns * p.bits + 7) / 8;
    const int used = static_cast<int>(p.columns * p.bits % 8);  // of a row's last byte; 0: all of it
#pragma unroll 1
    for (i64 i = first_item(); i < p.rows * row_bytes; i += item_stride()) {
      const bool cut = used != 0 && i % row_bytes == row_bytes - 1;
      static_cast<u8*>(p.out)[i] = static_cast<u8>(mix(stream + i) >> 56) & (cut ? (1 << used) - 1 : 0xff);
    }
    return;
  }
#pragma unroll 1
  for (i64 i = first_item(); i < p.rows * p.columns; i += item_stride()) {
    const u64 bits = mix(stream + i);
    const float value = uniform(bits, p.low, p.high);
    switch (p.kind) {
      case kRandomF16:
        static_cast<u16*>(p.out)[i] = static_cast<u16>(from_float(F16{}, value));
        break;
      case kRandomBF16:
        static_cast<u16*>(p.out)[i] = static_cast<u16>(from_float(BF16{}, value));
        break;
      case kRandomF32:
        static_cast<float*>(p.out)[i] = value;
        break;
      case kRandomE4M3:
        static_cast<u8*>(p.out)[i] = static_cast<u8>((bits >> 56) & 0xbf);
        break;
      case kRandomScaleE4M3: {
        const int code = static_cast<int>((bits >> 56) & 0xbf), exponent = code & 0x38;
        static_cast<u8*>(p.out)[i] = static_cast<u8>(code - (8 * p.bits < exponent ? 8 * p.bits : exponent));
        break;
      }
      case kRandomSmallI8:
        static_cast<u8*>(p.out)[i] = static_cast<u8>(small_integer(bits, static_cast<int>(p.high)));
        break;
      case kRandomSmallE4M3:
      case kRandomSmallE5M2:
        static_cast<u8*>(p.out)[i] = static_cast<u8>(small_fp8(p.kind, small_integer(bits, static_cast<int>(p.high))));
        break;
      case kRandomE8M0:
        static_cast<u8*>(p.out)[i] = static_cast<u8>(119 - p.bits + (bits >> 61));
        break;
      default:
        static_cast<u8*>(p.out)[i] = static_cast<u8>(bits >> 56);
        break;
    }
  }
}

LADDER_KERNEL void __launch_bounds__(256) ladder_compare(const ladder::support::CompareArguments p) {
  using namespace ladder;
  using namespace ladder::support;
  u64 wrong = 0, first = ~0ull;
  double worst = 0, squared_error = 0, squared_reference = 0;
#pragma unroll 1
  for (i64 i = first_item(); i < p.count; i += item_stride()) {
    float y;
    if (p.out == 3) {
      y = static_cast<const float*>(p.y)[i];
    } else {
      const u32 bits = static_cast<const u16*>(p.y)[i];
      y = p.out == 1 ? to_float(F16{}, bits) : to_float(BF16{}, bits);
    }
    const double reference = p.reference[i];
    const double bound = p.relative * fabs(reference) + p.absolute * static_cast<double>(p.magnitude[i]) + p.tiny;
    const double error = fabs(static_cast<double>(y) - reference);
    const bool finite = (float_bits(y) & 0x7f800000u) != 0x7f800000u;
    // Written so that a NaN anywhere (also in the reference) counts as wrong.
    const bool good = finite && error <= bound;
    const double ratio =
        finite && error >= 0 ? (bound > 0 ? error / bound : (error > 0 ? kNotFiniteRatio : 0)) : kNotFiniteRatio;
    if (!good) {
      wrong++;
      const u64 index = static_cast<u64>(i + p.first_index);
      if (index < first) first = index;
    }
    if (ratio > worst) worst = ratio;
    if (finite) squared_error += error * error;
    squared_reference += reference * reference;
  }
  if (wrong != 0) {
    atomicAdd(&p.result->wrong, wrong);
    atomicMin(&p.result->first_wrong, first);
  }
  // Non-negative doubles order like their bits.
  if (worst > 0) atomicMax(&p.result->worst_ratio_bits, static_cast<u64>(__double_as_longlong(worst)));
  for (int lanes = kWarpLanes / 2; lanes > 0; lanes /= 2) {
    squared_error += shuffle_down(squared_error, lanes);
    squared_reference += shuffle_down(squared_reference, lanes);
  }
  if (lane_id() == 0) {
    atomicAdd(&p.result->squared_error, squared_error);
    atomicAdd(&p.result->squared_reference, squared_reference);
  }
}

LADDER_KERNEL void __launch_bounds__(256) ladder_hash(const ladder::support::HashArguments p) {
  using namespace ladder;
  using namespace ladder::support;
  u64 sum = 0;
#pragma unroll 1
  for (i64 i = first_item(); i < p.bytes / 2; i += item_stride()) {
    sum += mix(static_cast<u64>(i) * 65537u + static_cast<const u16*>(p.data)[i]);
  }
  for (int lanes = kWarpLanes / 2; lanes > 0; lanes /= 2) sum += shuffle_down(sum, lanes);
  if (lane_id() == 0) atomicAdd(p.result, sum);
}

LADDER_KERNEL void __launch_bounds__(256) ladder_read(const ladder::support::ReadArguments p) {
  using namespace ladder;
  using namespace ladder::support;
  constexpr int kInFlight = 8;
  const i64 vectors = p.bytes / 16;
  const Vec4* data = static_cast<const Vec4*>(p.data);
  u32 sum = 0;
  i64 i = first_item();
  for (; i + (kInFlight - 1) * item_stride() < vectors; i += kInFlight * item_stride()) {
    Vec4 v[kInFlight];
#pragma unroll
    for (int j = 0; j < kInFlight; j++) v[j] = load_stream(data + i + j * item_stride());
#pragma unroll
    for (int j = 0; j < kInFlight; j++) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  for (; i < vectors; i += item_stride()) {
    const Vec4 v = load_stream(data + i);
    sum ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  // The loads must not be optimised away; which value is stored does not matter.
  if (sum == 0x9e3779b9u) *p.sink = sum;
}

LADDER_KERNEL void ladder_empty() {
  ladder::launch_dependents();
  ladder::wait_for_previous();
}
