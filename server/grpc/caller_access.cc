#include "server/grpc/caller_access.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/access/access_policy.h"

namespace ladder {
namespace {

struct Shown {
  Role role = Role::kNone;
  bool anything = false;
};

// Only TLS that has verified the certificate sets these properties.
std::vector<std::string> CertificateNames(const grpc::CallbackServerContext& context) {
  std::vector<std::string> names;
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  if (peer == nullptr) return names;
  for (const char* property : {"x509_common_name", "x509_subject_alternative_name"}) {
    for (const grpc::string_ref& value : peer->FindPropertyValues(property)) {
      names.emplace_back(value.data(), value.size());
    }
  }
  return names;
}

Shown ShownBy(const grpc::CallbackServerContext& context, const AccessPolicy& policy) {
  Shown shown;
  if (const std::vector<std::string> names = CertificateNames(context); !names.empty()) {
    shown = {policy.OfCertificate(names), true};
  }
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  for (auto it = first; it != last; ++it) {
    absl::string_view value(it->second.data(), it->second.size());
    if (!absl::ConsumePrefix(&value, "Bearer ")) continue;
    shown = {std::max(shown.role, policy.OfToken(value)), true};
  }
  return shown;
}

}  // namespace

absl::Status CallerAccess::Check(const grpc::CallbackServerContext& context, absl::string_view call) const {
  const std::optional<Role> needed = RequiredRole(call);
  if (!needed.has_value()) return absl::PermissionDeniedError(absl::StrCat(call, " is open to nobody"));
  return Require(context, *needed, call);
}

absl::Status CallerAccess::Require(const grpc::CallbackServerContext& context, Role needed,
                                   absl::string_view what) const {
  const Shown shown = policy_ == nullptr ? Shown{role_, true} : ShownBy(context, *policy_);
  if (shown.role >= needed) return absl::OkStatus();
  if (!shown.anything) {
    return absl::UnauthenticatedError(absl::StrCat(what, " needs the role ", Name(needed),
                                                   ", and this caller showed neither certificate nor bearer token"));
  }
  return absl::PermissionDeniedError(absl::StrCat(what, " needs the role ", Name(needed), ", and this caller has ",
                                                  Name(shown.role), "; access.* of the configuration gives roles"));
}

}  // namespace ladder
