#include "server/config/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/config_table.h"

namespace ladder {
namespace {

using nlohmann::json;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string CacheFolder() {
  if (const std::string folder = Variable("XDG_CACHE_HOME"); !folder.empty()) return folder + "/ladder";
  if (const std::string home = Variable("HOME"); !home.empty()) return home + "/.cache/ladder";
  return absl::StrCat("/tmp/ladder-", ::getuid());
}

// "line 3, column 7" of a byte offset.
std::string Position(const std::string& text, size_t byte) {
  const size_t end = std::min(byte == 0 ? 0 : byte - 1, text.size());
  const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n') + 1;
  const size_t newline = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  return absl::StrCat("line ", line, ", column ", newline == std::string::npos ? end + 1 : end - newline);
}

absl::Status ReadKey(const std::string& name, const json& value, Config& config) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.name != name) continue;
    const absl::Status status = key.read(value, config);
    if (status.ok()) return status;
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message(), ", got ", value.dump()));
  }
  std::vector<std::string> names;
  for (const ConfigKey& key : ConfigKeys()) names.push_back(key.name);
  return absl::InvalidArgumentError(absl::StrCat(name, ": unknown key; the keys are ", absl::StrJoin(names, ", ")));
}

bool IsSection(const std::string& name) {
  return std::any_of(ConfigKeys().begin(), ConfigKeys().end(),
                     [&](const ConfigKey& key) { return absl::StartsWith(key.name, name + "."); });
}

absl::Status ReadAll(const json& document, Config& config) {
  if (!document.is_object()) return absl::InvalidArgumentError("expected an object { ... } at the top");
  for (const auto& [name, value] : document.items()) {
    if (!IsSection(name)) {
      if (absl::Status status = ReadKey(name, value, config); !status.ok()) return status;
      continue;
    }
    if (!value.is_object()) return absl::InvalidArgumentError(absl::StrCat(name, ": expected an object { ... }"));
    for (const auto& [inner, inner_value] : value.items()) {
      if (absl::Status status = ReadKey(absl::StrCat(name, ".", inner), inner_value, config); !status.ok())
        return status;
    }
  }
  return ValidateConfig(config);
}

// The host of "host:port"; nothing if it isn't that.
std::optional<std::string> HostOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return std::nullopt;
  }
  return address.substr(0, colon);
}

// It asks nobody who he is.
absl::Status ValidateHttp(const Config& config) {
  if (config.http_listen.empty()) return absl::OkStatus();
  const std::optional<std::string> host = HostOf(config.http_listen);
  if (host == "127.0.0.1" || host == "[::1]" || host == "localhost") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "http_listen: expected 127.0.0.1:PORT, [::1]:PORT or localhost:PORT, got \"", config.http_listen, "\""));
}

// TCP is open to other machines: never without encryption, never without knowing who calls.
absl::Status ValidateTcp(const Config& config) {
  if (config.tcp_listen.empty()) return absl::OkStatus();
  if (!HostOf(config.tcp_listen).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tcp_listen: expected HOST:PORT or [ADDRESS]:PORT, got \"", config.tcp_listen, "\""));
  }
  if (config.tls_certificate.empty() || config.tls_key.empty()) {
    return absl::InvalidArgumentError("tcp_listen: TCP is served with TLS only; set tls.certificate and tls.key");
  }
  if (config.tls_client_ca.empty() && config.token_file.empty()) {
    return absl::InvalidArgumentError(
        "tcp_listen: say how callers show who they are; set tls.client_ca (certificates) or access.token_file (bearer "
        "tokens)");
  }
  return absl::OkStatus();
}

}  // namespace

Config DefaultConfig() {
  Config config;
  const std::string runtime = Variable("XDG_RUNTIME_DIR");
  config.listen = absl::StrCat("unix://", runtime.empty() ? CacheFolder() : runtime + "/ladder", "/ladderd.sock");
  config.cache_path = CacheFolder();
  return config;
}

absl::Status ValidateConfig(const Config& config) {
  if (!config.listen.empty()) {
    if (!absl::StartsWith(config.listen, "unix:///")) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen: expected unix:///absolute/path, got \"", config.listen, "\""));
    }
    // sockaddr_un holds 108 bytes with the final zero.
    if (config.listen.size() - 7 > 107) {
      return absl::InvalidArgumentError(absl::StrCat("listen: the path has ", config.listen.size() - 7,
                                                     " bytes, but a Unix socket's may have 107; choose a shorter one"));
    }
  }
  if (config.cache_path.empty()) return absl::InvalidArgumentError("cache.path: name a folder for the cache");
  static constexpr std::array kLevels = {"trace", "debug", "info", "warning", "error", "critical", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), config.log_level) == kLevels.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("log.level: expected one of ", absl::StrJoin(kLevels, ", "), ", got \"", config.log_level, "\""));
  }
  static constexpr std::array kSharing = {"never", "asked", "always"};
  if (std::find(kSharing.begin(), kSharing.end(), config.tuning_share_gpu) == kSharing.end()) {
    return absl::InvalidArgumentError(absl::StrCat("tuning.share_gpu: expected one of ", absl::StrJoin(kSharing, ", "),
                                                   ", got \"", config.tuning_share_gpu, "\""));
  }
  if (config.log_format != "text" && config.log_format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("log.format: expected text or json, got \"", config.log_format, "\""));
  }
  if (absl::Status status = ValidateHttp(config); !status.ok()) return status;
  return ValidateTcp(config);
}

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& origin) {
  Config config = DefaultConfig();
  try {
    if (absl::Status status = ReadAll(json::parse(text), config); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(origin, ": ", status.message()));
    }
  } catch (const json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": not valid JSON at ", Position(text, error.byte), "; check the text just before it"));
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": not usable as a configuration: ", error.what()));
  }
  return config;
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat(path,
                                                   ": the configuration file can't be read or is empty; check that "
                                                   "it exists and that you may read it"));
  }
  return ParseConfig(text.str(), path);
}

std::string PrintConfig(const Config& config) {
  json document = json::object();
  for (const ConfigKey& key : ConfigKeys()) {
    const size_t dot = key.name.find('.');
    json& place =
        dot == std::string::npos ? document[key.name] : document[key.name.substr(0, dot)][key.name.substr(dot + 1)];
    place = key.print(config);
  }
  return document.dump(2) + "\n";
}

std::string PrintConfigDocs() {
  const Config defaults = DefaultConfig();
  std::string out = "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const ConfigKey& key : ConfigKeys()) {
    absl::StrAppend(&out, "| `", key.name, "` | ", key.form, " | `", key.print(defaults).dump(), "` | ", key.about,
                    " |\n");
  }
  return out;
}

}  // namespace ladder
