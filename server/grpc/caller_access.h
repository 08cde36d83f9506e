// Whether a call may be made: every handler asks first.
#ifndef LADDER_SERVER_GRPC_CALLER_ACCESS_H_
#define LADDER_SERVER_GRPC_CALLER_ACCESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/access/roles.h"

namespace grpc {
class CallbackServerContext;
}

namespace ladder {

class AccessPolicy;

// Immutable, so thread-safe. Cheap to copy.
class CallerAccess {
 public:
  // Every caller of the server has this role: the connections of a Unix socket are sorted by role when accepted.
  explicit CallerAccess(Role role) : role_(role) {}
  // Each call shows a certificate or a token. `policy` outlives this.
  explicit CallerAccess(const AccessPolicy& policy) : policy_(&policy) {}

  // `call` as in RequiredRole(). PermissionDenied, or Unauthenticated for one who showed nothing.
  absl::Status Check(const grpc::CallbackServerContext& context, absl::string_view call) const;
  // The same for a part of a call, which the message names.
  absl::Status Require(const grpc::CallbackServerContext& context, Role needed, absl::string_view what) const;

 private:
  Role role_ = Role::kNone;
  const AccessPolicy* policy_ = nullptr;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_CALLER_ACCESS_H_
