// SHA-256, in code of our own: core links no OpenSSL. Held to NIST vectors by a test.
#ifndef LADDER_CORE_STORE_SHA256_H_
#define LADDER_CORE_STORE_SHA256_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ladder {

// SHA-256 of `bytes`, 64 hex digits.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace ladder

#endif  // LADDER_CORE_STORE_SHA256_H_
