// What this build serves, as text.
#ifndef LADDER_SERVER_OFFLINE_SUPPORT_MATRIX_H_
#define LADDER_SERVER_OFFLINE_SUPPORT_MATRIX_H_

#include <string>

#include "absl/status/statusor.h"

namespace ladder {

// The support matrix of a target by name ("h200", "sm_90a"), or of every architecture if it is empty. Needs no GPU.
// InvalidArgument listing the names for an unknown one.
absl::StatusOr<std::string> SupportMatrixOf(const std::string& target);

}  // namespace ladder

#endif  // LADDER_SERVER_OFFLINE_SUPPORT_MATRIX_H_
