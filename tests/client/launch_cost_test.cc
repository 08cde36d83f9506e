// What a launch costs the caller's CPU besides the driver: no allocation, no lock, and no call but the launch itself
// and the descriptions of its tensor maps. Its time is tests/performance/ladder-launch.cc's.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "client/ladder.h"
#include "tests/client/fake_driver.h"
#include "tests/client/fake_service.h"

namespace {

// Of this thread, so that gRPC's threads don't count.
thread_local int64_t allocations = 0;
thread_local int64_t locks = 0;
thread_local int64_t launches = 0;
thread_local int64_t maps = 0;
std::atomic<int64_t> other_calls = 0;

}  // namespace

// Not inlined, or the compiler sees a free() of what a new expression made.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  allocations++;
  if (void* const memory = std::malloc(bytes); memory != nullptr) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

// std::mutex calls these; the dynamic linker finds the program's own first.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static const auto real = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  locks++;
  return real(mutex);
}

namespace ladder::client {
namespace {

CudaDriver CountingDriver() {
  CudaDriver driver = FakeGpu::Driver();
  driver.cuLaunchKernelEx = [](const CuLaunchConfig*, CuFunction, void**, void**) -> CuResult { return ++launches, 0; };
  driver.cuTensorMapEncodeTiled = [](CuTensorMap*, int, uint32_t, void*, const uint64_t*, const uint64_t*,
                                     const uint32_t*, const uint32_t*, int, int, int,
                                     int) -> CuResult { return ++maps, 0; };
  driver.cuCtxGetCurrent = [](CuContext*) -> CuResult { return ++other_calls, 0; };
  driver.cuCtxSetCurrent = [](CuContext) -> CuResult { return ++other_calls, 0; };
  driver.cuFuncSetAttribute = [](CuFunction, int, int) -> CuResult { return ++other_calls, 0; };
  driver.cuStreamSynchronize = [](CuStream) -> CuResult { return ++other_calls, 0; };
  return driver;
}

class LaunchCost : public testing::TestWithParam<bool> {};

TEST_P(LaunchCost, IsTheDriversAlone) {
  FakeGpu::Reset();
  const CudaDriver driver = CountingDriver();
  FakeService service;
  for (const int64_t m : {1, 16, 256, 4096}) {
    tune::v1::LookupResult& result = service.AddRecord(m, "kernel");
    if (GetParam()) FakeService::AddTensorMap(result, tune::v1::TENSOR_OPERAND_X, 64);
  }
  ClientOptions options;
  options.driver = &driver;
  const auto client = Client::FromChannel(service.Channel(), options);
  ASSERT_TRUE(client.ok()) << client.status();
  const auto matmul = (*client)->Get({.w = "nf4", .n = 1024, .k = 512}, {.watch = false});
  ASSERT_TRUE(matmul.ok()) << matmul.status();
  alignas(16) char memory[16];
  const LaunchArguments arguments = {
      .x = memory, .weight = memory, .scale = memory, .y = memory, .workspace = memory, .workspace_bytes = 1 << 20};
  ASSERT_GT(allocations, 0);  // the counters count
  ASSERT_GT(locks, 0);
  ASSERT_GT(other_calls, 0);
  allocations = locks = launches = maps = other_calls = 0;
  constexpr int kLaunches = 100;
  bool ok = true;
  for (int i = 0; i < kLaunches; i++) {
    LaunchArguments one = arguments;
    one.m = 1 + 40 * i;
    ok = ok && (*matmul)->Launch(one, nullptr).ok();
  }
  const int64_t allocated = allocations, locked = locks;  // before gtest does either
  EXPECT_TRUE(ok);
  EXPECT_EQ(allocated, 0);
  EXPECT_EQ(locked, 0);
  EXPECT_EQ(launches, kLaunches);
  EXPECT_EQ(maps, GetParam() ? kLaunches : 0);
  EXPECT_EQ(other_calls, 0);
}

INSTANTIATE_TEST_SUITE_P(TensorMaps, LaunchCost, testing::Bool(),
                         [](const auto& info) { return info.param ? "With" : "Without"; });

}  // namespace
}  // namespace ladder::client
