// Who signed an export, and whom this cache believes: Ed25519 keys in files beside the database.
#ifndef LADDER_SERVER_STORAGE_KEYRING_H_
#define LADDER_SERVER_STORAGE_KEYRING_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

// Stateless: every call reads the files, so a key added by hand counts at once. Public keys are told as 64 hex digits:
// at 32 bytes, an Ed25519 key is its own fingerprint.
class Keyring {
 public:
  // "export_key.pem" (0600) and "trusted_keys/" lie in the cache's folder.
  explicit Keyring(const std::string& cache_path);

  // This cache's own key, made on first use. FailedPrecondition if the file is unreadable, is no Ed25519 key, or may be
  // read by others.
  absl::StatusOr<std::string> PublicKey() const;
  // As above, but empty if no key has been made yet.
  absl::StatusOr<std::string> ExistingPublicKey() const;
  // 64 bytes, by the own key.
  absl::StatusOr<std::string> Sign(absl::string_view message) const;

  // Keys in the folder, sorted. FailedPrecondition naming a file that holds no key: a keyring is never half read.
  absl::StatusOr<std::vector<std::string>> Trusted() const;
  // Whether it is the own key or a trusted one.
  absl::StatusOr<bool> Trusts(const std::string& public_key_hex) const;
  // `key` is 64 hex digits or a PEM public key. InvalidArgument otherwise. Trusting twice is no error.
  absl::Status Trust(const std::string& key) const;
  // NotFound if it wasn't trusted.
  absl::Status Distrust(const std::string& key) const;

 private:
  std::string key_path_, trusted_folder_;
};

// Whether `signature` over `message` is by the key (32 bytes). False for malformed keys and signatures.
bool VerifySignature(absl::string_view public_key, absl::string_view message, absl::string_view signature);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_KEYRING_H_
