#include "core/backend/cuda/driver.h"

#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/backend/cuda/driver_api.h"
#include "core/backend/cuda/status_macros.h"

namespace ladder::cuda {

absl::StatusOr<std::unique_ptr<Context>> Context::Open(int device) {
  LADDER_RETURN_IF_ERROR(Driver().status());
  const int count = DeviceCount();
  if (device < 0 || device >= count) {
    return absl::NotFoundError(absl::StrCat("GPU ", device, " does not exist: the driver sees ", count));
  }
  CUcontext context = nullptr;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().PrimaryCtxRetain(&context, device), "opening the GPU"));
  std::unique_ptr<Context> opened(new Context(device, context));
  LADDER_RETURN_IF_ERROR(opened->MakeCurrent());
  return opened;
}

Context::~Context() { Api().PrimaryCtxRelease(device_); }

absl::Status Context::MakeCurrent() const { return ToStatus(Api().CtxSetCurrent(context_), "using the GPU's context"); }

bool Context::Alive() const { return Api().CtxSynchronize() == CUDA_SUCCESS; }

absl::StatusOr<Target> Context::DescribeTarget() const {
  absl::Status status;
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    const CUresult result = Api().DeviceGetAttribute(&value, which, device_);
    if (status.ok()) status = ToStatus(result, "reading a device attribute");
    return value;
  };
  Target target;
  target.vendor = Vendor::kNvidia;
  char name[256] = {};
  LADDER_RETURN_IF_ERROR(ToStatus(Api().DeviceGetName(name, sizeof(name) - 1, device_), "reading the device's name"));
  target.model = name;
  const int major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  const int minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  // The "a" targets carry the instructions of exactly one generation: wgmma, tcgen05.
  target.arch = absl::StrCat("sm_", 10 * major + minor, major >= 9 ? "a" : "");
  DeviceLimits& limits = target.limits;
  limits.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  limits.shared_bytes_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  limits.shared_bytes_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  limits.registers_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  limits.threads_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  limits.blocks_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
  limits.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  limits.clock_ghz = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE) * 1e-6;
  size_t bytes = 0;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().DeviceTotalMem(&bytes, device_), "reading the device's memory"));
  limits.memory_bytes = static_cast<int64_t>(bytes);
  LADDER_RETURN_IF_ERROR(status);
  return target;
}

absl::StatusOr<std::string> Context::Uuid() const {
  CUuuid uuid;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().DeviceGetUuid(&uuid, device_), "reading the device's UUID"));
  std::string text = "GPU-";
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppendFormat(&text, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

absl::StatusOr<int64_t> Context::FreeMemory() const {
  size_t free = 0, total = 0;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().MemGetInfo(&free, &total), "reading the free memory"));
  return static_cast<int64_t>(free);
}

absl::StatusOr<int64_t> Context::UsedMemory() const {
  size_t free = 0, total = 0;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().MemGetInfo(&free, &total), "reading the used memory"));
  return static_cast<int64_t>(total - free);
}

std::string Context::DriverApiVersion() const {
  int version = 0;
  Api().DriverGetVersion(&version);
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

absl::StatusOr<Memory> Memory::Allocate(int64_t bytes) {
  Memory memory;
  if (bytes <= 0) return memory;
  CUdeviceptr pointer = 0;
  LADDER_RETURN_IF_ERROR(
      ToStatus(Api().MemAlloc(&pointer, static_cast<size_t>(bytes)), absl::StrCat("allocating ", bytes, " bytes")));
  memory.pointer_ = pointer;
  memory.bytes_ = bytes;
  return memory;
}

void Memory::Free() {
  if (pointer_ != 0) Api().MemFree(pointer_);
  pointer_ = 0;
  bytes_ = 0;
}

absl::StatusOr<Stream> Stream::Create() {
  CUstream stream = nullptr;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "creating a stream"));
  return Stream(stream);
}

Stream::~Stream() {
  if (stream_ != nullptr) Api().StreamDestroy(stream_);
}

absl::Status Stream::Synchronize() const { return ToStatus(Api().StreamSynchronize(stream_), "running on the GPU"); }

absl::Status Stream::Upload(DevicePointer to, const void* from, int64_t bytes) const {
  if (bytes <= 0) return absl::OkStatus();
  LADDER_RETURN_IF_ERROR(ToStatus(Api().MemcpyHtoDAsync(to, from, bytes, stream_), "copying to the GPU"));
  return Synchronize();
}

absl::Status Stream::Download(void* to, DevicePointer from, int64_t bytes) const {
  if (bytes <= 0) return absl::OkStatus();
  LADDER_RETURN_IF_ERROR(ToStatus(Api().MemcpyDtoHAsync(to, from, bytes, stream_), "copying from the GPU"));
  return Synchronize();
}

absl::Status Stream::Copy(DevicePointer to, DevicePointer from, int64_t bytes) const {
  if (bytes <= 0) return absl::OkStatus();
  return ToStatus(Api().MemcpyDtoDAsync(to, from, bytes, stream_), "copying on the GPU");
}

absl::Status Stream::Fill(DevicePointer to, uint8_t value, int64_t bytes) const {
  if (bytes <= 0) return absl::OkStatus();
  return ToStatus(Api().MemsetD8Async(to, value, bytes, stream_), "filling memory");
}

absl::StatusOr<Module> Module::Load(const std::string& binary) {
  if (binary.empty()) return absl::InvalidArgumentError("the kernel binary is empty");
  CUmodule module = nullptr;
  // PTX must end in a NUL, which std::string has.
  LADDER_RETURN_IF_ERROR(ToStatus(Api().ModuleLoadData(&module, binary.c_str()), "loading a kernel binary"));
  return Module(module);
}

