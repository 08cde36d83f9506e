// Which role a caller has, by the rules of the configuration. A caller that no rule names has none.
#ifndef LADDER_SERVER_ACCESS_ACCESS_POLICY_H_
#define LADDER_SERVER_ACCESS_ACCESS_POLICY_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/roles.h"
#include "server/config/config.h"

namespace ladder {

// The other end of a Unix socket, as the kernel tells it.
struct LocalPeer {
  uid_t uid = 0;
  std::vector<gid_t> groups;  // the primary one and the supplementary ones
};

// Immutable, so thread-safe. Where several rules match, the highest role counts.
class AccessPolicy {
 public:
  // Reads the rules (access.readers, access.tuners, access.admins) and the token file. InvalidArgument, naming the key
  // and the rule or the line, for what can't be understood or names a user or group that this system doesn't have.
  static absl::StatusOr<AccessPolicy> Make(const Config& config);

  // root and the service's own user are admins: they could read and write the cache's files anyway.
  Role OfLocal(const LocalPeer& peer) const;
  // By the names of a verified client certificate.
  Role OfCertificate(const std::vector<std::string>& names) const;
  // By a bearer token; only its SHA-256 is kept and compared.
  Role OfToken(absl::string_view token) const;

 private:
  absl::Status AddRule(absl::string_view rule, Role role);
  absl::Status ReadTokens(const std::string& path);

  Role anyone_local_ = Role::kNone;
  std::map<uid_t, Role> users_;
  std::map<gid_t, Role> groups_;
  std::map<std::string, Role> certificates_;
  std::map<std::string, Role> tokens_;  // by SHA-256 in hex
};

}  // namespace ladder

#endif  // LADDER_SERVER_ACCESS_ACCESS_POLICY_H_
