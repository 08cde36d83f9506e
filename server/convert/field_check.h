// Checks of single fields, shared by the FromProto functions. Errors are InvalidArgument starting with the field's
// name; Within puts the name of the enclosing field in front, so a path is only built where something is wrong.
#ifndef LADDER_SERVER_CONVERT_FIELD_CHECK_H_
#define LADDER_SERVER_CONVERT_FIELD_CHECK_H_

#include <cmath>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace ladder::field_check {

inline absl::Status Bad(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

inline absl::Status Within(absl::string_view field, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(field, ".", status.message()));
}
inline absl::Status Within(absl::string_view field, int index, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(field, "[", index, "].", status.message()));
}

inline absl::Status InRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Bad(field, absl::StrCat(value, " is not in ", low, "..", high));
}

// A finite number, 0 or more.
inline absl::Status Amount(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Bad(field, absl::StrCat(value, " is not a finite number of at least 0"));
}

inline absl::Status AtMost(absl::string_view field, size_t count, size_t limit, absl::string_view unit) {
  if (count <= limit) return absl::OkStatus();
  return Bad(field, absl::StrCat(count, " ", unit, ", more than the ", limit, " allowed"));
}

inline bool IsSha256Hex(absl::string_view text) {
  if (text.size() != 64) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

inline absl::Status Sha256(absl::string_view field, absl::string_view value) {
  if (IsSha256Hex(value)) return absl::OkStatus();
  return Bad(field, "is not a SHA-256 digest of 64 lower-case hex digits");
}

// A C identifier.
absl::Status Identifier(absl::string_view field, absl::string_view value);

}  // namespace ladder::field_check

#endif  // LADDER_SERVER_CONVERT_FIELD_CHECK_H_
