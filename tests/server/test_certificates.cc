#include "tests/server/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace ladder {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key NewKey() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string Pem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return Text(bio);
}

std::string Pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(bio);
}

void AddExtension(X509* certificate, int kind, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate NewCertificate(const std::string& name, EVP_PKEY* key, bool is_authority) {
  static long serial = 1;
  Certificate made(X509_new(), &X509_free);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  AddExtension(made.get(), NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!is_authority) AddExtension(made.get(), NID_subject_alt_name, "DNS:" + name);
  return made;
}

}  // namespace

struct TestAuthority::Handles {
  Key key = NewKey();
  Certificate certificate{nullptr, &X509_free};
};

TestAuthority::TestAuthority(const std::string& name) : handles_(std::make_unique<Handles>()) {
  handles_->certificate = NewCertificate(name, handles_->key.get(), true);
  X509* const certificate = handles_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_sign(certificate, handles_->key.get(), EVP_sha256());
  certificate_ = Pem(certificate);
}

TestAuthority::~TestAuthority() = default;

KeyAndCertificate TestAuthority::Sign(const std::string& common_name) const {
  const Key key = NewKey();
  const Certificate certificate = NewCertificate(common_name, key.get(), false);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(handles_->certificate.get()));
  X509_sign(certificate.get(), handles_->key.get(), EVP_sha256());
  return {Pem(key.get()), Pem(certificate.get())};
}

}  // namespace ladder
