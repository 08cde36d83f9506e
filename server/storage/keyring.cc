#include "server/storage/keyring.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/storage/digest.h"

namespace ladder {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeyBytes = 32;
constexpr size_t kSignatureBytes = 64;
constexpr size_t kMaxKeyFile = 4096;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string PublicHex(const EVP_PKEY* key) {
  std::string raw(kKeyBytes, '\0');
  size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) != 1) return "";
  return ToHex(raw);
}

// The hex form of 64 hex digits or of a PEM public key.
std::optional<std::string> ParsePublicKey(const std::string& text) {
  const std::string trimmed(absl::StripAsciiWhitespace(text));
  if (trimmed.size() == 2 * kKeyBytes && FromHex(trimmed)) return absl::AsciiStrToLower(trimmed);
  if (!absl::StrContains(trimmed, "PUBLIC KEY")) return std::nullopt;
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(trimmed.data(), static_cast<int>(trimmed.size())));
  const Key key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) return std::nullopt;
  return PublicHex(key.get());
}

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxKeyFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// Written under another name first, so that a crash leaves no half key.
absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::string temporary = absl::StrCat(path, ".new");
  unlink(temporary.c_str());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  const int error = errno;
  if (file >= 0) close(file);
  good = good && rename(temporary.c_str(), path.c_str()) == 0;
  if (good) return absl::OkStatus();
  unlink(temporary.c_str());
  return absl::FailedPreconditionError(
      absl::StrCat("the key file ", path, " cannot be written: ", std::strerror(error), "; check the cache's folder"));
}

absl::StatusOr<Key> MakeKey(const std::string& path) {
  const std::unique_ptr<EVP_PKEY_CTX, Free> context(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
  EVP_PKEY* made = nullptr;
  if (context == nullptr || EVP_PKEY_keygen_init(context.get()) != 1 || EVP_PKEY_keygen(context.get(), &made) != 1) {
    return absl::InternalError("OpenSSL cannot make an Ed25519 key");
  }
  Key key(made);
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return absl::InternalError("OpenSSL cannot write an Ed25519 key");
  }
  const long size = BIO_get_mem_data(bio.get(), &text);
  if (absl::Status s = WriteFile(path, std::string(text, static_cast<size_t>(size))); !s.ok()) return s;
  return key;
}

absl::StatusOr<Key> ReadKey(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the key file ", path,
                     " may be read or changed by other users: run chmod 600 on it, or remove it for a new key"));
  }
  const std::string text = ReadSmallFile(path);
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return absl::FailedPreconditionError(
        absl::StrCat("the key file ", path, " holds no Ed25519 private key: remove it for a new key"));
  }
  return key;
}

absl::StatusOr<Key> OwnKey(const std::string& path) {
  // Two first exports at once would each make a key, and one sign with the other's.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  if (access(path.c_str(), F_OK) != 0) return MakeKey(path);
  return ReadKey(path);
}

}  // namespace

Keyring::Keyring(const std::string& cache_path) {
  const fs::path folder = fs::path(cache_path).parent_path();
  key_path_ = (folder / "export_key.pem").string();
  trusted_folder_ = (folder / "trusted_keys").string();
}

absl::StatusOr<std::string> Keyring::PublicKey() const {
  const absl::StatusOr<Key> key = OwnKey(key_path_);
  if (!key.ok()) return key.status();
  return PublicHex(key->get());
}

absl::StatusOr<std::string> Keyring::ExistingPublicKey() const {
  if (access(key_path_.c_str(), F_OK) != 0) return std::string();
  return PublicKey();
}

absl::StatusOr<std::string> Keyring::Sign(absl::string_view message) const {
  const absl::StatusOr<Key> key = OwnKey(key_path_);
  if (!key.ok()) return key.status();
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key->get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, Bytes(message),
                     message.size()) != 1) {
    return absl::InternalError("OpenSSL cannot sign");
  }
  return signature;
}

absl::StatusOr<std::vector<std::string>> Keyring::Trusted() const {
  std::vector<std::string> keys;
  std::error_code error;
  if (!fs::exists(trusted_folder_, error)) return keys;
  for (fs::directory_iterator entry(trusted_folder_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (absl::StartsWith(name, ".") || absl::EndsWith(name, ".new")) continue;
    const std::optional<std::string> key = ParsePublicKey(ReadSmallFile(entry->path().string()));
    if (!key) {
      return absl::FailedPreconditionError(absl::StrCat("the file ", entry->path().string(),
                                                        " holds no Ed25519 public key (64 hex digits or PEM): "
                                                        "mend or remove it"));
    }
    keys.push_back(*key);
  }
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", trusted_folder_, " cannot be read: ", error.message()));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

absl::StatusOr<bool> Keyring::Trusts(const std::string& public_key_hex) const {
  const absl::StatusOr<std::string> own = ExistingPublicKey();
  if (!own.ok()) return own.status();
  if (!own->empty() && *own == public_key_hex) return true;
  const absl::StatusOr<std::vector<std::string>> trusted = Trusted();
  if (!trusted.ok()) return trusted.status();
  return std::binary_search(trusted->begin(), trusted->end(), public_key_hex);
}

absl::Status Keyring::Trust(const std::string& key) const {
  const std::optional<std::string> hex = ParsePublicKey(key);
  if (!hex) return absl::InvalidArgumentError("public_key: is neither 64 hex digits nor an Ed25519 public key in PEM");
  std::error_code error;
  fs::create_directories(trusted_folder_, error);
  if (!error) fs::permissions(trusted_folder_, fs::perms::owner_all, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", trusted_folder_, " cannot be made: ", error.message()));
  }
  return WriteFile(absl::StrCat(trusted_folder_, "/", *hex, ".pub"), absl::StrCat(*hex, "\n"));
}

absl::Status Keyring::Distrust(const std::string& key) const {
  const std::optional<std::string> hex = ParsePublicKey(key);
  if (!hex) return absl::InvalidArgumentError("public_key: is neither 64 hex digits nor an Ed25519 public key in PEM");
  // By content: a person may have named the file otherwise.
  bool removed = false;
  std::error_code error;
  for (fs::directory_iterator entry(trusted_folder_, error), end; !error && entry != end; entry.increment(error)) {
    if (ParsePublicKey(ReadSmallFile(entry->path().string())) == hex) {
      removed = unlink(entry->path().c_str()) == 0 || removed;
    }
  }
  if (removed) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("public_key: ", *hex, " is not among the trusted keys"));
}

bool VerifySignature(absl::string_view public_key, absl::string_view message, absl::string_view signature) {
  if (public_key.size() != kKeyBytes || signature.size() != kSignatureBytes) return false;
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(public_key), public_key.size()));
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  return key != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message), message.size()) == 1;
}

}  // namespace ladder
