// The two keys. CacheKey: which candidate won for (operator, M, device model, measuring policy). ArtifactKey: which
// binary a source becomes under (compiler, flags, architecture). Both hash a tagged, length-prefixed, versioned
// encoding.
#ifndef LADDER_CORE_STORE_KEYS_H_
#define LADDER_CORE_STORE_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "core/backend/compiler.h"
#include "core/operator/operator.h"
#include "core/store/sha256.h"
#include "core/target/target.h"

namespace ladder {

// Builds a canonical text, one "tag=length:value\n" line a field, so that no two field lists share an encoding.
class CanonicalText {
 public:
  explicit CanonicalText(absl::string_view version);
  CanonicalText& Field(absl::string_view tag, absl::string_view value);
  CanonicalText& Field(absl::string_view tag, int64_t value);
  const std::string& text() const { return text_; }
  std::string Digest() const { return Sha256Hex(text_); }

 private:
  std::string text_;
};

struct CacheKey {
  std::string digest;  // 64 hex digits
  friend bool operator==(const CacheKey&, const CacheKey&) = default;
  friend auto operator<=>(const CacheKey&, const CacheKey&) = default;
};

struct ArtifactKey {
  std::string digest;
  friend bool operator==(const ArtifactKey&, const ArtifactKey&) = default;
};

// Bumped when what a measurement means changes (graph replay, rotated weights, ...).
inline constexpr int kMeasuringPolicyVersion = 1;

// The canonical text and its key. Of the target only vendor, architecture, device model and the limits that decide what
// can run enter (not measured rates, not the driver).
std::string CacheKeyText(const NormalizedOperator& op, int64_t m, const Target& target);
CacheKey MakeCacheKey(const NormalizedOperator& op, int64_t m, const Target& target);

ArtifactKey MakeArtifactKey(const CompileRequest& request, absl::string_view sources_digest,
                            absl::string_view compiler_version);

}  // namespace ladder

#endif  // LADDER_CORE_STORE_KEYS_H_
