#include "server/grpc/endpoints.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

// Reflection for this server or not: gRPC's library, once linked, adds it to every server of the process.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool wanted) : wanted_(wanted) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto reflection = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins, [&](const auto& plugin) { return plugin->name() == reflection->name(); });
    if (wanted_) plugins->push_back(std::move(reflection));
  }

 private:
  const bool wanted_;
};

// Whether somebody accepts connections at a socket.
bool IsServed(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const bool served = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return served;
}

absl::Status PrepareSocket(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    if (error || ::chmod(folder.c_str(), 0750) != 0) {
      return absl::FailedPreconditionError(absl::StrCat("listen: the folder ", folder.string(), " can't be made (",
                                                        error ? error.message() : std::strerror(errno),
                                                        "); name another socket in the configuration"));
    }
  }
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return absl::OkStatus();
  if (!S_ISSOCK(found.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: ", path, " exists and is no socket; remove it or name another"));
  }
  if (IsServed(path)) {
    return absl::AlreadyExistsError(absl::StrCat("listen: another daemon serves on ", path,
                                                 "; stop it, or name another socket (and another cache) for this one"));
  }
  if (::unlink(path.c_str()) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: the left-over socket ", path, " can't be removed: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Endpoints> Endpoints::Prepare(const Config& config, grpc::ServerBuilder& builder) {
  Endpoints endpoints;
  if (!config.listen.empty()) {
    endpoints.socket_path_ = config.listen.substr(std::string("unix://").size());
    if (absl::Status status = PrepareSocket(endpoints.socket_path_); !status.ok()) return status;
    endpoints.socket_bound_ = std::make_shared<int>(0);
    builder.AddListeningPort("unix:" + endpoints.socket_path_, grpc::InsecureServerCredentials(),
                             endpoints.socket_bound_.get());
  }
  if (!config.tcp_listen.empty()) {
    endpoints.tcp_host_ = config.tcp_listen.substr(0, config.tcp_listen.rfind(':'));
    endpoints.tcp_port_ = std::make_shared<int>(0);
    builder.AddListeningPort(config.tcp_listen, grpc::InsecureServerCredentials(), endpoints.tcp_port_.get());
  }
  const bool reflection = config.reflection && config.tcp_listen.empty() && !config.listen.empty();
  builder.SetOption(std::make_unique<ReflectionOption>(reflection));
  // Two daemons on one TCP port would share its calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  return endpoints;
}

absl::StatusOr<std::unique_ptr<grpc::Server>> Endpoints::Listen(grpc::ServerBuilder& builder) {
  const mode_t former = ::umask(0117);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ::umask(former);
  if (socket_bound_ != nullptr && (server == nullptr || *socket_bound_ == 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: can't serve on ", socket_path_, "; check that you may write in its folder"));
  }
  if (tcp_port_ != nullptr && (server == nullptr || *tcp_port_ == 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat("tcp_listen: can't serve on the port given; another program may use it"));
  }
  if (server == nullptr) return absl::InternalError("the gRPC server does not start");
  if (socket_bound_ != nullptr) addresses_.push_back("unix://" + socket_path_);
  if (tcp_port_ != nullptr) addresses_.push_back(absl::StrCat(tcp_host_, ":", *tcp_port_));
  return server;
}

void Endpoints::Remove() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
}

}  // namespace ladder
