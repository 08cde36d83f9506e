// An inference process without a GPU: a real client on a real daemon's socket, with a driver that records. Prints what
// it got as one JSON line.
//
//   client_probe ADDRESS found|fast N K     (nf4, group 64, M = 1; an empty ADDRESS: the default one)
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "client/ladder.h"
#include "tests/client/fake_driver.h"

namespace {

using namespace ladder::client;

[[noreturn]] void Exit(const absl::Status& status) {
  std::fprintf(stderr, "client_probe: %s\n", status.ToString().c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const bool fast = std::string(argv[2]) == "fast";
  ClientOptions options;
  options.driver = &FakeGpu::Driver();
  auto client = Client::Connect(argv[1][0] == '\0' ? DefaultAddress() : argv[1], options);
  if (!client.ok()) Exit(client.status());
  MatmulDescriptor descriptor;
  descriptor.w = "nf4";
  descriptor.group = 64;
  descriptor.n = std::atoll(argv[3]);
  descriptor.k = std::atoll(argv[4]);
  descriptor.m = {{1, 1}};
  auto matmul = (*client)->Get(descriptor, {.on_miss = fast ? OnMiss::kFast : OnMiss::kNotFound, .watch = fast});
  if (!matmul.ok()) Exit(matmul.status());
  const KernelInfo first = (*matmul)->Kernels().front();
  // The fast answer is replaced while this process goes on.
  for (int i = 0; fast && i < 900 && !(*matmul)->Kernels().front().searched; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const KernelInfo last = (*matmul)->Kernels().front();

  std::vector<char> memory(1 << 20);
  auto workspace = (*client)->MakeWorkspace((*matmul)->WorkspaceBytes(1));
  if (!workspace.ok()) Exit(workspace.status());
  absl::Status status = (*matmul)->Pack({.codes = memory.data(), .scales = memory.data()},
                                        {.weight = memory.data(), .scale = memory.data()}, nullptr);
  if (!status.ok()) Exit(status);
  const LaunchArguments arguments = {.x = memory.data(),
                                     .weight = memory.data(),
                                     .scale = memory.data(),
                                     .y = memory.data(),
                                     .m = 1,
                                     .workspace = workspace->data(),
                                     .workspace_bytes = workspace->bytes()};
  status = (*matmul)->Launch(arguments, nullptr);
  if (!status.ok()) Exit(status);
  std::printf(
      "{\"first_searched\": %s, \"searched\": %s, \"candidate\": \"%s\", \"blob_sha256\": \"%s\", "
      "\"measured_us\": %.3f, \"launches\": %zu, \"grid\": %u}\n",
      first.searched ? "true" : "false", last.searched ? "true" : "false", last.candidate.c_str(),
      last.blob_sha256.c_str(), last.measured_us, FakeGpu::Get().launches.size(),
      FakeGpu::Get().launches.back().config.grid_x);
  return 0;
}
