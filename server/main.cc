// ladderd: the composition root of the daemon.
#include <google/protobuf/stubs/logging.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "server/embedded_host.h"
#include "server/logging/log.h"

namespace {

constexpr int kExitUsage = 2;        // the command line or the configuration
constexpr int kExitUnavailable = 3;  // the cache or the socket is another's, or can't be used

constexpr char kFooter[] = R"(Examples:
  ladderd                                    serve the cache in ~/.cache/ladder on a Unix socket
  ladderd --cache /var/lib/ladder --listen unix:///run/ladder/ladderd.sock
  ladderd --print-config > ladderd.json      every key with its value, to edit
  ladderd --config ladderd.json
  ladder-tune --server unix:///run/ladder/ladderd.sock --op matmul --w nf4 --n 8192 --k 8192
  grpcurl -plaintext -unix /run/ladder/ladderd.sock list

SIGTERM or SIGINT drains: new tunes are refused, running ones get drain_grace to end, then all is stored and closed. A
second signal ends the program at once; what was acknowledged is stored all the same. Exit status: 0 after a clean end, 2 for a bad command line or
configuration, 3 if the cache or the socket can't be had (one daemon owns a cache).)";

int Fail(int status, const std::string& message) {
  std::fprintf(stderr, "ladderd: %s\n", message.c_str());
  return status;
}

// Waits for SIGTERM or SIGINT, which every thread has blocked; false after `limit_s` seconds without one.
bool WaitForSignal(int limit_s) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  const timespec limit{limit_s, 0};
  while (true) {
    const int got = sigtimedwait(&set, nullptr, &limit);
    if (got > 0) return true;
    if (errno != EINTR) return false;
  }
}

void BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int Serve(const ladder::Config& config) {
  BlockSignals();  // before any thread exists
  absl::StatusOr<std::unique_ptr<ladder::EmbeddedHost>> host = ladder::EmbeddedHost::Start(config);
  if (!host.ok()) return Fail(kExitUnavailable, std::string(host.status().message()));
  for (const std::string& address : (*host)->addresses()) std::printf("ladderd serves on %s\n", address.c_str());
  if (const std::string address = (*host)->http_address(); !address.empty()) {
    std::printf("ladderd shows http://%s/statusz\n", address.c_str());
  }
  std::fflush(stdout);
  (*host)->WarmUp();
  while (!WaitForSignal(3600)) {
  }
  ladder::LogInfo("draining");
  std::thread impatient([&] {
    // Ends with the process if no second signal comes.
    if (WaitForSignal(static_cast<int>(absl::ToInt64Seconds(config.drain_grace)) + 60)) {
      ladder::LogWarning("second signal: leaving at once");
      ladder::FlushLog();
      std::_Exit(1);
    }
  });
  impatient.detach();
  (*host)->Shutdown(config.drain_grace);
  host->reset();
  ladder::FlushLog();
  std::printf("ladderd ended\n");
  std::fflush(stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Serves tuned GPU kernels from a cache over gRPC, and tunes what is missing. Inference servers ask it for a\n"
      "kernel per operator; ladder-tune fills it, ladder-cache looks after it."};
  app.name("ladderd");
  app.footer(kFooter);
  std::string config_file;
  std::string listen;
  std::string cache;
  std::string log_level;
  bool print_config = false;
  bool print_docs = false;
  app.set_version_flag("--version", std::string("ladderd " LADDER_VERSION));
  app.add_option("-c,--config", config_file, "JSON file; keys as --print-config-docs lists them");
  app.add_option("--listen", listen, "Unix socket to serve on, unix:///path (key: listen)");
  app.add_option("--cache", cache, "Folder of the cache (key: cache.path)");
  app.add_option("--log-level", log_level, "trace, debug, info, warning, error, critical or off (key: log.level)");
  app.add_flag("--print-config", print_config, "Print the configuration in effect as JSON and exit");
  app.add_flag("--print-config-docs", print_docs, "Print a table of all configuration keys and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (print_docs) {
    std::fputs(ladder::PrintConfigDocs().c_str(), stdout);
    return 0;
  }
  absl::StatusOr<ladder::Config> config = ladder::DefaultConfig();
  if (!config_file.empty()) config = ladder::LoadConfig(config_file);
  if (!config.ok()) return Fail(kExitUsage, std::string(config.status().message()));
  if (!listen.empty()) config->listen = listen;
  if (!cache.empty()) config->cache_path = cache;
  if (!log_level.empty()) config->log_level = log_level;
  if (absl::Status status = ladder::ValidateConfig(*config); !status.ok()) {
    return Fail(kExitUsage, std::string(status.message()));
  }
  if (print_config) {
    std::fputs(ladder::PrintConfig(*config).c_str(), stdout);
    return 0;
  }
  if (config->listen.empty() && config->tcp_listen.empty()) {
    return Fail(kExitUsage, "listen: name a socket to serve on");
  }
  if (absl::Status status = ladder::InitLogging(config->log_level, config->log_file, config->log_format);
      !status.ok()) {
    return Fail(kExitUsage, std::string(status.message()));
  }
#ifdef NDEBUG
  // Debian's Abseil looks for cycles whenever a lock is taken, gRPC's among them: a tenth of a look-up's time, and an
  // abort for an order that may never meet itself. Debug builds go on looking.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  // What protobuf thinks of callers' bytes: they hear of it themselves.
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& message) {
    ladder::LogLine(ladder::LogLevel::kDebug, message);
  });
  return Serve(*config);
}
