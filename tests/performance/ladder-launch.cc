// What Matmul::Launch costs the caller's CPU over a raw cuLaunchKernelEx of the same kernel, and what choosing the
// kernel by M costs. The kernel does nothing. With a GPU, through its driver; without one (or with LADDER_NO_GPU set)
// through entry points that return at once, which leaves the client's own part.
//   ladder-launch --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "client/ladder.h"
#include "core/backend/cuda/nvrtc.h"
#include "tests/client/fake_driver.h"
#include "tests/client/fake_service.h"

namespace ladder::client {
namespace {

// Launches between two synchronizations: few enough that the driver's queue never fills.
constexpr int kBatch = 128;

// The last launch that passed through the driver, to make again without the client.
const CudaDriver* real = nullptr;
CuLaunchConfig last_config;
CuFunction last_function = nullptr;

CuResult Remember(const CuLaunchConfig* config, CuFunction function, void** parameters, void** extra) {
  last_config = *config;
  last_function = function;
  return real->cuLaunchKernelEx(config, function, parameters, extra);
}

CudaDriver Idle() {
  CudaDriver driver = FakeGpu::Driver();
  driver.cuLaunchKernelEx = [](const CuLaunchConfig*, CuFunction, void**, void**) -> CuResult { return 0; };
  driver.cuTensorMapEncodeTiled = [](CuTensorMap*, int, uint32_t, void*, const uint64_t*, const uint64_t*,
                                     const uint32_t*, const uint32_t*, int, int, int, int) -> CuResult { return 0; };
  return driver;
}

[[noreturn]] void Exit(const absl::Status& status) {
  std::fprintf(stderr, "ladder-launch: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}

std::string EmptyKernel(const CudaDriver& driver) {
  int major = 0, minor = 0;
  driver.cuDeviceGetAttribute(&major, kComputeCapabilityMajor, 0);
  driver.cuDeviceGetAttribute(&minor, kComputeCapabilityMinor, 0);
  CompileRequest request;
  request.arch = "sm_" + std::to_string(10 * major + minor);
  // A parameter as big as those of the kernels with tensor maps.
  request.source.text = "struct alignas(64) P { char bytes[" + std::to_string(sizeof(MatmulTmaArguments)) +
                        "]; };\nextern \"C\" __global__ void ladder_kernel(const __grid_constant__ P p) {}\n";
  CudaCompiler compiler({}, {}, 1);
  const absl::StatusOr<CompiledKernel> kernel = std::move(compiler.Compile({&request, 1}, nullptr).front());
  if (!kernel.ok()) Exit(kernel.status());
  return kernel->binary;
}

struct Setup {
  bool has_gpu = false;
  CudaDriver driver;
  FakeService service;
  std::unique_ptr<Client> client;
  std::shared_ptr<Matmul> matmul;
  CuDevicePtr memory = 0;
  CuStream stream = nullptr;

  explicit Setup(bool with_map) {
    static const CudaDriver idle = Idle();
    const absl::StatusOr<const CudaDriver*> found = CudaDriver::Load();
    has_gpu = found.ok() && std::getenv("LADDER_NO_GPU") == nullptr;
    real = has_gpu ? *found : &idle;
    driver = *real;
    driver.cuLaunchKernelEx = Remember;
    CuContext context = nullptr;
    if (has_gpu) {
      driver.cuDevicePrimaryCtxRetain(&context, 0);
      driver.cuCtxSetCurrent(context);
    }
    const std::string binary = has_gpu ? EmptyKernel(driver) : "kernel";
    for (const int64_t m : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}) {
      tune::v1::LookupResult& result = service.AddRecord(m, binary);
      result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_blocks_per_m_tile(1);
      if (with_map) FakeService::AddTensorMap(result, tune::v1::TENSOR_OPERAND_X, 64);
    }
    ClientOptions options;
    options.driver = &driver;
    auto connected = Client::FromChannel(service.Channel(), options);
    if (!connected.ok()) Exit(connected.status());
    client = *std::move(connected);
    auto got = client->Get({.w = "nf4", .n = 1024, .k = 512}, {.watch = false});
    if (!got.ok()) Exit(got.status());
    matmul = *std::move(got);
    // What a launch addresses is never read.
    if (driver.cuMemAlloc(&memory, 1 << 20) != 0) Exit(absl::InternalError("no memory on the GPU"));
    if (has_gpu && driver.cuStreamCreate(&stream, kStreamNonBlocking) != 0) Exit(absl::InternalError("no stream"));
  }
  LaunchArguments Arguments(int64_t m) const {
    auto* const pointer = reinterpret_cast<void*>(memory);
    return {.x = pointer,
            .weight = pointer,
            .scale = pointer,
            .y = pointer,
            .m = m,
            .workspace = pointer,
            .workspace_bytes = 1 << 20};
  }
};

Setup& Get(bool with_map) {
  // Leaked: the driver may be gone before static destructors run.
  static Setup* const setups[2] = {new Setup(false), new Setup(true)};
  return *setups[with_map ? 1 : 0];
}

// Microseconds of CPU per launch, the waiting for the GPU left out.
template <typename LaunchOnce>
void Time(benchmark::State& state, const Setup& setup, const LaunchOnce& launch_once) {
  std::chrono::duration<double> total{};
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kBatch; i++) {
      if (!launch_once(i)) return state.SkipWithError("a launch failed");
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(took.count());
    total += took;
    if (setup.has_gpu) setup.driver.cuStreamSynchronize(setup.stream);
  }
  state.counters["us_per_launch"] = 1e6 * total.count() / (kBatch * static_cast<double>(state.iterations()));
  state.SetLabel(setup.has_gpu ? "GPU" : "no GPU");
}

void BM_Raw(benchmark::State& state) {
  Setup& setup = Get(state.range(0) != 0);
  if (!setup.matmul->Launch(setup.Arguments(16), setup.stream).ok()) return state.SkipWithError("a launch failed");
  MatmulTmaArguments arguments;
  void* parameters[1] = {&arguments};
  CuLaunchConfig config = last_config;
  config.attributes = nullptr;
  config.attribute_count = 0;
  Time(state, setup, [&](int) { return real->cuLaunchKernelEx(&config, last_function, parameters, nullptr) == 0; });
}

void BM_Launch(benchmark::State& state) {
  Setup& setup = Get(state.range(0) != 0);
  LaunchArguments arguments = setup.Arguments(16);
  arguments.overlap_predecessor = false;
  Time(state, setup, [&](int i) {
    arguments.m = 1 + i;  // another bucket now and then
    return setup.matmul->Launch(arguments, setup.stream).ok();
  });
}

// What the client keeps of an operator: the sizes that a caller asks again, and the choice by M inside WorkspaceBytes.
void BM_CachedLookUp(benchmark::State& state) {
  Setup& setup = Get(false);
  int64_t m = 0;
  for (auto _ : state) benchmark::DoNotOptimize(setup.matmul->WorkspaceBytes(1 + m++ % 64));
}

BENCHMARK(BM_Raw)->ArgName("tensor_maps")->Arg(0)->Arg(1)->UseManualTime()->Iterations(500);
BENCHMARK(BM_Launch)->ArgName("tensor_maps")->Arg(0)->Arg(1)->UseManualTime()->Iterations(500);
BENCHMARK(BM_CachedLookUp)->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace ladder::client

BENCHMARK_MAIN();
