// Weight types as people write them: a name, or a JSON object with an element and its scales.
#ifndef LADDER_CLIENT_TOOLS_WEIGHT_TYPE_INPUT_H_
#define LADDER_CLIENT_TOOLS_WEIGHT_TYPE_INPUT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::tools {

// Sets op's weight type from an object with the keys
//   name                 for people; decides nothing
//   table and bits       the value of each of 2^bits codes, or
//   float                {exponent_bits, mantissa_bits, bias, specials, unsigned}, or
//   element              a built-in element's name
//   scale, group, tensor_scale, zeros   as of operators; what op says already wins
// InvalidArgument starting with the key to blame. Only the form is judged; the service knows what makes sense.
absl::Status SetWeightType(const nlohmann::json& object, tune::v1::OperatorDescriptor& op);

// The same from what --w says: a name, or @FILE with such an object. InvalidArgument naming the file and the key.
absl::Status SetWeight(absl::string_view text, tune::v1::OperatorDescriptor& op);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_WEIGHT_TYPE_INPUT_H_
