// The keys of the configuration file: the one place that knows their names, meanings and how they read and print.
#ifndef LADDER_SERVER_CONFIG_CONFIG_TABLE_H_
#define LADDER_SERVER_CONFIG_CONFIG_TABLE_H_

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace ladder {

struct ConfigKey {
  std::string name;   // "section.key", or "key" at the top
  std::string form;   // "bytes: a number or \"20GiB\""
  std::string about;  // one sentence
  // Sets the field; the error says what was expected, without the key's name.
  std::function<absl::Status(const nlohmann::json&, Config&)> read;
  std::function<nlohmann::json(const Config&)> print;
};

const std::vector<ConfigKey>& ConfigKeys();

}  // namespace ladder

#endif  // LADDER_SERVER_CONFIG_CONFIG_TABLE_H_
