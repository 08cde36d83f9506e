#include "server/storage/keyring.h"

#include <sys/stat.h>

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/storage/digest.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KeyringTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const Keyring keyring_{folder_ / "cache.db"};
};

TEST_F(KeyringTest, MakesItsKeyOnceAndPrivately) {
  EXPECT_EQ(keyring_.ExistingPublicKey().value(), "");
  const std::string key = keyring_.PublicKey().value();
  EXPECT_EQ(key.size(), 64u);
  EXPECT_EQ(keyring_.PublicKey().value(), key);
  EXPECT_EQ(keyring_.ExistingPublicKey().value(), key);
  struct stat info = {};
  ASSERT_EQ(stat((folder_ / "export_key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(KeyringTest, ManyFirstUsersMakeOneKey) {
  std::vector<std::string> keys(8);
  std::vector<std::thread> threads;
  for (std::string& key : keys) {
    threads.emplace_back([&] { key = Keyring(folder_ / "cache.db").PublicKey().value_or(""); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(keys, ::testing::Each(keyring_.PublicKey().value()));
}

TEST_F(KeyringTest, SignsAndVerifies) {
  const std::string key = *FromHex(keyring_.PublicKey().value());
  const std::string signature = keyring_.Sign("message").value();
  EXPECT_TRUE(VerifySignature(key, "message", signature));
  EXPECT_FALSE(VerifySignature(key, "massage", signature));
  std::string other = signature;
  other[10] ^= 4;
  EXPECT_FALSE(VerifySignature(key, "message", other));
  EXPECT_FALSE(VerifySignature(key, "message", signature.substr(1)));
  EXPECT_FALSE(VerifySignature(key.substr(1), "message", signature));
  EXPECT_FALSE(VerifySignature(std::string(32, '\xff'), "message", signature));
}

// RFC 8032, section 7.1, test 2.
TEST_F(KeyringTest, VerifiesAKnownSignature) {
  const std::string key = *FromHex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const std::string signature = *FromHex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(VerifySignature(key, "\x72", signature));
  EXPECT_FALSE(VerifySignature(key, "\x73", signature));
}

TEST_F(KeyringTest, TrustsItselfAndWhomItIsTold) {
  const std::string own = keyring_.PublicKey().value();
  const std::string other = Keyring(folder_ / "other/cache.db").PublicKey().value_or("");
  EXPECT_EQ(other, "");  // no such folder, and making one is not its business
  const std::string key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
  EXPECT_TRUE(keyring_.Trusts(own).value());
  EXPECT_FALSE(keyring_.Trusts(key).value());
  ASSERT_TRUE(keyring_.Trust(" 3D4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c\n").ok());
  ASSERT_TRUE(keyring_.Trust(key).ok());
  EXPECT_TRUE(keyring_.Trusts(key).value());
  EXPECT_THAT(keyring_.Trusted().value(), ElementsAre(key));
  ASSERT_TRUE(keyring_.Distrust(key).ok());
  EXPECT_FALSE(keyring_.Trusts(key).value());
  EXPECT_EQ(keyring_.Distrust(key).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(keyring_.Trusted().value(), IsEmpty());
}

TEST_F(KeyringTest, ReadsPem) {
  // The key of RFC 8032, test 2, in the form of openssl pkey -pubout.
  ASSERT_TRUE(keyring_
                  .Trust("-----BEGIN PUBLIC KEY-----\n"
                         "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
                         "-----END PUBLIC KEY-----\n")
                  .ok());
  EXPECT_THAT(keyring_.Trusted().value(),
              ElementsAre("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
}

TEST_F(KeyringTest, BadKeysAreRefused) {
  for (const char* key : {"", "abc", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660g",
                          "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) {
    EXPECT_EQ(keyring_.Trust(key).code(), absl::StatusCode::kInvalidArgument) << key;
  }
  ASSERT_TRUE(keyring_.Trust(std::string(64, '1')).ok());
  WriteFile(folder_ / "trusted_keys/note.txt", "my friend's key\n");
  EXPECT_THAT(std::string(keyring_.Trusted().status().message()), HasSubstr("note.txt"));
}

TEST_F(KeyringTest, ABadKeyFileIsNeverReplaced) {
  WriteFile(folder_ / "export_key.pem", "garbage");
  ASSERT_EQ(chmod((folder_ / "export_key.pem").c_str(), 0644), 0);
  EXPECT_THAT(std::string(keyring_.PublicKey().status().message()), HasSubstr("chmod 600"));
  ASSERT_EQ(chmod((folder_ / "export_key.pem").c_str(), 0600), 0);
  EXPECT_THAT(std::string(keyring_.Sign("x").status().message()), HasSubstr("holds no Ed25519 private key"));
  EXPECT_EQ(ReadFile(folder_ / "export_key.pem"), "garbage");
}

}  // namespace
}  // namespace ladder
