#include "core/store/keys.h"
#include "schedules/embedded_sources.h"

namespace ladder {

std::string EmbeddedSourcesDigest() {
  CanonicalText text("ladder-sources-1");
  for (const auto& [name, content] : EmbeddedSources()) text.Field(name, content);
  return text.Digest();
}

}  // namespace ladder
