// The flags that name the tools' service, the same in every tool.
#ifndef LADDER_CLIENT_TOOLS_CONNECTION_FLAGS_H_
#define LADDER_CLIENT_TOOLS_CONNECTION_FLAGS_H_

#include <CLI/CLI.hpp>

#include "client/tools/connection.h"

namespace ladder::tools {

inline void AddTlsFlags(CLI::App& app, client::TlsFiles& tls) {
  app.add_option("--tls-ca", tls.ca, "With --server host:port: who signs the daemon's certificate (PEM file)");
  app.add_option("--tls-certificate", tls.certificate, "Certificate to show the daemon (PEM file)");
  app.add_option("--tls-key", tls.key, "Its key (PEM file)");
  app.add_option("--token-file", tls.token, "File with a bearer token to show the daemon, over TLS");
}

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_CONNECTION_FLAGS_H_
