// Every part of a cache key with a change of it, for the tests that a key changes with each and that a difference is
// explained by its name.
#ifndef LADDER_TESTS_CORE_KEY_CHANGES_H_
#define LADDER_TESTS_CORE_KEY_CHANGES_H_

#include <functional>
#include <string>
#include <vector>

#include "core/operator/operator.h"
#include "core/target/target.h"

namespace ladder {

// `field` of the descriptor; `told`: what of the canonical text differs then, in alphabetical order. Defaults follow
// other fields, so that may be more than one.
struct OperatorChange {
  std::string field, told;
  std::function<void(OperatorDescriptor&)> change;
};

struct TargetChange {
  std::string told;
  std::function<void(Target&)> change;
};

// What OperatorChanges() changes.
inline OperatorDescriptor KeyedOperator() {
  OperatorDescriptor d;
  d.w = "uint4";
  d.zeros = "original";
  d.n = 4096;
  d.k = 4096;
  return d;
}

// Their results differ from each other as well.
inline std::vector<OperatorChange> OperatorChanges() {
  const auto bits = [](float value) { return ElementDefinition{.bits = 1, .table = {-1, value}}; };
  return {
      {"a", "a out scale", [](auto& d) { d.a = "bf16"; }},
      {"a", "a zeros", [](auto& d) { d.a = "int8", d.zeros = "none"; }},
      {"a", "a zeros", [](auto& d) { d.a = "fp8_e4m3", d.zeros = "none"; }},
      {"a", "a zeros", [](auto& d) { d.a = "fp8_e5m2", d.zeros = "none"; }},
      {"a", "a out scale zeros", [](auto& d) { d.a = "mxfp8_e4m3", d.zeros = "none"; }},
      {"a", "a out scale zeros", [](auto& d) { d.a = "mxfp8_e5m2", d.zeros = "none"; }},
      {"w", "w zeros", [](auto& d) { d.w = "int4", d.zeros = ""; }},
      {"w", "group w zeros", [](auto& d) { d.w = "nf4", d.zeros = ""; }},
      {"w", "w zeros", [](auto& d) { d.w = "fp4_e2m1", d.zeros = ""; }},
      {"element", "group w zeros", [=](auto& d) { d.element = bits(3), d.zeros = ""; }},
      {"element", "group w zeros", [=](auto& d) { d.element = bits(2), d.zeros = ""; }},
      {"scale", "scale", [](auto& d) { d.scale = "bf16"; }},
      {"scale", "scale", [](auto& d) { d.scale = "fp32"; }},
      {"scale", "group scale zeros", [](auto& d) { d.scale = "none", d.zeros = ""; }},
      {"zeros", "zeros", [](auto& d) { d.zeros = "none"; }},
      {"zeros", "zeros", [](auto& d) { d.zeros = "rescale"; }},
      {"zeros", "zeros", [](auto& d) { d.zeros = "quantized"; }},
      {"out", "out", [](auto& d) { d.out = "fp32"; }},
      {"group", "group", [](auto& d) { d.group = 64; }},
      {"group", "group", [](auto& d) { d.group = -1; }},
      {"tensor_scale", "tensor_scale", [](auto& d) { d.tensor_scale = true; }},
      {"a_scale", "a a_scale zeros", [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "tensor"; }},
      {"a_scale", "a a_scale zeros", [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "row"; }},
      {"a_scale", "a a_scale zeros", [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "group64"; }},
      {"a_scale", "a a_scale zeros", [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "group128"; }},
      {"out", "a a_scale out zeros",
       [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "row", d.out = "bf16"; }},
      {"bias", "bias", [](auto& d) { d.bias = true; }},
      {"act", "act", [](auto& d) { d.act = "silu"; }},
      {"act", "act", [](auto& d) { d.act = "gelu"; }},
      {"act", "act", [](auto& d) { d.act = "gelu_tanh"; }},
      {"act", "act", [](auto& d) { d.act = "swiglu"; }},
      {"output_scale", "output_scale", [](auto& d) { d.output_scale = true; }},
      {"residual", "residual", [](auto& d) { d.residual = true; }},
      {"n", "n", [](auto& d) { d.n = 4097; }},
      {"k", "k", [](auto& d) { d.k = 8192; }},
  };
}

inline std::vector<TargetChange> TargetChanges() {
  return {
      {"vendor", [](Target& t) { t.vendor = Vendor::kAmd; }},
      {"arch", [](Target& t) { t.arch = "sm_90"; }},
      {"model", [](Target& t) { t.model = "NVIDIA H200 NVL"; }},
      {"multiprocessors", [](Target& t) { t.limits.multiprocessors = 114; }},
      {"shared_bytes_per_block", [](Target& t) { t.limits.shared_bytes_per_block--; }},
      {"shared_bytes_per_multiprocessor", [](Target& t) { t.limits.shared_bytes_per_multiprocessor--; }},
      {"registers_per_multiprocessor", [](Target& t) { t.limits.registers_per_multiprocessor--; }},
      {"l2_bytes", [](Target& t) { t.limits.l2_bytes--; }},
  };
}

}  // namespace ladder

#endif  // LADDER_TESTS_CORE_KEY_CHANGES_H_
