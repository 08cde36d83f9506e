// Operators as people write them: options, M lists, JSON files. Only their form is judged here; the service knows what
// makes sense.
#ifndef LADDER_CLIENT_TOOLS_OPERATOR_INPUT_H_
#define LADDER_CLIENT_TOOLS_OPERATOR_INPUT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::tools {

// "1,16,1..4096" -> ranges. InvalidArgument naming the piece.
absl::StatusOr<std::vector<tune::v1::MRange>> ParseMList(absl::string_view text);

// A list of operators, or one: objects with the keys op, a, w (a name, "@FILE", or a weight type's object), group,
// zeros, scale, a_scale, tensor_scale, out, bias, act, output_scale, residual, n, k and m ("1,16..64", a number, or a
// list of those). InvalidArgument naming the file, the operator's place in it and the key.
absl::StatusOr<std::vector<tune::v1::OperatorDescriptor>> ReadOperators(const std::string& path);

// "10s", "500ms", "2m", or a plain number of seconds. InvalidArgument naming `option`.
absl::StatusOr<absl::Duration> ParseTime(absl::string_view option, absl::string_view text);

// "matmul a=fp16 w=nf4 n=8192 k=8192": what was asked for, defaults left out.
std::string Describe(const tune::v1::OperatorDescriptor& op);
// "decode(row_tiles=2,warps=16)".
std::string Describe(const tune::v1::Candidate& candidate);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_OPERATOR_INPUT_H_
