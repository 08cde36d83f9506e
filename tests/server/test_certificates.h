// Certificates for tests: an authority, and what it signs.
#ifndef LADDER_TESTS_SERVER_TEST_CERTIFICATES_H_
#define LADDER_TESTS_SERVER_TEST_CERTIFICATES_H_

#include <memory>
#include <string>

namespace ladder {

struct KeyAndCertificate {
  std::string key, certificate;  // PEM
};

// Makes a key of its own each time. Valid for an hour.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  ~TestAuthority();
  const std::string& certificate() const { return certificate_; }
  // `common_name` also becomes the DNS name, as TLS wants it of a server.
  KeyAndCertificate Sign(const std::string& common_name) const;

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
  std::string certificate_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_TEST_CERTIFICATES_H_
