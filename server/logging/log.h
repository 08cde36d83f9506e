// The service's log. Silent until InitLogging, so that a host inside a tool writes nothing between the tool's own
// lines.
#ifndef LADDER_SERVER_LOGGING_LOG_H_
#define LADDER_SERVER_LOGGING_LOG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ladder {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// `level` as in the configuration; `file` empty: standard error. InvalidArgument if the file can't be written.
absl::Status InitLogging(const std::string& level, const std::string& file);
// Thread-safe.
void LogLine(LogLevel level, const std::string& line);
void FlushLog();

template <typename... Parts>
void LogInfo(const Parts&... parts) {
  LogLine(LogLevel::kInfo, absl::StrCat(parts...));
}
template <typename... Parts>
void LogWarning(const Parts&... parts) {
  LogLine(LogLevel::kWarning, absl::StrCat(parts...));
}

}  // namespace ladder

#endif  // LADDER_SERVER_LOGGING_LOG_H_
