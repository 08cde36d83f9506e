// Every number format that the type system knows, as the values of an operator's fields. A new element, named type or
// activation is in it by being in the tables of core/types and core/operator.
#ifndef LADDER_CORE_SCHEDULE_FORMAT_AXES_H_
#define LADDER_CORE_SCHEDULE_FORMAT_AXES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/operator/operator.h"

namespace ladder {

// One value of the axis of weights.
struct WeightCase {
  std::string name;                          // "int4", "mxfp4"; "table4" for a user's table of 2^4 values
  std::string w;                             // of the descriptor
  std::optional<ElementDefinition> element;  // of the descriptor: a table that no built-in is
  bool plain = false;                        // fp16 and bf16: neither scales nor zeros
  bool named = false;                        // a named type, which has its own scales
};
std::vector<WeightCase> WeightCases();

std::vector<std::string> ScaleNames();     // "fp16", ..., "none"
std::vector<std::string> ZeroModeNames();  // "none", "original", ...
std::vector<int64_t> GroupSizes();         // 16, 32, ...; -1: per channel

// The descriptors of one weight with one activation, n x k: the product of the axes above for elements, one for plain
// weights and for named types. Some make no sense (zeros of signed elements); Normalize tells.
std::vector<OperatorDescriptor> FormatCells(const WeightCase& weight, const std::string& activation, int64_t n,
                                            int64_t k);

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_FORMAT_AXES_H_
