#include "server/grpc/call_observer.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/access/roles.h"
#include "server/logging/log.h"
#include "server/monitoring/call_metrics.h"

namespace ladder {
namespace {

constexpr char kRequestId[] = "x-request-id";
constexpr size_t kMaxRequestId = 64;

// Unlike any other's of this process, and hardly like one of another.
std::string NewRequestId() {
  static const auto prefix = absl::Hex(std::random_device{}(), absl::kZeroPad8);
  static std::atomic<uint32_t> last = 0;
  return absl::StrCat(prefix, absl::Hex(++last, absl::kZeroPad8));
}

bool IsUsable(const grpc::string_ref& id) {
  return !id.empty() && id.size() <= kMaxRequestId && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.';
  });
}

// Calls that look and change nothing are many and say little; what is refused or breaks is worth a line.
LogLevel LevelOf(const CallMetrics::Call& call, const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::NOT_FOUND:
      return RequiredRole(call.name()) == Role::kReader ? LogLevel::kDebug : LogLevel::kInfo;
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::UNKNOWN:
      return LogLevel::kWarning;
    default:
      return LogLevel::kInfo;
  }
}

class Observer final : public grpc::experimental::Interceptor {
 public:
  Observer(CallMetrics::Call& call, grpc::ServerContextBase& context)
      : call_(call), context_(context), begin_(absl::Now()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_INITIAL_METADATA))
      Name(*methods->GetRecvInitialMetadata());
    if (methods->QueryInterceptionHookPoint(Point::PRE_SEND_STATUS)) {
      if (auto* trailers = methods->GetSendTrailingMetadata()) trailers->emplace(kRequestId, id_);
      End(methods->GetSendStatus());
    }
    methods->Proceed();
  }

 private:
  // Handlers find the id in the metadata, whoever chose it.
  void Name(std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
    const auto found = metadata.find(kRequestId);
    id_ = found != metadata.end() && IsUsable(found->second) ? std::string(found->second.data(), found->second.size())
                                                             : NewRequestId();
    metadata.erase(kRequestId);
    metadata.emplace(kRequestId, id_);
  }

  void End(const grpc::Status& status) {
    const absl::Duration duration = absl::Now() - begin_;
    call_.Count(static_cast<int>(status.error_code()), duration);
    const LogLevel level = LevelOf(call_, status);
    if (!LogsAt(level)) return;
    LogEvent(level, "call",
             {{"call", call_.name()},
              {"request", id_},
              {"peer", context_.peer()},
              {"code", absl::StrCat(static_cast<int>(status.error_code()))},
              {"ms", absl::StrCat(absl::ToDoubleMilliseconds(duration))},
              {"message", status.error_message()}});
  }

  CallMetrics::Call& call_;
  grpc::ServerContextBase& context_;
  const absl::Time begin_;
  std::string id_;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(CallMetrics& metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    absl::string_view method = info->method();
    if (!absl::ConsumePrefix(&method, "/ladder.tune.v1.")) return nullptr;
    CallMetrics::Call* const call = metrics_.Find(method);
    return call == nullptr ? nullptr : new Observer(*call, *info->server_context());
  }

 private:
  CallMetrics& metrics_;
};

}  // namespace

void ObserveCalls(grpc::ServerBuilder& builder, CallMetrics& metrics) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>(metrics));
  builder.experimental().SetInterceptorCreators(std::move(factories));
}

std::string RequestId(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kRequestId);
  return found == context.client_metadata().end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace ladder
