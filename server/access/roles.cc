#include "server/access/roles.h"

#include <array>

namespace ladder {
namespace {

constexpr std::array<absl::string_view, 4> kNames = {"none", "reader", "tuner", "admin"};

struct Requirement {
  absl::string_view call;
  Role role;
};

constexpr Requirement kRequirements[] = {
    {"KernelCache/Lookup", Role::kReader},  // with on_miss, kTuner
    {"KernelCache/BatchLookup", Role::kReader},
    {"KernelCache/ReadBlob", Role::kReader},
    {"KernelCache/Watch", Role::kReader},
    {"KernelCache/ReportFailure", Role::kTuner},  // takes a kernel away from everyone
    {"KernelCache/GetSupport", Role::kReader},
    {"Tuner/Tune", Role::kTuner},
    {"Tuner/WaitTune", Role::kReader},
    {"Tuner/CancelTune", Role::kTuner},
    {"Tuner/ListTunes", Role::kReader},
    {"Tuner/Plan", Role::kReader},
    {"Tuner/Compare", Role::kTuner},
    {"Tuner/Describe", Role::kReader},
    {"CacheAdmin/List", Role::kReader},
    {"CacheAdmin/Explain", Role::kReader},
    {"CacheAdmin/Export", Role::kAdmin},  // signs with the cache's key
    {"CacheAdmin/Import", Role::kAdmin},
    {"CacheAdmin/Stats", Role::kReader},
    {"CacheAdmin/Evict", Role::kAdmin},
    {"CacheAdmin/Verify", Role::kAdmin},  // reads the whole file
    {"CacheAdmin/Quarantine", Role::kReader},
    {"CacheAdmin/TrustKey", Role::kAdmin},
};

}  // namespace

absl::string_view Name(Role role) { return kNames[static_cast<size_t>(role)]; }

std::optional<Role> RoleFromName(absl::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Role>(i);
  }
  return std::nullopt;
}

std::optional<Role> RequiredRole(absl::string_view call) {
  for (const Requirement& requirement : kRequirements) {
    if (requirement.call == call) return requirement.role;
  }
  return std::nullopt;
}

std::vector<absl::string_view> ListedCalls() {
  std::vector<absl::string_view> calls;
  calls.reserve(std::size(kRequirements));
  for (const Requirement& requirement : kRequirements) calls.push_back(requirement.call);
  return calls;
}

}  // namespace ladder
