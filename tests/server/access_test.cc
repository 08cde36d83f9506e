// Who may call what: every RPC, by every role, over every way in.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/dial.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/access/access_policy.h"
#include "tests/server/host_fixture.h"
#include "tests/server/test_certificates.h"

namespace ladder {
namespace {

namespace pb = tune::v1;
using ::testing::HasSubstr;

// The contract, written out once more: a change of server/access/roles.cc has to be meant.
const std::map<std::string, Role> kContract = {
    {"KernelCache/Lookup", Role::kReader},
    {"KernelCache/BatchLookup", Role::kReader},
    {"KernelCache/ReadBlob", Role::kReader},
    {"KernelCache/Watch", Role::kReader},
    {"KernelCache/GetSupport", Role::kReader},
    {"KernelCache/ReportFailure", Role::kTuner},
    {"Tuner/Tune", Role::kTuner},
    {"Tuner/WaitTune", Role::kReader},
    {"Tuner/CancelTune", Role::kTuner},
    {"Tuner/ListTunes", Role::kReader},
    {"Tuner/Plan", Role::kReader},
    {"Tuner/Compare", Role::kTuner},
    {"Tuner/Describe", Role::kReader},
    {"CacheAdmin/List", Role::kReader},
    {"CacheAdmin/Explain", Role::kReader},
    {"CacheAdmin/Stats", Role::kReader},
    {"CacheAdmin/Quarantine", Role::kReader},
    {"CacheAdmin/Export", Role::kAdmin},
    {"CacheAdmin/Import", Role::kAdmin},
    {"CacheAdmin/Evict", Role::kAdmin},
    {"CacheAdmin/Verify", Role::kAdmin},
    {"CacheAdmin/TrustKey", Role::kAdmin},
};

constexpr Role kRoles[] = {Role::kNone, Role::kReader, Role::kTuner, Role::kAdmin};
constexpr gid_t kTunersGroup = 12077;
// The tuner comes by a supplementary group, the others by their number.
constexpr uid_t kUsers[] = {12000, 12001, 12002, 12003};

std::string Token(Role role) { return absl::StrCat("a-token-of-", std::string(Name(role))); }

// One call with an empty message, whatever its kind; the status it ends with.
grpc::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                       const std::string& message = "") {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  call->StartCall(nullptr);
  wait();
  const grpc::Slice slice(message);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  wait();
  grpc::ByteBuffer answer;
  do {
    call->Read(&answer, nullptr);
  } while (wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

bool Denied(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::PERMISSION_DENIED ||
         status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
}

grpc::Status AskHealth(const std::shared_ptr<grpc::Channel>& channel) {
  return CallEmpty(channel, "/grpc.health.v1.Health/Check");
}

// A channel over the socket as another user: of this thread alone, which the C library's setuid would not do. Null
// where this process may not become others.
std::shared_ptr<grpc::Channel> ConnectAs(uid_t uid, gid_t group, const std::string& path) {
  int fd = -1;
  std::thread([&] {
    if (::syscall(SYS_setgroups, 1, &group) != 0 || ::syscall(SYS_setresuid, -1, uid, -1) != 0) return;
    ::setfsuid(0);  // the test's folder is root's
    fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
    ::close(fd);
    fd = -1;
  }).join();
  return fd < 0 ? nullptr : grpc::CreateInsecureChannelFromFd("test", fd);
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() {
    Write("ca.pem", authority_.certificate());
    const KeyAndCertificate server = authority_.Sign("localhost");
    Write("server.pem", server.certificate);
    Write("server.key", server.key);
    std::string tokens = "# role name sha256\n\n";
    for (const Role role : kRoles) {
      const std::string name(Name(role));
      const KeyAndCertificate own = authority_.Sign("caller-" + name);
      Write(name + ".pem", own.certificate);
      Write(name + ".key", own.key);
      Write(name + ".token", Token(role) + "\n");
      if (role != Role::kNone) absl::StrAppend(&tokens, name, " somebody ", Sha256Hex(Token(role)), "\n");
    }
    Write("tokens", tokens);
    config_ = TestConfig(folder_, LADDER_FAKE_WORKER);
    config_.listen = "unix://" + socket_;
    config_.tcp_listen = "localhost:0";
    config_.tls_certificate = folder_ / "server.pem";
    config_.tls_key = folder_ / "server.key";
    config_.tls_client_ca = folder_ / "ca.pem";
    config_.token_file = folder_ / "tokens";
    config_.readers = {"uid:12001", "certificate:caller-reader"};
    config_.tuners = {absl::StrCat("gid:", kTunersGroup), "certificate:caller-tuner"};
    config_.admins = {"uid:12003", "certificate:caller-admin"};
  }
  void Write(const std::string& name, const std::string& text) { WriteFile(folder_ / name, text); }
  void Start() {
    absl::StatusOr<std::unique_ptr<EmbeddedHost>> host = EmbeddedHost::Start(config_);
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
  }
  absl::StatusOr<std::shared_ptr<grpc::Channel>> DialTcp(const client::TlsFiles& tls) {
    return client::Dial(host_->addresses().at(1), std::chrono::seconds(10), tls);
  }
  client::TlsFiles Certificate(Role role) const {
    const std::string name(Name(role));
    return {folder_ / "ca.pem", folder_ / (name + ".pem"), folder_ / (name + ".key"), ""};
  }
  client::TlsFiles TokenFile(Role role) const {
    return {folder_ / "ca.pem", "", "", folder_ / (std::string(Name(role)) + ".token")};
  }

  // Every RPC by a caller of each role, with channels made by `connect`.
  void CheckEveryCall(const std::function<std::shared_ptr<grpc::Channel>(Role)>& connect) {
    int calls = 0;
    for (const Role role : kRoles) {
      const std::shared_ptr<grpc::Channel> channel = connect(role);
      ASSERT_NE(channel, nullptr);
      EXPECT_TRUE(AskHealth(channel).ok()) << Name(role) << ": " << AskHealth(channel).error_message();
      for (const auto& [call, needed] : kContract) {
        const grpc::Status status = CallEmpty(channel, "/ladder.tune.v1." + call);
        EXPECT_EQ(Denied(status), role < needed)
            << call << " by " << Name(role) << ": " << status.error_code() << " " << status.error_message();
        if (Denied(status)) {
          EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
        }
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNAVAILABLE) << call << status.error_message();
        ++calls;
      }
      pb::LookupRequest request;
      request.set_on_miss(pb::ON_MISS_TUNE);
      pb::BatchLookupRequest batch;
      *batch.add_requests() = request;
      EXPECT_EQ(Denied(CallEmpty(channel, "/ladder.tune.v1.KernelCache/Lookup", request.SerializeAsString())),
                role < Role::kTuner);
      EXPECT_EQ(Denied(CallEmpty(channel, "/ladder.tune.v1.KernelCache/BatchLookup", batch.SerializeAsString())),
                role < Role::kTuner);
    }
    std::printf("%d calls answered by role\n", calls);
  }

  TemporaryFolder folder_;
  const std::string socket_ = folder_ / "s";
  const TestAuthority authority_{"ladder tests"};
  Config config_;
  std::unique_ptr<EmbeddedHost> host_;
};

TEST(Roles, EveryCallOfTheProtocolIsInTheContractAndListed) {
  std::set<std::string> calls;
  const google::protobuf::FileDescriptor& file = *pb::ErrorDetail::descriptor()->file();
  for (int i = 0; i < file.service_count(); ++i) {
    for (int j = 0; j < file.service(i)->method_count(); ++j) {
      const std::string call = file.service(i)->name() + "/" + file.service(i)->method(j)->name();
      calls.insert(call);
      ASSERT_TRUE(kContract.contains(call)) << call;
      EXPECT_EQ(RequiredRole(call), kContract.at(call)) << call;
    }
  }
  EXPECT_EQ(calls.size(), kContract.size());
  EXPECT_EQ(RequiredRole("CacheAdmin/Format"), std::nullopt);
}

TEST_F(AccessTest, EveryCallByEveryRoleOverTheUnixSocket) {
  Start();
  if (ConnectAs(kUsers[0], 12000, socket_) == nullptr) GTEST_SKIP() << "only root can connect as other users";
  CheckEveryCall([&](Role role) {
    const gid_t group = role == Role::kTuner ? kTunersGroup : 12000;
    return ConnectAs(kUsers[static_cast<size_t>(role)], group, socket_);
  });
}

TEST_F(AccessTest, EveryCallByEveryRoleWithACertificate) {
  Start();
  CheckEveryCall([&](Role role) { return DialTcp(Certificate(role)).value_or(nullptr); });
}

TEST_F(AccessTest, EveryCallByEveryRoleWithAToken) {
  Start();
  CheckEveryCall([&](Role role) { return DialTcp(TokenFile(role)).value_or(nullptr); });
}

TEST_F(AccessTest, OneWhoShowsNothingIsUnauthenticatedAndMayAskForHealth) {
  Start();
  const auto channel = DialTcp({folder_ / "ca.pem", "", "", ""});
  ASSERT_TRUE(channel.ok()) << channel.status();
  EXPECT_TRUE(AskHealth(*channel).ok());
  for (const auto& [call, needed] : kContract) {
    const grpc::Status status = CallEmpty(*channel, "/ladder.tune.v1." + call);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << call;
    EXPECT_THAT(status.error_message(), HasSubstr("neither certificate nor bearer token"));
  }
}

TEST_F(AccessTest, TheServicesOwnUserIsAdminOverItsSocketAndInItsProcess) {
  Start();
  const auto channel = client::Dial(host_->addresses().at(0), std::chrono::seconds(10));
  ASSERT_TRUE(channel.ok()) << channel.status();
  EXPECT_TRUE(CallEmpty(*channel, "/ladder.tune.v1.CacheAdmin/Verify").ok());
  EXPECT_TRUE(CallEmpty(host_->InProcessChannel(), "/ladder.tune.v1.CacheAdmin/Verify").ok());
}

TEST_F(AccessTest, TcpTakesNoPlainTextNoStrangersCertificateAndNoOtherServer) {
  Start();
  EXPECT_FALSE(client::Dial(host_->addresses().at(1), std::chrono::seconds(3)).ok() &&
               AskHealth(*client::Dial(host_->addresses().at(1), std::chrono::seconds(3))).ok());
  const TestAuthority stranger("stranger");
  const KeyAndCertificate forged = stranger.Sign("caller-admin");
  Write("forged.pem", forged.certificate);
  Write("forged.key", forged.key);
  // With TLS 1.3 the handshake is over for the client before the server has looked, so the first call may be what
  // fails.
  const auto channel = DialTcp({folder_ / "ca.pem", folder_ / "forged.pem", folder_ / "forged.key", ""});
  if (channel.ok()) {
    EXPECT_FALSE(AskHealth(*channel).ok());
  }
  Write("stranger.pem", stranger.certificate());
  EXPECT_FALSE(DialTcp({folder_ / "stranger.pem", "", "", ""}).ok());
}

TEST_F(AccessTest, WithoutTokensACertificateIsDemanded) {
  config_.token_file.clear();
  Start();
  const auto channel = DialTcp({folder_ / "ca.pem", "", "", ""});
  if (channel.ok()) {
    EXPECT_FALSE(AskHealth(*channel).ok());
  }
  EXPECT_TRUE(CallEmpty(*DialTcp(Certificate(Role::kReader)), "/ladder.tune.v1.CacheAdmin/Stats").ok());
}

TEST_F(AccessTest, ARestartRenewsCertificatesAndTokensAndLosesNothing) {
  Start();
  pb::TuneRequest tune;
  pb::OperatorDescriptor& op = *tune.mutable_op();
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_w("nf4");
  op.set_n(256);
  op.set_k(512);
  op.add_m()->set_first(1);
  op.mutable_m(0)->set_last(1);
  ASSERT_TRUE(CallEmpty(host_->InProcessChannel(), "/ladder.tune.v1.Tuner/Tune", tune.SerializeAsString()).ok());

  const client::TlsFiles old_token = {folder_ / "old-ca.pem", "", "", folder_ / "old.token"};
  Write("old-ca.pem", authority_.certificate());
  Write("old.token", Token(Role::kReader) + "\n");
  const TestAuthority renewed("renewed");
  const KeyAndCertificate server = renewed.Sign("localhost");
  Write("ca.pem", renewed.certificate());
  Write("server.pem", server.certificate);
  Write("server.key", server.key);
  Write("reader.token", "another token\n");
  Write("tokens", absl::StrCat("reader me ", Sha256Hex("another token"), "\n"));
  // Not before: who holds the old ones is served until then.
  const std::string stats = "/ladder.tune.v1.CacheAdmin/Stats";
  EXPECT_TRUE(CallEmpty(*DialTcp(old_token), stats).ok());
  EXPECT_FALSE(DialTcp(TokenFile(Role::kReader)).ok());

  const absl::Time begin = absl::Now();
  host_.reset();
  Start();
  std::printf("restarted in %.0f ms\n", absl::ToDoubleMilliseconds(absl::Now() - begin));
  const auto channel = DialTcp(TokenFile(Role::kReader));
  ASSERT_TRUE(channel.ok()) << channel.status();
  pb::LookupRequest request;
  *request.mutable_op() = op;
  pb::LookupResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(pb::KernelCache::NewStub(*channel)->Lookup(&context, request, &response).ok());
  EXPECT_EQ(response.results(0).record().kind(), pb::RECORD_KIND_MEASURED);
  EXPECT_FALSE(DialTcp(old_token).ok());
  EXPECT_TRUE(Denied(CallEmpty(*DialTcp({folder_ / "ca.pem", "", "", folder_ / "old.token"}), stats)));
}

TEST_F(AccessTest, BadRulesAndTokensAreNamed) {
  const auto error = [&] { return std::string(EmbeddedHost::Start(config_).status().message()); };
  config_.readers = {"everybody"};
  EXPECT_THAT(error(), HasSubstr("access.readers: expected local, user:NAME"));
  config_.readers = {"user:no-such-user-here"};
  EXPECT_THAT(error(), HasSubstr("access.readers: this system has no user \"no-such-user-here\""));
  config_.readers = {"uid:4294967295"};
  EXPECT_THAT(error(), HasSubstr("is no number of a user or group"));
  config_.readers = {"local"};
  Write("tokens", "reader me my-secret\n");
  EXPECT_THAT(error(), HasSubstr("access.token_file: line 1 of "));
  EXPECT_THAT(error(), ::testing::Not(HasSubstr("my-secret")));
  Write("tokens", "");
  Write("server.key", "nonsense");
  EXPECT_THAT(error(), HasSubstr("tls.certificate and tls.key may not belong together"));
}

TEST(AccessPolicy, TheHighestMatchingRoleCounts) {
  Config config = DefaultConfig();
  config.readers = {"local", "gid:7"};
  config.tuners = {"uid:70000", "group:root"};
  config.admins = {"user:root", "gid:9"};
  const absl::StatusOr<AccessPolicy> policy = AccessPolicy::Make(config);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->OfLocal({4000, {4000}}), Role::kReader);
  EXPECT_EQ(policy->OfLocal({70000, {7}}), Role::kTuner);
  EXPECT_EQ(policy->OfLocal({4000, {4000, 0}}), Role::kTuner);
  EXPECT_EQ(policy->OfLocal({70000, {1, 9}}), Role::kAdmin);
  EXPECT_EQ(policy->OfLocal({0, {}}), Role::kAdmin);
  EXPECT_EQ(policy->OfCertificate({"x"}), Role::kNone);
  EXPECT_EQ(policy->OfToken(""), Role::kNone);
  EXPECT_EQ(AccessPolicy::Make(DefaultConfig())->OfLocal({4000, {4000}}), Role::kNone);  // nobody by default
}

}  // namespace
}  // namespace ladder
