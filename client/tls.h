// How a client shows a daemon on TCP who it is.
#ifndef LADDER_CLIENT_TLS_H_
#define LADDER_CLIENT_TLS_H_

#include <string>

namespace ladder::client {

// Files in PEM. With any of them set, the connection is TLS; a Unix socket needs none, since the kernel says who calls.
struct TlsFiles {
  std::string ca{};           // who signs the daemon's certificate; empty: the system's list
  std::string certificate{};  // to show the daemon, with its key
  std::string key{};
  std::string token{};  // holds a bearer token, blanks around it are dropped

  bool any() const { return !ca.empty() || !certificate.empty() || !key.empty() || !token.empty(); }
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_TLS_H_
