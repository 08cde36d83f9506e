// Shows pages over HTTP on a loopback address: /statusz, /metrics and /healthz. Reads only.
#ifndef LADDER_SERVER_MONITORING_HTTP_SERVER_H_
#define LADDER_SERVER_MONITORING_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace ladder {

struct HttpPages {
  std::function<std::string()> status;   // HTML
  std::function<std::string()> metrics;  // Prometheus's text
};

class HttpServer {
 public:
  // `address`: "127.0.0.1:9188"; port 0 means any. FailedPrecondition if it can't be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, HttpPages pages);
  ~HttpServer();  // waits for pages being made
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const std::string& address() const { return address_; }

 private:
  struct Parts;
  explicit HttpServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  std::string address_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_MONITORING_HTTP_SERVER_H_
