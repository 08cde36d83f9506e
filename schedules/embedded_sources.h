// The device sources (schedules/**/*.cuh) as text, generated at build time; re-embedded when a file changes.
#ifndef LADDER_SCHEDULES_EMBEDDED_SOURCES_H_
#define LADDER_SCHEDULES_EMBEDDED_SOURCES_H_

#include <map>
#include <string>

namespace ladder {

// Include name ("schedules/matmul/decode.cuh") -> text.
std::map<std::string, std::string> EmbeddedSources();

// What a catalog's sources_digest is.
std::string EmbeddedSourcesDigest();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_EMBEDDED_SOURCES_H_
