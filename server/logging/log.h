// The service's log. Silent until InitLogging, so that a host inside a tool writes nothing between the tool's own
// lines.
#ifndef LADDER_SERVER_LOGGING_LOG_H_
#define LADDER_SERVER_LOGGING_LOG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ladder {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// `level` and `format` ("text" or "json", one object a line) as in the configuration; `file` empty: standard error.
// InvalidArgument if the file can't be written.
absl::Status InitLogging(const std::string& level, const std::string& file, const std::string& format = "text");
// Thread-safe.
void LogLine(LogLevel level, const std::string& line);
// A line with fields, for machines to read; empty ones are left out. As text: `message key=value key="two words"`.
using LogFields = std::vector<std::pair<const char*, std::string>>;
void LogEvent(LogLevel level, const std::string& message, const LogFields& fields);
// Whether a line of this level would be written.
bool LogsAt(LogLevel level);
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
