#include "core/store/keys.h"

#include "absl/strings/str_cat.h"

namespace ladder {

CanonicalText::CanonicalText(absl::string_view version) : text_(absl::StrCat(version, "\n")) {}

CanonicalText& CanonicalText::Field(absl::string_view tag, absl::string_view value) {
  absl::StrAppend(&text_, tag, "=", value.size(), ":", value, "\n");
  return *this;
}

CanonicalText& CanonicalText::Field(absl::string_view tag, int64_t value) { return Field(tag, absl::StrCat(value)); }

std::string CacheKeyText(const NormalizedOperator& op, int64_t m, const Target& target) {
  const DeviceLimits& limits = target.limits;
  CanonicalText text("ladder-cache-key-1");
  text.Field("operator", op.ToString())
      .Field("m", m)
      .Field("vendor", static_cast<int64_t>(target.vendor))
      .Field("arch", target.arch)
      .Field("model", target.model)
      .Field("multiprocessors", limits.multiprocessors)
      .Field("shared_bytes_per_block", limits.shared_bytes_per_block)
      .Field("shared_bytes_per_multiprocessor", limits.shared_bytes_per_multiprocessor)
      .Field("registers_per_multiprocessor", limits.registers_per_multiprocessor)
      .Field("l2_bytes", limits.l2_bytes)
      .Field("measuring_policy", kMeasuringPolicyVersion);
  return text.text();
}

CacheKey MakeCacheKey(const NormalizedOperator& op, int64_t m, const Target& target) {
  return CacheKey{Sha256Hex(CacheKeyText(op, m, target))};
}

ArtifactKey MakeArtifactKey(const CompileRequest& request, absl::string_view sources_digest,
                            absl::string_view compiler_version) {
  CanonicalText text("ladder-artifact-key-1");
  text.Field("arch", request.arch)
      .Field("entry", request.entry)
      .Field("text", request.source.text)
      .Field("sources", sources_digest)
      .Field("compiler", compiler_version);
  for (const auto& [name, content] : request.source.extra_headers) text.Field(name, content);
  return ArtifactKey{text.Digest()};
}

}  // namespace ladder
