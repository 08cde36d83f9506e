// SHA-256 by OpenSSL (which uses the CPU's instructions for it) and hex digits.
#ifndef LADDER_SERVER_STORAGE_DIGEST_H_
#define LADDER_SERVER_STORAGE_DIGEST_H_

#include <initializer_list>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace ladder {

// 32 bytes. Several parts are hashed as one text with each part's length in front, so no two lists share a digest.
std::string Sha256(absl::string_view bytes);
std::string Sha256OfParts(std::initializer_list<absl::string_view> parts);

std::string ToHex(absl::string_view bytes);
// Nothing if the text isn't pairs of lower- or upper-case hex digits.
std::optional<std::string> FromHex(absl::string_view text);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_DIGEST_H_
