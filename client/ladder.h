// The client of ladderd: ask once for an operator, pack its weight once, launch it for every M.
//
//   auto client = ladder::client::Client::Connect(ladder::client::DefaultAddress()).value();
//   auto matmul = client->Get({.w = "nf4", .group = 64, .n = 8192, .k = 8192}, {.on_miss = OnMiss::kFast}).value();
//   matmul->Pack(natural, packed, stream);
//   auto workspace = client->MakeWorkspace(matmul->WorkspaceBytes(4096)).value();
//   matmul->Launch({.x = x, .weight = ..., .m = 16, .workspace = workspace.data(), .workspace_bytes =
//   workspace.bytes()},
//                  stream);
//
// Pointers are device pointers and `stream` is a CUstream (or cudaStream_t) of the device's primary context, which must
// be current on the calling thread, as it is after any call of the CUDA runtime.
#ifndef LADDER_CLIENT_LADDER_H_
#define LADDER_CLIENT_LADDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/tls.h"

namespace grpc {
class Channel;
}

namespace ladder::client {

struct CudaDriver;
class Runtime;
class MatmulState;

// Y[m, n] = act(X[m, k] * W[n, k]^T + bias) * output_scale + residual, in fp32 and rounded once. With swiglu the first
// half of W's n rows (and of the bias) are the gate's, the second half up's, and Y[m, n / 2] = silu(gate + bias) * (up
// + bias) * output_scale + residual; packing interleaves them. Empty strings mean the service's default.
struct MatmulDescriptor {
  std::string a = "fp16";        // fp16, bf16, int8, fp8_e4m3, fp8_e5m2, mxfp8_e4m3, mxfp8_e5m2
  std::string a_scale{};         // fp32 factors of 8-bit activations, given at launch: none, tensor, row, group128 ...
  std::string w = "int4";        // int4, uint4, fp4_e2m1, nf4, fp16, bf16; with w_table, a name for people only
  std::vector<float> w_table{};  // an element of the user's own: the values of its 2^b codes
  std::string scale{};           // default: the type of a, or bf16 for mxfp8 and fp16 for others of 8 bits
  std::string zeros{};           // none, original, rescale, quantized
  std::string out{};             // fp16, bf16, fp32; default: as scale's
  std::optional<int64_t> group{};  // consecutive k per scale; -1: one scale per output channel
  bool tensor_scale = false;       // an fp32 factor of the whole weight, given at launch; nvfp4 always has one
  bool bias = false;               // added in fp32; of the type of a, of Y's where that has 8 bits
  std::string act{};               // none, silu, gelu (by the error function), gelu_tanh, swiglu
  bool output_scale = false;       // an fp32 factor given at launch
  bool residual = false;           // added in fp32; of the type and shape of Y
  int64_t n = 0;
  int64_t k = 0;
  std::vector<std::pair<int64_t, int64_t>> m{};  // inclusive ranges; default: 1..4096
};

enum class OnMiss {
  kNotFound,  // NotFound
  kFast,      // a verified first choice within a second or so; the winner is swapped in when it is found
  kTune,      // NotFound now; the service tunes in the background
};

struct GetOptions {
  OnMiss on_miss = OnMiss::kFast;
  // Swap better kernels in as the service finds them. A swap never waits for or disturbs a launch.
  bool watch = true;
  // Not 0: no record newer than this, so that all ranks of a job launch the same kernels. Turns watching off.
  uint64_t at_generation = 0;
};

struct ClientOptions {
  int device = 0;
  // Of a look-up; a look-up that compiles (OnMiss::kFast) takes as long as that.
  absl::Duration timeout = absl::Seconds(120);
  std::string target{};                // empty: the service's GPU
  TlsFiles tls{};                      // for a daemon on TCP; Client::Connect alone looks at it
  const CudaDriver* driver = nullptr;  // null: the machine's; tests give their own
};

// Bytes of a weight's planes. Planes that the operator doesn't have are 0.
struct WeightSizes {
  int64_t weight = 0;
  int64_t scale = 0;
  int64_t zero = 0;
};

// A weight as checkpoints have it: codes row-major, little-endian within bytes, rows byte-aligned; scales and zeros
// row-major [N][K/group]; quantized zeros like codes, 4 bits each.
struct NaturalWeight {
  const void* codes = nullptr;
  const void* scales = nullptr;
  const void* zeros = nullptr;
};

struct PackedWeight {
  void* weight = nullptr;
  void* scale = nullptr;
  void* zero = nullptr;
};

struct LaunchArguments {
  const void* x = nullptr;  // [m, K], contiguous, aligned to 16 bytes
  const void* weight = nullptr;
  const void* scale = nullptr;
  const void* zero = nullptr;
  const void* bias = nullptr;  // [N], in the natural order of W's rows
  // [m, N] like y, of y's type. May be y itself (y += ...); otherwise the two must not overlap.
  const void* residual = nullptr;
  float output_scale = 1;  // of operators that have one; a captured graph keeps its value
  float tensor_scale = 1;  // of weights that have one; likewise
  float a_scale = 1;       // of activations that have one for all; likewise
  // Of activations that have one for each row: [m] in fp32; for each of its groups of g: [m, K / g] in fp32; of mxfp8:
  // [m, K / 32] in e8m0, aligned to 4 bytes.
  const void* row_scale = nullptr;
  void* y =
      nullptr;  // [m, N] ([m, N / 2] with swiglu), contiguous, aligned to 16 bytes; overlaps no input but the residual
  int64_t m = 0;
  void* workspace = nullptr;  // zeroed once, then used by one stream at a time
  int64_t workspace_bytes = 0;
  // False if the kernel launched just before on this stream writes weight, scale, zero or bias: kernels may otherwise
  // read those before it ends (x, residual and y they touch only after it).
  bool overlap_predecessor = true;
};

// A kernel that Launch would choose.
struct KernelInfo {
  int64_t bucket_m = 0;    // chosen for m up to this; the last one for every larger m too
  std::string candidate;   // "decode(row_tiles=2,warps=16)"
  int64_t tuned_m = 0;     // where it was tuned: bucket_m, or more rows if it is faster even there than what fewer got
  double measured_us = 0;  // at tuned_m
  bool searched = false;   // false: the fast answer, tuning may replace it
  std::string blob_sha256;
};

// An operator with a kernel for every M. Thread-safe. Keep it while launches or graphs made with it are in use: kernels
// that were superseded stay loaded until then.
class Matmul {
 public:
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  const std::string& layout_id() const;
  WeightSizes natural_sizes() const;
  WeightSizes packed_sizes() const;

