// Asks a daemon for an nf4 matmul, packs a random weight on the GPU, launches it on a stream of its own for several M
// (and from a CUDA graph), and checks what comes out.
//
//   ladder-example [ADDRESS] [N K]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "client/cuda_driver.h"
#include "client/example/host_reference.h"
#include "client/ladder.h"

namespace ladder::example {
namespace {

using client::CudaDriver;
constexpr int64_t kGroup = 64;
constexpr int64_t kRows[] = {1, 2, 7, 16, 33, 64, 200, 1000};
constexpr int64_t kLargestM = 1000;
constexpr int kGraphLaunches = 20;
constexpr int kMostAttempts = 5;

[[noreturn]] void Exit(const absl::Status& status) {
  std::fprintf(stderr, "ladder-example: %s\n", std::string(status.message()).c_str());
  std::exit(absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status) ? 2 : 1);
}

void Require(const absl::Status& status) {
  if (!status.ok()) Exit(status);
}

template <typename T>
T Require(absl::StatusOr<T> result) {
  if (!result.ok()) Exit(result.status());
  return *std::move(result);
}

// Device memory for the life of the program's main function.
class Buffer {
 public:
  Buffer(const CudaDriver& driver, int64_t bytes) : driver_(driver), bytes_(bytes) {
    Require(
        driver_.Check(driver_.cuMemAlloc(&pointer_, static_cast<size_t>(std::max<int64_t>(bytes, 16))), "allocating"));
  }
  ~Buffer() { driver_.cuMemFree(pointer_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return reinterpret_cast<void*>(pointer_); }

  void Fill(unsigned char byte) {
    Require(driver_.Check(driver_.cuMemsetD8(pointer_, byte, static_cast<size_t>(bytes_)), "filling"));
    Require(driver_.Check(driver_.cuStreamSynchronize(nullptr), "filling"));
  }
  template <typename T>
  void Upload(const std::vector<T>& values) {
    Require(driver_.Check(driver_.cuMemcpyHtoD(pointer_, values.data(), values.size() * sizeof(T)), "uploading"));
  }
  template <typename T>
  std::vector<T> Download(size_t count) const {
    std::vector<T> values(count);
    Require(driver_.Check(driver_.cuMemcpyDtoH(values.data(), pointer_, count * sizeof(T)), "downloading"));
    return values;
  }

 private:
  const CudaDriver& driver_;
  int64_t bytes_;
  client::CuDevicePtr pointer_ = 0;
};

// max |y - expected| / bound over every element of the sampled rows; infinity if any element of y was not written.
double WorstRatio(const std::vector<uint16_t>& y, const HostWeight& weight, const std::vector<uint16_t>& x, int64_t m) {
  for (uint16_t bits : y) {
    if (!std::isfinite(HalfToDouble(bits))) return INFINITY;
  }
  std::vector<int64_t> rows = {0, m / 2, m - 1};
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  const std::vector<Expected> expected = Reference(weight, x, rows);
  const size_t n = static_cast<size_t>(weight.n);
  double worst = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    const double actual = HalfToDouble(y[static_cast<size_t>(rows[i / n]) * n + i % n]);
    worst = std::max(worst, std::fabs(actual - expected[i].value) / Bound(expected[i], weight.k));
  }
  return worst;
}

// Microseconds per launch when a graph of them is replayed.
double GraphMicroseconds(const CudaDriver& driver, const client::Matmul& matmul,
                         const client::LaunchArguments& arguments, client::CuStream stream) {
  client::CuGraph graph = nullptr;
  client::CuGraphExec executable = nullptr;
  Require(driver.Check(driver.cuStreamBeginCapture(stream, client::kCaptureModeGlobal), "capturing"));
  for (int i = 0; i < kGraphLaunches; i++) Require(matmul.Launch(arguments, stream));
  Require(driver.Check(driver.cuStreamEndCapture(stream, &graph), "capturing"));
  Require(driver.Check(driver.cuGraphInstantiateWithFlags(&executable, graph, 0), "instantiating the graph"));
  Require(driver.Check(driver.cuGraphLaunch(executable, stream), "launching the graph"));
  Require(driver.Check(driver.cuStreamSynchronize(stream), "running the graph"));
  const auto begin = std::chrono::steady_clock::now();
  Require(driver.Check(driver.cuGraphLaunch(executable, stream), "launching the graph"));
  Require(driver.Check(driver.cuStreamSynchronize(stream), "running the graph"));
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
  driver.cuGraphExecDestroy(executable);
  driver.cuGraphDestroy(graph);
  return taken.count() / kGraphLaunches;
}

std::string KernelFor(const client::Matmul& matmul, int64_t m) {
  const std::vector<client::KernelInfo> kernels = matmul.Kernels();
  for (const client::KernelInfo& kernel : kernels) {
    if (kernel.bucket_m >= m) return kernel.candidate;
  }
  return kernels.back().candidate;
}

int Run(const std::string& address, int64_t n, int64_t k) {
  const CudaDriver& driver = *Require(CudaDriver::Load());
  const std::unique_ptr<client::Client> client = Require(client::Client::Connect(address));
  const std::shared_ptr<client::Matmul> matmul = Require(
      client->Get({.a = "fp16", .w = "nf4", .group = kGroup, .n = n, .k = k}, {.on_miss = client::OnMiss::kFast}));

  client::CuContext context = nullptr;
  Require(driver.Check(driver.cuDevicePrimaryCtxRetain(&context, 0), "opening the GPU"));
  Require(driver.Check(driver.cuCtxSetCurrent(context), "opening the GPU"));
  client::CuStream stream = nullptr;
  Require(driver.Check(driver.cuStreamCreate(&stream, client::kStreamNonBlocking), "making a stream"));

  // Pack once; every kernel and every M reads the same packed weight.
  const HostWeight weight = RandomWeight(n, k, kGroup, /*seed=*/1);
  const client::WeightSizes natural = matmul->natural_sizes(), packed = matmul->packed_sizes();
  Buffer codes(driver, natural.weight), scales(driver, natural.scale);
  Buffer packed_codes(driver, packed.weight), packed_scales(driver, packed.scale);
  codes.Upload(weight.codes);
  scales.Upload(weight.scales);
  Require(matmul->Pack({.codes = codes.data(), .scales = scales.data()},
                       {.weight = packed_codes.data(), .scale = packed_scales.data()}, stream));
  codes.Fill(0);
  scales.Fill(0);
  Require(matmul->Unpack({.weight = packed_codes.data(), .scale = packed_scales.data()},
                         {.weight = codes.data(), .scale = scales.data()}, stream));
  Require(driver.Check(driver.cuStreamSynchronize(stream), "unpacking"));
  bool good = codes.Download<uint8_t>(weight.codes.size()) == weight.codes &&
              scales.Download<uint16_t>(weight.scales.size()) == weight.scales;
  std::printf("nf4 weight %lld x %lld, group %lld, layout %s: packed and unpacked, %s\n\n", static_cast<long long>(n),
              static_cast<long long>(k), static_cast<long long>(kGroup), matmul->layout_id().c_str(),
              good ? "the same bits" : "DIFFERENT BITS");

  const std::vector<uint16_t> x =
      RandomHalves(static_cast<size_t>(kLargestM * k), -5, 0, /*positive=*/false, /*seed=*/7);
  Buffer x_buffer(driver, kLargestM * k * 2), y_buffer(driver, kLargestM * n * 2);
  x_buffer.Upload(x);
  const client::Workspace workspace = Require(client->MakeWorkspace(matmul->WorkspaceBytes(kLargestM)));
  std::printf("     M  error/bound  graph us  kernel\n");
  for (int64_t m : kRows) {
    y_buffer.Fill(0xff);  // NaN: what is not written shows
    const client::LaunchArguments arguments = {.x = x_buffer.data(),
                                               .weight = packed_codes.data(),
                                               .scale = packed_scales.data(),
                                               .y = y_buffer.data(),
                                               .m = m,
                                               .workspace = workspace.data(),
                                               .workspace_bytes = workspace.bytes()};
    // A kernel's result never changes from run to run, whatever launched it. A better kernel may be swapped in between
    // the two launches while tuning goes on; what they say is then not comparable, and they are made again.
    double worst = 0, graph_us = 0;
    bool same = false;
    for (int attempt = 0; attempt < kMostAttempts; attempt++) {
      const int64_t swaps = matmul->swaps();
      Require(matmul->Launch(arguments, stream));
      Require(driver.Check(driver.cuStreamSynchronize(stream), "running the kernel"));
      const std::vector<uint16_t> y = y_buffer.Download<uint16_t>(static_cast<size_t>(m * n));
      worst = WorstRatio(y, weight, x, m);
      y_buffer.Fill(0xff);
      graph_us = GraphMicroseconds(driver, *matmul, arguments, stream);
      same = y_buffer.Download<uint16_t>(static_cast<size_t>(m * n)) == y;
      if (matmul->swaps() == swaps) break;
    }
    good = good && worst <= 1 && same;
    std::printf("%6lld  %11.4f  %8.2f  %s%s%s\n", static_cast<long long>(m), worst, graph_us,
                KernelFor(*matmul, m).c_str(), worst <= 1 ? "" : "  WRONG", same ? "" : "  THE GRAPH'S RESULT DIFFERS");
  }
  driver.cuStreamDestroy(stream);
  std::printf("\n%s\n", good ? "Every checked element is within its bound (|y - ref| <= 2^-11 |ref| + "
                               "1.01 (2^-10 + K 2^-23) sum |x||w|)."
                             : "FAILED: something above is wrong.");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace ladder::example

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string address = ladder::client::DefaultAddress();
  int64_t n = 8192, k = 8192;
  if (words.size() == 1 || words.size() == 3) {
    address = words.front();
    words.erase(words.begin());
  }
  const bool sizes = words.size() == 2;
  if ((!sizes && !words.empty()) || (sizes && (!absl::SimpleAtoi(words[0], &n) || !absl::SimpleAtoi(words[1], &k))) ||
      n < 1 || k < 1 || k % 64 != 0 || address.rfind('-', 0) == 0) {
    std::fprintf(stderr, "usage: ladder-example [ADDRESS] [N K]   (K a multiple of 64; ADDRESS: a ladderd)\n");
    return 2;
  }
  return ladder::example::Run(address, n, k);
}
