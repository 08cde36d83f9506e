// The CUDA driver, opened with dlopen, behind a small surface of owning objects. No CUDA header is needed to use it.
// Every call returns its error as a status: ResourceExhausted for memory, Internal for everything a kernel can cause.
#ifndef LADDER_CORE_BACKEND_CUDA_DRIVER_H_
#define LADDER_CORE_BACKEND_CUDA_DRIVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/cuda/support_abi.h"
#include "core/target/target.h"

struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;
struct CUgraphExec_st;

namespace ladder::cuda {

// Ok if the driver library opens and starts; else FailedPrecondition saying what is missing.
absl::Status DriverStatus();
// Number of GPUs; 0 without a driver.
int DeviceCount();

// A GPU's primary context (the one cuBLASLt uses too).
class Context {
 public:
  static absl::StatusOr<std::unique_ptr<Context>> Open(int device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Every thread that makes CUDA calls needs this first.
  absl::Status MakeCurrent() const;
  // Everything the driver says; the measured rates stay 0.
  absl::StatusOr<Target> DescribeTarget() const;
  absl::StatusOr<std::string> Uuid() const;
  absl::StatusOr<int64_t> FreeMemory() const;
  // Of all processes, contexts included.
  absl::StatusOr<int64_t> UsedMemory() const;
  // "13.0": what the driver can run.
  std::string DriverApiVersion() const;
  // False once a kernel has broken the context: every later call on it fails.
  bool Alive() const;

 private:
  Context(int device, CUctx_st* context) : device_(device), context_(context) {}
  int device_;
  CUctx_st* context_;
};

// Device memory. Empty when default-constructed.
class Memory {
 public:
  Memory() = default;
  static absl::StatusOr<Memory> Allocate(int64_t bytes);
  ~Memory() { Free(); }
  Memory(Memory&& other) noexcept
      : pointer_(std::exchange(other.pointer_, 0)), bytes_(std::exchange(other.bytes_, 0)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  void Free();
  DevicePointer pointer() const { return pointer_; }
  int64_t bytes() const { return bytes_; }

 private:
  DevicePointer pointer_ = 0;
  int64_t bytes_ = 0;
};

class Stream {
 public:
  static absl::StatusOr<Stream> Create();
  ~Stream();
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  absl::Status Synchronize() const;
  // Synchronous copies, after the stream's earlier work.
  absl::Status Upload(DevicePointer to, const void* from, int64_t bytes) const;
  absl::Status Download(void* to, DevicePointer from, int64_t bytes) const;
  absl::Status Copy(DevicePointer to, DevicePointer from, int64_t bytes) const;
  absl::Status Fill(DevicePointer to, uint8_t value, int64_t bytes) const;
  CUstream_st* get() const { return stream_; }

 private:
  explicit Stream(CUstream_st* stream) : stream_(stream) {}
  CUstream_st* stream_;
};

// A loaded cubin or PTX text.
class Module {
 public:
  static absl::StatusOr<Module> Load(const std::string& binary);
  ~Module();
  Module(Module&& other) noexcept : module_(std::exchange(other.module_, nullptr)) {}
  Module& operator=(Module&& other) noexcept {
    std::swap(module_, other.module_);
    return *this;
  }
  // NotFound naming the entry.
  absl::StatusOr<CUfunc_st*> Function(const std::string& entry) const;

 private:
  explicit Module(CUmod_st* module) : module_(module) {}
  CUmod_st* module_;
};

class Event {
 public:
  static absl::StatusOr<Event> Create();
  ~Event();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  absl::Status Record(const Stream& stream) const;
  // Both recorded and complete.
  static absl::StatusOr<double> ElapsedUs(const Event& start, const Event& end);

 private:
  explicit Event(CUevent_st* event) : event_(event) {}
  CUevent_st* event_;
};

// Work captured once, replayed at will.
class Graph {
 public:
  // What `enqueue` puts on the stream, which then does not run.
  static absl::StatusOr<Graph> Capture(const Stream& stream, const std::function<absl::Status()>& enqueue);
  ~Graph();
  Graph(Graph&& other) noexcept : exec_(std::exchange(other.exec_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(exec_, other.exec_);
    return *this;
  }
  absl::Status Launch(const Stream& stream) const;

 private:
  explicit Graph(CUgraphExec_st* exec) : exec_(exec) {}
  CUgraphExec_st* exec_;
};

struct LaunchShape {
  int64_t grid = 1;
  int threads = 1;
  int cluster = 1;
  int64_t shared_bytes = 0;
  bool dependent = false;  // programmatic stream serialization
};

// Lets a kernel use that much dynamic shared memory. InvalidArgument if the device has less.
absl::Status AllowSharedMemory(CUfunc_st* function, int64_t bytes);
// `arguments`: the kernel's one parameter, or null for none.
absl::Status Launch(CUfunc_st* function, const LaunchShape& shape, const void* arguments, const Stream& stream);

// A tensor map over a row-major matrix of 16-bit values, zeros outside. InvalidArgument for what the hardware can't do.
absl::StatusOr<TensorMap> EncodeTensorMap(DevicePointer base, int64_t rows, int64_t columns, bool bfloat16,
                                          int box_columns, int box_rows, int swizzle_bytes);

}  // namespace ladder::cuda

#endif  // LADDER_CORE_BACKEND_CUDA_DRIVER_H_
