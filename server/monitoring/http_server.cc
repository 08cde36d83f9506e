#include "server/monitoring/http_server.h"

#include <httplib.h>

#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

constexpr size_t kThreads = 2;  // an operator and a scraper
constexpr char kText[] = "text/plain; charset=utf-8";

}  // namespace

struct HttpServer::Parts {
  httplib::Server server;
  std::thread thread;
};

HttpServer::HttpServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

HttpServer::~HttpServer() {
  parts_->server.stop();
  if (parts_->thread.joinable()) parts_->thread.join();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, HttpPages pages) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host == "[::1]") host = "::1";
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat("http_listen: expected HOST:PORT, got \"", address, "\""));
  }
  auto parts = std::make_unique<Parts>();
  httplib::Server& server = parts->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(100);
  server.set_read_timeout(5);
  server.set_write_timeout(5);
  server.set_payload_max_length(1024);  // nobody has anything to send
  server.Get("/statusz", [page = std::move(pages.status)](const httplib::Request&, httplib::Response& response) {
    response.set_content(page(), "text/html; charset=utf-8");
  });
  server.Get("/metrics", [page = std::move(pages.metrics)](const httplib::Request&, httplib::Response& response) {
    response.set_content(page(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/healthz",
             [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", kText); });
  server.Get("/", [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/statusz"); });
  if (port == 0) {
    port = server.bind_to_any_port(host.c_str());
  } else if (!server.bind_to_port(host.c_str(), port)) {
    port = -1;
  }
  if (port < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("http_listen: can't serve on ", address, "; another program may use the port"));
  }
  parts->thread = std::thread([&server] { server.listen_after_bind(); });
  // stop() before the loop has begun would be lost.
  while (!server.is_running()) std::this_thread::yield();
  std::unique_ptr<HttpServer> started(new HttpServer(std::move(parts)));
  started->address_ = absl::StrCat(address.substr(0, colon), ":", port);
  return started;
}

}  // namespace ladder
