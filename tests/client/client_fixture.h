// A client with a fake driver and a fake service.
#ifndef LADDER_TESTS_CLIENT_CLIENT_FIXTURE_H_
#define LADDER_TESTS_CLIENT_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>

#include "client/ladder.h"
#include "tests/client/fake_driver.h"
#include "tests/client/fake_service.h"

namespace ladder::client {

namespace pb = tune::v1;
using absl::StatusCode;

inline void* const kStream = reinterpret_cast<void*>(0x5);
inline char memory[16];

class ClientTest : public testing::Test {
 protected:
  ClientTest() : gpu_(FakeGpu::Reset()) {}

  std::unique_ptr<Client> Connect() {
    ClientOptions options;
    options.driver = &FakeGpu::Driver();
    auto client = Client::FromChannel(service_.Channel(), options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  absl::StatusOr<std::shared_ptr<Matmul>> Get(const GetOptions& options = {.watch = false}) {
    client_ = Connect();
    return client_->Get({.w = "nf4", .n = 1024, .k = 512}, options);
  }
  LaunchArguments Arguments(int64_t m) {
    return {.x = reinterpret_cast<void*>(0x10000),
            .weight = memory,
            .scale = memory,
            .y = reinterpret_cast<void*>(0x20000),
            .m = m,
            .workspace = memory,
            .workspace_bytes = 1 << 20};
  }

  FakeGpu& gpu_;
  FakeService service_;
  std::unique_ptr<Client> client_;
};

}  // namespace ladder::client

#endif  // LADDER_TESTS_CLIENT_CLIENT_FIXTURE_H_