  // Packs on the GPU, waits for it (launches may read weights ahead of their stream order) and returns. Not capturable.
  // Weights of 16 bits, and of 8 with activations of 8, keep their natural form and are copied, or left alone if source
  // and destination are the same.
  absl::Status Pack(const NaturalWeight& natural, const PackedWeight& packed, void* stream);
  // The inverse, on the stream: the same bits back.
  absl::Status Unpack(const PackedWeight& packed, const PackedWeight& natural, void* stream);

  // Workspace that serves every m up to max_m, also with kernels swapped in later (those that would need more are not
  // swapped in). One workspace as large as its operators' largest serves all operators of a stream.
  int64_t WorkspaceBytes(int64_t max_m);

  // Any m >= 1, also beyond the tuned range. Capturable in a CUDA graph; no allocation, no RPC, no lock.
  // InvalidArgument if something the operator needs is missing; then nothing was launched.
  absl::Status Launch(const LaunchArguments& arguments, void* stream) const;

  // Ascending by bucket.
  std::vector<KernelInfo> Kernels() const;
  // Times kernels were swapped in so far.
  int64_t swaps() const;

 private:
  friend class Client;
  explicit Matmul(std::unique_ptr<MatmulState> state);
  std::unique_ptr<MatmulState> state_;
};

// Device memory for counters and partial sums, zeroed. Move-only.
class Workspace {
 public:
  Workspace() = default;
  ~Workspace();
  Workspace(Workspace&& other) noexcept;
  Workspace& operator=(Workspace&& other) noexcept;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  friend class Client;
  std::shared_ptr<Runtime> runtime_;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Where a daemon of this user listens unless configured otherwise.
std::string DefaultAddress();

// Thread-safe. What it made may outlive it.
class Client {
 public:
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // "unix:/path", "/path" or "host:port". FailedPrecondition without a driver or a GPU, Unavailable if nothing answers.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& address, const ClientOptions& options = {});
  // For a service in this process, or a channel with credentials of one's own.
  static absl::StatusOr<std::unique_ptr<Client>> FromChannel(std::shared_ptr<grpc::Channel> channel,
                                                             const ClientOptions& options = {});

  // One look-up, then the binaries not loaded yet, each checked against its digest. NotFound if no verified kernel
  // exists (a ranking made without a GPU is not one); FailedPrecondition if the kernels are for another GPU.
  absl::StatusOr<std::shared_ptr<Matmul>> Get(const MatmulDescriptor& descriptor, const GetOptions& options = {});

  // Allocates and zeroes. At most one stream at a time may use it.
  absl::StatusOr<Workspace> MakeWorkspace(int64_t bytes);

 private:
  explicit Client(std::shared_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}
  std::shared_ptr<Runtime> runtime_;
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_LADDER_H_
