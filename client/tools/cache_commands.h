// ladder-cache's commands: each asks the service once and prints the answer, as a table or as JSON.
#ifndef LADDER_CLIENT_TOOLS_CACHE_COMMANDS_H_
#define LADDER_CLIENT_TOOLS_CACHE_COMMANDS_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ladder/tune/v1/service.grpc.pb.h"

namespace ladder::tools {

struct ExplainFlags {
  tune::v1::OperatorDescriptor op;  // with `target`, unless a key is given
  std::string target;
  std::string key;
};

struct EvictFlags {
  std::vector<std::string> keys;
  std::string down_to;  // "10GiB"
  bool all = false;
};

// "10GiB", "500MB", "1048576" -> bytes. InvalidArgument naming the option.
absl::StatusOr<int64_t> ParseBytes(const std::string& option, const std::string& text);

class CacheCommands {
 public:
  CacheCommands(const std::shared_ptr<grpc::Channel>& channel, bool json)
      : admin_(tune::v1::CacheAdmin::NewStub(channel)), json_(json) {}

  absl::Status List(bool with_trace);
  absl::Status Explain(const ExplainFlags& flags);
  // DataLoss if there were problems; they are printed.
  absl::Status Verify();
  absl::Status Export(const std::string& file, const std::vector<std::string>& keys);
  absl::Status Import(const std::string& file, bool dry_run, bool allow_unsigned);
  absl::Status Evict(const EvictFlags& flags);
  absl::Status Stats();
  absl::Status Trust(const std::string& key, bool remove);
  absl::Status Quarantine();

 private:
  std::unique_ptr<tune::v1::CacheAdmin::Stub> admin_;
  bool json_;
};

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_CACHE_COMMANDS_H_
