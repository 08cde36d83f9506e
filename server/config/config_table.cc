#include "server/config/config_table.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace ladder {
namespace {

using nlohmann::json;

absl::Status Expected(const std::string& what) { return absl::InvalidArgumentError(absl::StrCat("expected ", what)); }

ConfigKey Text(std::string name, std::string Config::*field, std::string about) {
  return {std::move(name), "text", std::move(about),
          [field](const json& value, Config& config) {
            if (!value.is_string()) return Expected("text in quotes");
            config.*field = value.get<std::string>();
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(config.*field); }};
}

ConfigKey Flag(std::string name, bool Config::*field, std::string about) {
  return {std::move(name), "true or false", std::move(about),
          [field](const json& value, Config& config) {
            if (!value.is_boolean()) return Expected("true or false");
            config.*field = value.get<bool>();
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(config.*field); }};
}

ConfigKey Count(std::string name, int Config::*field, int least, int most, std::string about) {
  const std::string form = absl::StrCat("a whole number from ", least, " to ", most);
  return {std::move(name), form, std::move(about),
          [field, least, most, form](const json& value, Config& config) {
            if (!value.is_number_integer()) return Expected(form);
            // Compared in the wide type: an unsigned value beyond int64 turns negative here and is refused too.
            const int64_t number = value.get<int64_t>();
            if (number < least || number > most) return Expected(form);
            config.*field = static_cast<int>(number);
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(config.*field); }};
}

std::optional<int64_t> ParseBytes(absl::string_view text) {
  int shift = 0;
  for (const auto& [suffix, bits] : {std::pair{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}) {
    if (absl::ConsumeSuffix(&text, suffix)) {
      shift = bits;
      break;
    }
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < 0 || number > (INT64_MAX >> shift)) return std::nullopt;
  return number << shift;
}

std::string PrintBytes(int64_t bytes) {
  for (const auto& [suffix, bits] : {std::pair{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}}) {
    if (bytes != 0 && bytes % (int64_t{1} << bits) == 0) return absl::StrCat(bytes >> bits, suffix);
  }
  return absl::StrCat(bytes);
}

ConfigKey Size(std::string name, int64_t Config::*field, int64_t least, std::string about) {
  const std::string form = absl::StrCat("bytes: a number or text like \"20GiB\", at least ", PrintBytes(least));
  return {std::move(name), form, std::move(about),
          [field, least, form](const json& value, Config& config) {
            std::optional<int64_t> bytes;
            if (value.is_number_integer()) bytes = value.get<int64_t>();
            if (value.is_string()) bytes = ParseBytes(value.get<std::string>());
            if (!bytes.has_value() || *bytes < least) return Expected(form);
            config.*field = *bytes;
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(PrintBytes(config.*field)); }};
}

ConfigKey Time(std::string name, absl::Duration Config::*field, std::string about) {
  return {std::move(name), "a duration like \"10s\" or \"1m30s\", at most 24h", std::move(about),
          [field](const json& value, Config& config) {
            absl::Duration duration;
            if (!value.is_string() || !absl::ParseDuration(value.get<std::string>(), &duration) ||
                duration < absl::ZeroDuration() || duration > absl::Hours(24)) {
              return Expected("a duration like \"10s\" or \"1m30s\", at most 24h");
            }
            config.*field = duration;
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(absl::FormatDuration(config.*field)); }};
}

template <typename T>
ConfigKey List(std::string name, std::vector<T> Config::*field, std::string form, std::string about) {
  return {std::move(name), form, std::move(about),
          [field, form](const json& value, Config& config) {
            if (!value.is_array()) return Expected(form);
            std::vector<T> items;
            for (const json& item : value) {
              if constexpr (std::is_same_v<T, int>) {
                if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() > 255) {
                  return Expected(form);
                }
              } else if (!item.is_string()) {
                return Expected(form);
              }
              items.push_back(item.get<T>());
            }
            config.*field = std::move(items);
            return absl::OkStatus();
          },
          [field](const Config& config) { return json(config.*field); }};
}

std::vector<ConfigKey> MakeKeys() {
  std::vector<ConfigKey> keys;
  keys.push_back(Text(
      "listen", &Config::listen,
      "Unix socket to serve on, as \"unix:///path\". It gets mode 0660 in a folder of mode 0750; what a caller may "
      "do goes by the user and the groups that the kernel tells of it (access.*)."));
  keys.push_back(Text("tcp_listen", &Config::tcp_listen,
                      "Address like \"0.0.0.0:7171\" or \"[::]:7171\" to serve on as well, with TLS. Needs "
                      "tls.certificate, tls.key, and tls.client_ca or access.token_file or both."));
  keys.push_back(Text("http_listen", &Config::http_listen,
                      "Loopback address like \"127.0.0.1:9188\" to show /statusz (a page for people) and /metrics (for "
                      "Prometheus) on; every user of this machine can read them. Empty means none."));
  keys.push_back(Flag("reflection", &Config::reflection,
                      "Offers gRPC reflection (for grpcurl) to callers with a role on the Unix socket; never on TCP."));
  keys.push_back(Time("drain_grace", &Config::drain_grace,
                      "How long running tunes may go on after SIGTERM before they are cancelled."));
  keys.push_back(Text("tls.certificate", &Config::tls_certificate,
                      "Certificate (chain) of the service for tcp_listen, a file in PEM, read at the start."));
  keys.push_back(Text("tls.key", &Config::tls_key, "Its private key, a file in PEM."));
  keys.push_back(
      Text("tls.client_ca", &Config::tls_client_ca,
           "Certificates (PEM) of those who sign callers' certificates. Set, a caller without a certificate is "
           "turned away unless access.token_file is set as well."));
  const std::string rules = "a list of local, user:NAME, uid:NUMBER, group:NAME, gid:NUMBER and certificate:NAME";
  keys.push_back(List<std::string>(
      "access.readers", &Config::readers, rules,
      "Who may look up, read kernels, watch, plan, and see what the service does. local is everyone who may open the "
      "Unix socket; NAME of a certificate is its common name or an alternative name. Nobody is a reader by default."));
  keys.push_back(List<std::string>(
      "access.tuners", &Config::tuners, rules,
      "Who may do that and tune, also by a look-up's on_miss, cancel tunes and report failures. Nobody by default."));
  keys.push_back(List<std::string>(
      "access.admins", &Config::admins, rules,
      "Who may do that and export, import, evict, verify and trust keys. root and the service's own user always are."));
  keys.push_back(Text("access.token_file", &Config::token_file,
                      "File of bearer tokens for tcp_listen, one a line: \"ROLE NAME SHA256\", the last in hex, as "
                      "`printf %s TOKEN | sha256sum` prints it."));
  keys.push_back(
      Text("cache.path", &Config::cache_path, "Folder of the cache, on a local file system, one per daemon."));
  keys.push_back(Size("cache.limit_bytes", &Config::cache_limit_bytes, int64_t{1} << 20,
                      "Binaries beyond this are evicted, least recently used first."));
  keys.push_back(Count("compile.workers", &Config::compile_workers, 0, 256,
                       "Compile processes at most; 0 means one less than the cores, at least one."));
  keys.push_back(Size("compile.memory_bytes", &Config::compile_memory_bytes, int64_t{256} << 20,
                      "Address space of each compile process."));
  keys.push_back(Time("compile.deadline", &Config::compile_deadline, "A compilation that takes longer is killed."));
  keys.push_back(
      Text("compile.worker", &Config::compile_worker,
           "Program of the compile processes; empty means ladder-compile-worker beside the running program."));
  keys.push_back(List<std::string>("compile.nvrtc_paths", &Config::nvrtc_paths, "a list of files or folders",
                                   "Where to look for NVRTC before the usual places."));
  keys.push_back(List<int>("gpu.list", &Config::gpus, "a list of GPU numbers as nvidia-smi shows them",
                           "GPUs to tune on; the first is the default target. An empty list uses none."));
  keys.push_back(Size("gpu.memory_bytes", &Config::gpu_memory_bytes, int64_t{64} << 20,
                      "GPU memory that verifying and timing may use; bigger operators are tried in slices."));
  keys.push_back(Size("gpu.resident_bytes", &Config::profile_resident_bytes, int64_t{512} << 20,
                      "A profile process whose resident memory grows beyond this is killed."));
  keys.push_back(Time("gpu.deadline", &Config::profile_deadline,
                      "A verification or a timing that takes longer is killed with its process."));
  keys.push_back(Text("gpu.worker", &Config::profile_worker,
                      "Program of the profile process; empty means ladder-profile-worker beside the running program."));
  keys.push_back(Count("tuning.candidates", &Config::tuning_candidates, 1, 4096,
                       "Candidates tried per M bucket unless a request says otherwise."));
  keys.push_back(Count("tuning.finalists", &Config::tuning_finalists, 1, 64,
                       "How many of them are timed again, interleaved, at the end."));
  keys.push_back(
      Time("tuning.budget", &Config::tuning_budget,
           "Wall time per M bucket unless a request says otherwise; what was not tried by then is skipped."));
  keys.push_back(
      Text("tuning.share_gpu", &Config::tuning_share_gpu,
           "Whether to tune on a GPU that other processes use: never; asked, if the request says so "
           "(options.share_gpu, and a look-up's on_miss, whose caller is about to serve with what is found); "
           "or always. Others are seen by their contexts or by the memory they hold."));
  keys.push_back(Count("tuning.share_duty_percent", &Config::tuning_share_duty_percent, 1, 100,
                       "There, the share of the time that verifying and timing may take unless a request says "
                       "otherwise; between two measurements the GPU is left to the others."));
  keys.push_back(Count("tuning.concurrent", &Config::tuning_concurrent, 1, 64, "Tunes running at the same time."));
  keys.push_back(Count("tuning.queue", &Config::tuning_queue, 1, 65536,
                       "Tunes waiting beyond that; more are refused with a time to retry."));
  keys.push_back(Text("log.level", &Config::log_level, "trace, debug, info, warning, error, critical or off."));
  keys.push_back(Text("log.file", &Config::log_file, "File to append the log to; empty means standard error."));
  keys.push_back(Text("log.format", &Config::log_format, "text, or json for one object a line."));
  return keys;
}

}  // namespace

const std::vector<ConfigKey>& ConfigKeys() {
  static const auto& keys = *new std::vector<ConfigKey>(MakeKeys());
  return keys;
}

}  // namespace ladder
