// Roles and the calls they open. Each role may do what the one before it may.
#ifndef LADDER_SERVER_ACCESS_ROLES_H_
#define LADDER_SERVER_ACCESS_ROLES_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

namespace ladder {

enum class Role {
  kNone,    // health alone, which every caller may ask
  kReader,  // look-ups and what describes the service; changes nothing and costs no GPU time
  kTuner,   // starts and stops tunes, reports failures
  kAdmin,   // exports, imports, evicts, trusts keys
};

// "none", "reader", "tuner", "admin".
absl::string_view Name(Role role);
std::optional<Role> RoleFromName(absl::string_view name);

// What a call needs, by "Service/Method" ("CacheAdmin/Evict"). Nothing for a call that isn't listed: nobody may make
// it.
std::optional<Role> RequiredRole(absl::string_view call);
// All that are listed.
std::vector<absl::string_view> ListedCalls();

}  // namespace ladder

#endif  // LADDER_SERVER_ACCESS_ROLES_H_
