#include "server/grpc/servers.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_posix.h>

#include <array>
#include <fstream>
#include <functional>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/grpc/call_observer.h"
#include "server/grpc/caller_access.h"
#include "server/grpc/services.h"
#include "server/grpc/unix_listener.h"
#include "server/logging/log.h"

namespace ladder {
namespace {

constexpr std::array kRoles = {Role::kNone, Role::kReader, Role::kTuner, Role::kAdmin};

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

absl::StatusOr<std::string> ReadPem(const std::string& key, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": ", path, " can't be read or is empty"));
  }
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsCredentials(const Config& config) {
  absl::StatusOr<std::string> certificate = ReadPem("tls.certificate", config.tls_certificate);
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<std::string> key = ReadPem("tls.key", config.tls_key);
  if (!key.ok()) return key.status();
  grpc::SslServerCredentialsOptions options(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_key_cert_pairs.push_back({*std::move(key), *std::move(certificate)});
  if (!config.tls_client_ca.empty()) {
    absl::StatusOr<std::string> roots = ReadPem("tls.client_ca", config.tls_client_ca);
    if (!roots.ok()) return roots.status();
    options.pem_root_certs = *std::move(roots);
    // A certificate that is shown must be good either way.
    options.client_certificate_request = config.token_file.empty()
                                             ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                             : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(options);
}

}  // namespace

struct Servers::Server {
  // Null if gRPC can't start it, which without a port doesn't happen.
  static std::unique_ptr<Server> Make(const Serving& serving, const CallerAccess& access, bool reflection,
                                      const std::function<void(grpc::ServerBuilder&)>& add_port) {
    auto made = std::make_unique<Server>();
    grpc::ServerBuilder builder;
    for (const auto make : {&MakeKernelCacheService, &MakeTunerService, &MakeCacheAdminService}) {
      made->services.push_back(make(serving, access));
      builder.RegisterService(made->services.back().get());
    }
    builder.SetOption(std::make_unique<ReflectionOption>(reflection));
    ObserveCalls(builder, serving.calls);
    if (add_port) add_port(builder);
    made->server = builder.BuildAndStart();
    return made->server == nullptr ? nullptr : std::move(made);
  }

  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
};

absl::StatusOr<std::unique_ptr<Servers>> Servers::Make(const Serving& serving) {
  absl::StatusOr<AccessPolicy> policy = AccessPolicy::Make(serving.config);
  if (!policy.ok()) return policy.status();
  // A health service answers for each of ours by name, and for each GPU.
  grpc::EnableDefaultHealthCheckService(true);
  std::unique_ptr<Servers> servers(new Servers(serving, *std::move(policy)));
  for (const Role role : kRoles) {
    const bool reflection = serving.config.reflection && role != Role::kNone && !serving.config.listen.empty();
    servers->by_role_.push_back(Server::Make(serving, CallerAccess(role), reflection, nullptr));
    if (servers->by_role_.back() == nullptr) return absl::InternalError("the gRPC server does not start");
  }
  return servers;
}

absl::Status Servers::Listen() {
  if (absl::Status status = ListenOnTcp(); !status.ok()) return status;
  return ListenOnSocket();
}

absl::Status Servers::ListenOnSocket() {
  if (serving_.config.listen.empty()) return absl::OkStatus();
  const std::string path = serving_.config.listen.substr(std::string("unix://").size());
  absl::StatusOr<std::unique_ptr<UnixListener>> listener = UnixListener::Listen(path);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  listener_->Start([this](int fd, const LocalPeer& peer) {
    const Role role = policy_.OfLocal(peer);
    if (role == Role::kNone) LogInfo("access: user ", peer.uid, " connected and has no role");
    grpc::AddInsecureChannelFromFd(by_role_[static_cast<size_t>(role)]->server.get(), fd);
  });
  addresses_.insert(addresses_.begin(), "unix://" + path);
  return absl::OkStatus();
}

absl::Status Servers::ListenOnTcp() {
  const std::string& address = serving_.config.tcp_listen;
  if (address.empty()) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> credentials = TlsCredentials(serving_.config);
  if (!credentials.ok()) return credentials.status();
  int port = 0;
  std::unique_ptr<Server> tcp =
      Server::Make(serving_, CallerAccess(policy_), /*reflection=*/false, [&](grpc::ServerBuilder& builder) {
        builder.AddListeningPort(address, *credentials, &port);
        // Two daemons on one TCP port would share its calls.
        builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
      });
  if (tcp == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("tcp_listen: can't serve on ", address,
                     "; another program may use the port, or tls.certificate and tls.key may not belong together"));
  }
  addresses_.push_back(absl::StrCat(address.substr(0, address.rfind(':')), ":", port));
  const std::lock_guard lock(health_mutex_);
  for (const auto& [service, healthy] : health_) {
    tcp->server->GetHealthCheckService()->SetServingStatus(service, healthy);
  }
  tcp_ = std::move(tcp);
  return absl::OkStatus();
}

Servers::Servers(const Serving& serving, AccessPolicy policy) : serving_(serving), policy_(std::move(policy)) {}

Servers::~Servers() { Shutdown(absl::Now()); }

std::shared_ptr<grpc::Channel> Servers::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // our own process
  return by_role_[static_cast<size_t>(Role::kAdmin)]->server->InProcessChannel(arguments);
}

void Servers::SetHealth(const std::string& service, bool serving) {
  const std::lock_guard lock(health_mutex_);
  health_[service] = serving;
  for (const auto& one : by_role_) one->server->GetHealthCheckService()->SetServingStatus(service, serving);
  if (tcp_ != nullptr) tcp_->server->GetHealthCheckService()->SetServingStatus(service, serving);
}

void Servers::EndHealth() {
  const std::lock_guard lock(health_mutex_);
  for (const auto& one : by_role_) one->server->GetHealthCheckService()->Shutdown();
  if (tcp_ != nullptr) tcp_->server->GetHealthCheckService()->Shutdown();
}

void Servers::Shutdown(absl::Time deadline) {
  if (listener_ != nullptr) listener_->Stop();
  if (tcp_ != nullptr && tcp_->server != nullptr) tcp_->server->Shutdown(absl::ToChronoTime(deadline));
  for (const auto& one : by_role_) {
    if (one != nullptr && one->server != nullptr) one->server->Shutdown(absl::ToChronoTime(deadline));
  }
}

}  // namespace ladder
