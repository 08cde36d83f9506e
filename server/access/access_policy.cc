#include "server/access/access_policy.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/store/keys.h"

namespace ladder {
namespace {

void Raise(Role& role, Role to) { role = std::max(role, to); }

template <typename Key>
Role Found(const std::map<Key, Role>& rules, const Key& key) {
  const auto found = rules.find(key);
  return found == rules.end() ? Role::kNone : found->second;
}

// Users and groups may come from anywhere NSS knows; entries larger than this don't occur.
constexpr size_t kEntryBytes = size_t{1} << 16;

absl::StatusOr<uid_t> UserByName(const std::string& name) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return entry.pw_uid;
  }
  return absl::InvalidArgumentError(absl::StrCat("this system has no user \"", name, "\""));
}

absl::StatusOr<gid_t> GroupByName(const std::string& name) {
  std::vector<char> buffer(kEntryBytes);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return entry.gr_gid;
  }
  return absl::InvalidArgumentError(absl::StrCat("this system has no group \"", name, "\""));
}

absl::StatusOr<uint32_t> Number(absl::string_view text) {
  uint32_t number = 0;
  // The highest value stands for "unchanged" in system calls; no user has it.
  if (absl::SimpleAtoi(text, &number) && number != std::numeric_limits<uint32_t>::max()) return number;
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no number of a user or group"));
}

}  // namespace

absl::Status AccessPolicy::AddRule(absl::string_view rule, Role role) {
  if (rule == "local") {
    Raise(anyone_local_, role);
    return absl::OkStatus();
  }
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(rule, absl::MaxSplits(':', 1));
  const auto& [kind, name] = parts;
  if (!name.empty() && kind == "certificate") {
    Raise(certificates_[std::string(name)], role);
    return absl::OkStatus();
  }
  if (!name.empty() && (kind == "user" || kind == "uid")) {
    const absl::StatusOr<uid_t> uid = kind == "uid" ? Number(name) : UserByName(std::string(name));
    if (!uid.ok()) return uid.status();
    Raise(users_[*uid], role);
    return absl::OkStatus();
  }
  if (!name.empty() && (kind == "group" || kind == "gid")) {
    const absl::StatusOr<gid_t> gid = kind == "gid" ? Number(name) : GroupByName(std::string(name));
    if (!gid.ok()) return gid.status();
    Raise(groups_[*gid], role);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "expected local, user:NAME, uid:NUMBER, group:NAME, gid:NUMBER or certificate:NAME, got \"", rule, "\""));
}

absl::Status AccessPolicy::ReadTokens(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("access.token_file: ", path, " can't be read"));
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#') continue;
    const std::optional<Role> role = RoleFromName(words[0]);
    const std::string digest = words.size() == 3 ? absl::AsciiStrToLower(words[2]) : "";
    if (!role.has_value() || *role == Role::kNone || digest.size() != 64 ||
        digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
      // Not the line itself: somebody may have written the token there.
      return absl::InvalidArgumentError(
          absl::StrCat("access.token_file: line ", number, " of ", path,
                       ": expected \"ROLE NAME SHA256\", with reader, tuner or admin and the token's SHA-256 in hex"));
    }
    Raise(tokens_[digest], *role);
  }
  return absl::OkStatus();
}

absl::StatusOr<AccessPolicy> AccessPolicy::Make(const Config& config) {
  AccessPolicy policy;
  for (const auto& [key, rules, role] : {std::tuple{"access.readers", &config.readers, Role::kReader},
                                         {"access.tuners", &config.tuners, Role::kTuner},
                                         {"access.admins", &config.admins, Role::kAdmin}}) {
    for (const std::string& rule : *rules) {
      if (const absl::Status status = policy.AddRule(rule, role); !status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
      }
    }
  }
  Raise(policy.users_[0], Role::kAdmin);
  Raise(policy.users_[::geteuid()], Role::kAdmin);
  if (!config.token_file.empty()) {
    if (absl::Status status = policy.ReadTokens(config.token_file); !status.ok()) return status;
  }
  return policy;
}

Role AccessPolicy::OfLocal(const LocalPeer& peer) const {
  Role role = anyone_local_;
  Raise(role, Found(users_, peer.uid));
  for (const gid_t group : peer.groups) Raise(role, Found(groups_, group));
  return role;
}

Role AccessPolicy::OfCertificate(const std::vector<std::string>& names) const {
  Role role = Role::kNone;
  for (const std::string& name : names) Raise(role, Found(certificates_, name));
  return role;
}

Role AccessPolicy::OfToken(absl::string_view token) const { return Found(tokens_, Sha256Hex(token)); }

}  // namespace ladder
