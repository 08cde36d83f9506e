#include "server/logging/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>

namespace ladder {
namespace {

// Never destroyed: threads may log until the very end.
std::atomic<spdlog::logger*> logger = nullptr;

}  // namespace

absl::Status InitLogging(const std::string& level, const std::string& file) {
  try {
    spdlog::sink_ptr sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
    auto made = std::make_unique<spdlog::logger>("ladder", sink);
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    made->set_level(spdlog::level::from_str(level));
    made->flush_on(spdlog::level::info);
    logger = made.release();
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(absl::StrCat("log.file: ", file, " can't be written: ", error.what()));
  }
  return absl::OkStatus();
}

void LogLine(LogLevel level, const std::string& line) {
  spdlog::logger* const to = logger;
  if (to == nullptr) return;
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  // One entry, one line: what clients and compilers say must not look like entries of its own.
  std::string flat = line;
  std::replace_if(
      flat.begin(), flat.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  to->log(kLevels[static_cast<int>(level)], spdlog::string_view_t(flat));
}

void FlushLog() {
  if (spdlog::logger* const to = logger) to->flush();
}

}  // namespace ladder