Module::~Module() {
  if (module_ != nullptr) Api().ModuleUnload(module_);
}

absl::StatusOr<CUfunc_st*> Module::Function(const std::string& entry) const {
  CUfunction function = nullptr;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().ModuleGetFunction(&function, module_, entry.c_str()),
                                  absl::StrCat("looking up the kernel '", entry, "'")));
  return function;
}

absl::StatusOr<Event> Event::Create() {
  CUevent event = nullptr;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().EventCreate(&event, CU_EVENT_DEFAULT), "creating an event"));
  return Event(event);
}

Event::~Event() {
  if (event_ != nullptr) Api().EventDestroy(event_);
}

absl::Status Event::Record(const Stream& stream) const {
  return ToStatus(Api().EventRecord(event_, stream.get()), "recording an event");
}

absl::StatusOr<double> Event::ElapsedUs(const Event& start, const Event& end) {
  float ms = 0;
  LADDER_RETURN_IF_ERROR(ToStatus(Api().EventElapsedTime(&ms, start.event_, end.event_), "reading a time"));
  return 1e3 * ms;
}

absl::StatusOr<Graph> Graph::Capture(const Stream& stream, const std::function<absl::Status()>& enqueue) {
  LADDER_RETURN_IF_ERROR(
      ToStatus(Api().StreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "starting a capture"));
  const absl::Status enqueued = enqueue();
  CUgraph graph = nullptr;
  // Ends the capture also after a failure, so that the stream stays usable.
  const absl::Status ended = ToStatus(Api().StreamEndCapture(stream.get(), &graph), "ending a capture");
  CUgraphExec exec = nullptr;
  absl::Status status = enqueued.ok() ? ended : enqueued;
  if (status.ok()) status = ToStatus(Api().GraphInstantiate(&exec, graph, 0), "instantiating a graph");
  if (graph != nullptr) Api().GraphDestroy(graph);
  if (!status.ok()) return status;
  return Graph(exec);
}

Graph::~Graph() {
  if (exec_ != nullptr) Api().GraphExecDestroy(exec_);
}

absl::Status Graph::Launch(const Stream& stream) const {
  return ToStatus(Api().GraphLaunch(exec_, stream.get()), "replaying a graph");
}

absl::Status AllowSharedMemory(CUfunc_st* function, int64_t bytes) {
  if (bytes <= 0) return absl::OkStatus();
  return ToStatus(
      Api().FuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(bytes)),
      absl::StrCat("asking for ", bytes, " bytes of dynamic shared memory"));
}

absl::Status Launch(CUfunc_st* function, const LaunchShape& shape, const void* arguments, const Stream& stream) {
  if (shape.grid <= 0 || shape.grid > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("a grid of ", shape.grid, " blocks cannot be launched"));
  }
  CUlaunchAttribute attributes[2];
  std::memset(attributes, 0, sizeof(attributes));
  unsigned count = 0;
  if (shape.cluster > 1) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attributes[count].value.clusterDim.x = static_cast<unsigned>(shape.cluster);
    attributes[count].value.clusterDim.y = 1;
    attributes[count].value.clusterDim.z = 1;
    count++;
  }
  if (shape.dependent) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[count].value.programmaticStreamSerializationAllowed = 1;
    count++;
  }
  CUlaunchConfig config;
  std::memset(&config, 0, sizeof(config));
  config.gridDimX = static_cast<unsigned>(shape.grid);
  config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = static_cast<unsigned>(shape.threads);
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = static_cast<unsigned>(shape.shared_bytes);
  config.hStream = stream.get();
  config.attrs = attributes;
  config.numAttrs = count;
  void* parameters[] = {const_cast<void*>(arguments)};
  return ToStatus(Api().LaunchKernelEx(&config, function, arguments != nullptr ? parameters : nullptr, nullptr),
                  absl::StrCat("launching ", shape.grid, " blocks of ", shape.threads, " threads with ",
                               shape.shared_bytes, " bytes of shared memory"));
}

absl::StatusOr<TensorMap> EncodeTensorMap(DevicePointer base, int64_t rows, int64_t columns, bool bfloat16,
                                          int box_columns, int box_rows, int swizzle_bytes) {
  CUtensorMapSwizzle swizzle;
  switch (swizzle_bytes) {
    case 0:
      swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
      break;
    case 32:
      swizzle = CU_TENSOR_MAP_SWIZZLE_32B;
      break;
    case 64:
      swizzle = CU_TENSOR_MAP_SWIZZLE_64B;
      break;
    case 128:
      swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
      break;
    default:
      return absl::InvalidArgumentError(absl::StrCat("no tensor map swizzles ", swizzle_bytes, " bytes"));
  }
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t stride[1] = {static_cast<cuuint64_t>(columns) * 2};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(box_columns), static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t step[2] = {1, 1};
  CUtensorMap map;
  LADDER_RETURN_IF_ERROR(ToStatus(
      Api().TensorMapEncodeTiled(&map, bfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2,
                                 reinterpret_cast<void*>(base), size, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                 swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      absl::StrCat("a tensor map over ", rows, " x ", columns, " with boxes of ", box_rows, " x ", box_columns)));
  TensorMap out;
  static_assert(sizeof(out) == sizeof(map));
  std::memcpy(&out, &map, sizeof(out));
  return out;
}

}  // namespace ladder::cuda
