#include "client/tools/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/dial.h"
#include "client/grpc_status.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/embedded_host.h"

namespace ladder::tools {
namespace {

// A daemon shares its GPU with those it serves and keeps its memory; a tool gives it back in a minute, and with room
// for the whole reference of a big operator each candidate is checked in a fraction of the time.
constexpr int64_t kGpuMemoryBytes = int64_t{16} << 30;

bool ServesCache(const std::shared_ptr<grpc::Channel>& channel, const std::string& cache_path) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  tune::v1::DescribeResponse description;
  if (!tune::v1::Tuner::NewStub(channel)->Describe(&context, {}, &description).ok()) return false;
  // It tells its database, which lies in the folder.
  const std::filesystem::path database = description.cache_path();
  std::error_code error;
  return std::filesystem::equivalent(database, cache_path, error) ||
         std::filesystem::equivalent(database.parent_path(), cache_path, error);
}

// What opening the cache found damaged and set aside, a sentence each: it is news to whoever waits for the tool.
std::vector<std::string> SetAsideSince(const std::shared_ptr<grpc::Channel>& channel, absl::Time begin) {
  grpc::ClientContext context;
  tune::v1::QuarantineResponse response;
  std::vector<std::string> notes;
  if (!tune::v1::CacheAdmin::NewStub(channel)->Quarantine(&context, {}, &response).ok()) return notes;
  for (const tune::v1::QuarantineResponse::Entry& entry : response.entries()) {
    if (entry.at_unix() < absl::ToUnixSeconds(begin)) continue;
    notes.push_back(absl::StrCat(entry.reason(), "; it was set aside (", entry.what(), ") and a fresh one was begun"));
  }
  return notes;
}

}  // namespace

Connection::Connection() = default;
Connection::~Connection() = default;

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const ConnectionOptions& options) {
  std::unique_ptr<Connection> connection(new Connection());
  if (!options.server.empty()) {
    if (!options.cache.empty()) {
      return absl::InvalidArgumentError(
          "--cache: the cache belongs to the daemon that --server names; give one of the two");
    }
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
        client::Dial(options.server, std::chrono::seconds(5), options.tls);
    if (absl::IsInvalidArgument(channel.status())) return channel.status();
    if (!channel.ok()) {
      return absl::UnavailableError(absl::StrCat("--server: no service answers at ", options.server,
                                                 "; start ladderd, or leave --server out to work on the local cache"));
    }
    connection->channel_ = *std::move(channel);
    return connection;
  }
  Config config = DefaultConfig();
  const std::string daemon_address = config.listen;
  config.listen.clear();
  config.tcp_listen.clear();
  config.gpu_memory_bytes = kGpuMemoryBytes;
  if (!options.cache.empty()) config.cache_path = options.cache;
  const absl::Time begin = absl::Now();
  absl::StatusOr<std::unique_ptr<EmbeddedHost>> host = EmbeddedHost::Start(config);
  if (host.ok()) {
    connection->host_ = *std::move(host);
    connection->channel_ = connection->host_->InProcessChannel();
    connection->notes_ = SetAsideSince(connection->channel_, begin);
    return connection;
  }
  if (daemon_address.empty()) return host.status();
  // The usual reason for a failure here is a running daemon: one owner per cache, so it is the one to ask.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> daemon = client::Dial(daemon_address, std::chrono::milliseconds(500));
  if (!daemon.ok() || !ServesCache(*daemon, config.cache_path)) return host.status();
  connection->channel_ = *std::move(daemon);
  return connection;
}

absl::StatusOr<std::string> TargetOrDefault(const std::shared_ptr<grpc::Channel>& channel, const std::string& target) {
  if (!target.empty()) return target;
  grpc::ClientContext context;
  tune::v1::DescribeResponse machine;
  const absl::Status status = client::FromGrpc(tune::v1::Tuner::NewStub(channel)->Describe(&context, {}, &machine));
  if (!status.ok()) return status;
  return machine.target().empty() ? kDefaultTarget : "";
}

}  // namespace ladder::tools
