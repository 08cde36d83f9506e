#include "tests/gpu/natural_weight.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "core/layout/natural_code.h"

namespace ladder {
namespace {

std::vector<uint8_t> RandomCodes(int bits, int64_t rows, int64_t columns, std::mt19937_64& random) {
  std::vector<uint8_t> out(rows * NaturalRowBytes(bits, columns));
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = 0; column < columns; column++) {
      SetNaturalCode(out, bits, columns, row, column, static_cast<uint32_t>(random()) & ((1u << bits) - 1));
    }
  }
  return out;
}

}  // namespace

std::vector<uint8_t> RandomValues(DataType type, int64_t count, float low, float high, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<uint8_t> out(count * Bytes(type));
  for (int64_t i = 0; i < count; i++) StoreElement(type, out.data(), i, uniform(random));
  return out;
}

NaturalWeight RandomWeight(const NormalizedOperator& op, uint64_t seed) {
  const PackedLayout layout = PackedLayout::For(op);
  std::mt19937_64 random(seed);
  NaturalWeight weight;
  if (layout.placement == CodePlacement::kNatural) {
    weight.codes = RandomValues(op.weight().element.plain, op.n() * op.k(), -0.125f, 0.125f, seed);
    return weight;
  }
  weight.codes = RandomCodes(layout.bits, layout.n, layout.k, random);
  weight.scales = RandomValues(layout.scale, layout.n * layout.groups, 0.005f, 0.03f, seed + 1);
  if (layout.zeros == ZeroMode::kQuantized) {
    weight.zeros = RandomCodes(layout.bits, layout.n, layout.groups, random);
  } else if (layout.zeros != ZeroMode::kNone) {
    const float high = layout.zeros == ZeroMode::kOriginal ? 15.0f : 0.3f;
    weight.zeros = RandomValues(layout.scale, layout.n * layout.groups, 0, high, seed + 2);
  }
  return weight;
}

std::vector<OperatorDescriptor> PackingCases() {
  return {
      {.w = "int4", .group = 64, .n = 128, .k = 256},
      {.w = "int4", .group = -1, .n = 70, .k = 101},
      {.w = "nf4", .group = 16, .n = 33, .k = 80},
      {.a = "bf16", .w = "nf4", .group = 64, .n = 192, .k = 128},
      {.w = "uint4", .zeros = "original", .group = 32, .n = 100, .k = 96},
      {.a = "bf16", .w = "uint4", .zeros = "rescale", .group = 128, .n = 64, .k = 384},
      {.w = "uint4", .zeros = "quantized", .group = 16, .n = 90, .k = 112},
      {.a = "bf16", .w = "uint4", .scale = "fp16", .zeros = "quantized", .group = 64, .bias = true, .n = 1, .k = 64},
      {.w = "mxfp4", .n = 100, .k = 256},
      {.w = "uint4", .scale = "e8m0", .zeros = "quantized", .group = 32, .n = 70, .k = 192},
      {.a = "bf16", .w = "nvfp4", .n = 70, .k = 80},
      {.w = "int1", .group = 64, .n = 70, .k = 133 * 64},
      {.w = "uint1", .zeros = "quantized", .group = 16, .n = 33, .k = 240},
      {.w = "int2", .group = -1, .n = 100, .k = 75},
      {.w = "uint2", .zeros = "quantized", .group = 32, .act = "swiglu", .n = 96, .k = 96},
      {.w = "int3", .group = -1, .n = 70, .k = 101},
      {.w = "uint3", .zeros = "quantized", .group = 16, .n = 90, .k = 112},
      {.w = "int5", .group = -1, .n = 70, .k = 103},
      {.w = "uint5", .zeros = "quantized", .group = 16, .n = 65, .k = 112},
      {.w = "int6", .group = 32, .act = "swiglu", .n = 80, .k = 96},
      {.w = "fp6_e3m2", .group = -1, .n = 70, .k = 77},
      {.w = "uint6", .zeros = "original", .group = 48, .n = 64, .k = 144},
      {.w = "int7", .group = -1, .n = 70, .k = 99},
      {.w = "uint7", .zeros = "quantized", .group = 48, .n = 1, .k = 144},
      {.w = "int8", .group = 64, .n = 100, .k = 128},
      {.w = "uint8", .zeros = "quantized", .group = 16, .n = 90, .k = 48},
      {.w = "fp8_e4m3", .group = -1, .n = 67, .k = 51},
      {.a = "int8", .w = "int1", .group = -1, .n = 70, .k = 77},
      {.a = "int8", .w = "uint2", .zeros = "quantized", .group = 16, .n = 90, .k = 144},
      {.a = "int8", .w = "int3", .group = 32, .act = "swiglu", .n = 80, .k = 160},
      {.a = "int8", .w = "int4", .group = 128, .n = 100, .k = 384},
      {.a = "int8", .w = "uint5", .zeros = "quantized", .group = 48, .n = 65, .k = 144},
      {.a = "int8", .w = "int6", .group = -1, .n = 70, .k = 103},
      {.a = "int8", .w = "int7", .group = 64, .n = 130, .k = 192},
      {.a = "int8", .w = "uint8", .group = -1, .n = 33, .k = 300},
      {.a = "fp8_e4m3", .w = "int4", .group = -1, .n = 70, .k = 77},
      {.a = "fp8_e4m3", .w = "int3", .group = 32, .n = 70, .k = 288},
      {.a = "fp8_e4m3", .w = "int2", .group = -1, .n = 70, .k = 129},
      {.a = "fp8_e5m2", .w = "int1", .group = 64, .n = 70, .k = 128},
      {.a = "fp8_e4m3", .w = "mxfp4", .n = 70, .k = 96},
      {.w = "fp16", .n = 37, .k = 51},
      {.a = "bf16", .w = "bf16", .out = "fp32", .bias = true, .n = 64, .k = 64},
      {.w = "int4", .out = "bf16", .group = 32, .bias = true, .act = "silu", .residual = true, .n = 67, .k = 96},
      {.w = "uint4",
       .out = "fp32",
       .group = 64,
       .act = "gelu",
       .output_scale = true,
       .residual = true,
       .n = 66,
       .k = 64},
      {.w = "uint4",
       .zeros = "quantized",
       .group = 16,
       .bias = true,
       .act = "swiglu",
       .output_scale = true,
       .residual = true,
       .n = 144,
       .k = 112},
      {.a = "bf16", .w = "nf4", .group = 64, .act = "swiglu", .n = 80, .k = 128},
      // Factors of the activations, of both sums.
      {.a = "int8", .w = "int4", .a_scale = "row", .group = 64, .bias = true, .act = "swiglu", .n = 144, .k = 128},
      {.a = "fp8_e4m3", .w = "fp4_e2m1", .a_scale = "tensor", .group = 32, .act = "swiglu", .n = 80, .k = 96},
      {.a = "int8",
       .w = "int7",
       .a_scale = "row",
       .group = -1,
       .tensor_scale = true,
       .act = "swiglu",
       .n = 80,
       .k = 104},
      {.a = "int8", .w = "int2", .a_scale = "row", .group = -1, .act = "silu", .n = 70, .k = 104},
      {.w = "fp16", .act = "gelu_tanh", .output_scale = true, .n = 65, .k = 64}};
}

std::string CaseName(const OperatorDescriptor& d) {
  return absl::StrCat(d.w, "_", d.zeros.empty() ? "plain" : d.zeros, "_group",
                      d.group.has_value() ? (*d.group < 0 ? "K" : absl::StrCat(*d.group)) : "default", "_", d.a, "_n",
                      d.n, "_k", d.k);
}

}  // namespace ladder
