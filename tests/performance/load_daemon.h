// A ladderd in a folder of its own, for the load benchmark.
#ifndef LADDER_TESTS_PERFORMANCE_LOAD_DAEMON_H_
#define LADDER_TESTS_PERFORMANCE_LOAD_DAEMON_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
}

namespace ladder {

struct DaemonSetup {
  std::string folder;          // of the socket, the configuration and, in "cache", the cache
  std::string bin;             // where the programs are
  bool real_compiler = false;  // NVRTC's worker instead of the fake one
  std::vector<std::string> environment;
};

// Ends with the object.
class LoadDaemon {
 public:
  // Waits until it serves.
  static absl::StatusOr<std::unique_ptr<LoadDaemon>> Start(const DaemonSetup& setup);
  ~LoadDaemon();
  LoadDaemon(const LoadDaemon&) = delete;
  LoadDaemon& operator=(const LoadDaemon&) = delete;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  int64_t resident_bytes() const;
  // Spent by the daemon and by this process since they started, in user and system mode; not by workers that live.
  absl::Duration cpu_of_both() const;

 private:
  LoadDaemon(pid_t pid, std::shared_ptr<grpc::Channel> channel) : pid_(pid), channel_(std::move(channel)) {}
  pid_t pid_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_LOAD_DAEMON_H_
