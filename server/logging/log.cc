#include "server/logging/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

namespace ladder {
namespace {

// Never destroyed: threads may log until the very end.
std::atomic<spdlog::logger*> logger = nullptr;
std::atomic<bool> as_json = false;

spdlog::level::level_enum LevelOf(LogLevel level) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  return kLevels[static_cast<int>(level)];
}

std::string JsonText(const std::string& text) {
  // What clients say need not be UTF-8.
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

// Quoted where it would not be one word otherwise.
std::string TextValue(const std::string& value) {
  const bool is_word = std::none_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\';
  });
  return is_word ? value : JsonText(value);
}

}  // namespace

absl::Status InitLogging(const std::string& level, const std::string& file, const std::string& format) {
  try {
    spdlog::sink_ptr sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
    auto made = std::make_unique<spdlog::logger>("ladder", sink);
    as_json = format == "json";
    made->set_pattern(as_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                              : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    made->set_level(spdlog::level::from_str(level));
    made->flush_on(spdlog::level::info);
    logger = made.release();
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(absl::StrCat("log.file: ", file, " can't be written: ", error.what()));
  }
  return absl::OkStatus();
}

void LogLine(LogLevel level, const std::string& line) { LogEvent(level, line, {}); }

bool LogsAt(LogLevel level) {
  const spdlog::logger* const to = logger;
  return to != nullptr && to->should_log(LevelOf(level));
}

void LogEvent(LogLevel level, const std::string& message, const LogFields& fields) {
  if (!LogsAt(level)) return;
  const bool json = as_json;
  std::string line = json ? absl::StrCat("\"message\":", JsonText(message)) : message;
  for (const auto& [key, value] : fields) {
    if (value.empty()) continue;
    if (json) {
      absl::StrAppend(&line, ",\"", key, "\":", JsonText(value));
    } else {
      absl::StrAppend(&line, " ", key, "=", TextValue(value));
    }
  }
  // One entry, one line: what clients and compilers say must not look like entries of its own.
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  logger.load()->log(LevelOf(level), spdlog::string_view_t(line));
}

void FlushLog() {
  if (spdlog::logger* const to = logger) to->flush();
}

}  // namespace ladder
