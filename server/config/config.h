// What can be configured of the service, for the daemon (from a JSON file) and for a host inside a tool (from code).
// Every key is documented in one table: config_table.cc; `ladderd --print-config-docs` prints it.
#ifndef LADDER_SERVER_CONFIG_CONFIG_H_
#define LADDER_SERVER_CONFIG_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ladder {

struct Config {
  std::string listen;      // "unix:///path"; empty: no socket (in-process use)
  std::string tcp_listen;  // "host:port", with TLS; empty: none
  bool reflection = true;  // on the Unix socket, never on TCP
  absl::Duration drain_grace = absl::Seconds(10);

  // TLS of tcp_listen: files in PEM. With client_ca, callers may show certificates.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;

  std::string http_listen;  // "127.0.0.1:port" for /statusz and /metrics; empty: none

  // Rules that give callers a role (server/access/access_policy.h).
  std::vector<std::string> readers, tuners, admins;
  std::string token_file;

  std::string cache_path;  // a folder
  int64_t cache_limit_bytes = int64_t{20} << 30;

  int compile_workers = 0;                          // 0: one less than the cores, at least one
  int64_t compile_memory_bytes = int64_t{8} << 30;  // address space of each
  absl::Duration compile_deadline = absl::Seconds(60);
  std::string compile_worker;  // program; empty: ladder-compile-worker beside the running one
  std::vector<std::string> nvrtc_paths;

  std::vector<int> gpus = {0};  // empty: use none
  int64_t gpu_memory_bytes = int64_t{1} << 30;
  int64_t profile_resident_bytes = int64_t{8} << 30;
  absl::Duration profile_deadline = absl::Seconds(60);
  std::string profile_worker;  // program; empty: ladder-profile-worker beside the running one

  int tuning_candidates = 16;
  int tuning_finalists = 4;
  absl::Duration tuning_budget = absl::Seconds(10);  // per M bucket
  std::string tuning_share_gpu = "asked";            // or "never", "always"
  int tuning_share_duty_percent = 25;
  int tuning_concurrent = 2;
  int tuning_queue = 64;

  std::string log_level = "info";
  std::string log_file;             // empty: stderr
  std::string log_format = "text";  // or "json"
};

// The defaults, with the caller's own folders filled in ($XDG_RUNTIME_DIR, $XDG_CACHE_HOME, $HOME).
Config DefaultConfig();

// Defaults overlaid with a JSON file. InvalidArgument, naming the file, the position or the key, and what is allowed.
absl::StatusOr<Config> LoadConfig(const std::string& path);
// The same from text; `origin` names it in errors.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& origin);
// What contradicts itself or makes no sense ("tcp_listen: ..."), before anything is started.
absl::Status ValidateConfig(const Config& config);

// The configuration as JSON (every key), and the table of all keys as Markdown.
std::string PrintConfig(const Config& config);
std::string PrintConfigDocs();

}  // namespace ladder

#endif  // LADDER_SERVER_CONFIG_CONFIG_H_
