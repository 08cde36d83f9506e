#include "client/runtime.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/grpc_status.h"

namespace ladder::client {
namespace {

// Far above any kernel; a service that sends more is broken.
constexpr size_t kMaxBlobBytes = 64 << 20;

// 90 of "nvidia;sm_90a;NVIDIA H200;...", and whether the architecture is bound to it (the "a" forms run nowhere else).
struct Architecture {
  int capability = 0;
  bool exact = false;
};

absl::StatusOr<Architecture> ParseArchitecture(const std::string& target) {
  for (absl::string_view part : absl::StrSplit(target, ';')) {
    Architecture architecture;
    if (!absl::ConsumePrefix(&part, "sm_")) continue;
    architecture.exact = absl::ConsumeSuffix(&part, "a");
    if (absl::SimpleAtoi(part, &architecture.capability)) return architecture;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the service's kernels are for \"", target, "\", not for an NVIDIA GPU"));
}

}  // namespace

std::string Sha256Hex(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

Runtime::Runtime(std::shared_ptr<grpc::Channel> channel, const ClientOptions& options)
    : options_(options), channel_(std::move(channel)), cache_(tune::v1::KernelCache::NewStub(channel_)) {}

absl::StatusOr<std::shared_ptr<Runtime>> Runtime::Create(std::shared_ptr<grpc::Channel> channel,
                                                         const ClientOptions& options) {
  std::shared_ptr<Runtime> runtime(new Runtime(std::move(channel), options));
  const CudaDriver* driver = options.driver;
  if (driver == nullptr) {
    absl::StatusOr<const CudaDriver*> loaded = CudaDriver::Load();
    if (!loaded.ok()) return loaded.status();
    driver = *loaded;
  }
  int devices = 0;
  if (absl::Status status = driver->Check(driver->cuDeviceGetCount(&devices), "counting GPUs"); !status.ok())
    return status;
  if (options.device < 0 || options.device >= devices) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no GPU ", options.device, " here: the driver sees ", devices));
  }
  int major = 0, minor = 0;
  absl::Status status = driver->Check(driver->cuDeviceGet(&runtime->device_, options.device), "opening the GPU");
  if (status.ok()) {
    driver->cuDeviceGetAttribute(&major, kComputeCapabilityMajor, runtime->device_);
    driver->cuDeviceGetAttribute(&minor, kComputeCapabilityMinor, runtime->device_);
    status = driver->Check(driver->cuDevicePrimaryCtxRetain(&runtime->context_, runtime->device_),
                           "opening the GPU's primary context");
  }
  if (!status.ok()) return status;
  runtime->driver_ = driver;  // from here on the destructor releases the context
  runtime->capability_ = 10 * major + minor;
  return runtime;
}

Runtime::~Runtime() {
  support_.clear();
  if (driver_ != nullptr) driver_->cuDevicePrimaryCtxRelease(device_);
}

absl::Status Runtime::CheckArchitecture(const std::string& target) const {
  absl::StatusOr<Architecture> architecture = ParseArchitecture(target);
  if (!architecture.ok()) return architecture.status();
  // Binaries run on later minor versions of their major, except the "a" forms.
  const bool runs = architecture->exact
                        ? architecture->capability == capability_
                        : architecture->capability / 10 == capability_ / 10 && architecture->capability <= capability_;
  if (runs) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the service's kernels are for sm_", architecture->capability, architecture->exact ? "a" : "", ", and GPU ",
      options_.device, " is sm_", capability_, "; name the target in ClientOptions or ask a service on this machine"));
}

absl::StatusOr<std::string> Runtime::FetchBlob(const std::string& sha256) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
  tune::v1::ReadBlobRequest request;
  request.set_sha256(sha256);
  const auto reader = cache_->ReadBlob(&context, request);
  std::string blob;
  tune::v1::BlobChunk chunk;
  while (reader->Read(&chunk)) {
    if (blob.size() + chunk.data().size() > kMaxBlobBytes) {
      context.TryCancel();
      return absl::DataLossError(
          absl::StrCat("the service sent more than ", kMaxBlobBytes, " bytes for the binary ", sha256));
    }
    blob += chunk.data();
  }
  if (absl::Status status = FromGrpc(reader->Finish()); !status.ok()) return status;
  if (Sha256Hex(blob) != sha256) {
    return absl::DataLossError(absl::StrCat("the binary that arrived is not the one asked for (SHA-256 ", sha256,
                                            "); it was not loaded: run ladder-cache verify"));
  }
  return blob;
}

absl::StatusOr<std::shared_ptr<const Module>> Runtime::GetModule(const std::string& sha256) {
  {
    std::lock_guard lock(mutex_);
    if (std::shared_ptr<const Module> module = modules_[sha256].lock()) return module;
  }
  // Not under the lock: two callers may then fetch the same binary, and both get the first one's module.
  absl::StatusOr<std::string> blob = FetchBlob(sha256);
  if (!blob.ok()) return blob.status();
  absl::StatusOr<std::shared_ptr<const Module>> loaded = Module::Load(*driver_, context_, *blob);
  if (!loaded.ok()) return loaded.status();
  std::lock_guard lock(mutex_);
  std::weak_ptr<const Module>& slot = modules_[sha256];
  if (std::shared_ptr<const Module> module = slot.lock()) return module;
  slot = *loaded;
  return loaded;
}

absl::StatusOr<std::shared_ptr<const Module>> Runtime::GetSupport(const std::string& target) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<const Module>& support = support_[target];
  if (support != nullptr) return support;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
  tune::v1::GetSupportRequest request;
  request.set_target(target);
  tune::v1::GetSupportResponse response;
  if (absl::Status status = FromGrpc(cache_->GetSupport(&context, request, &response)); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<const Module>> module = Module::Load(*driver_, context_, response.binary());
  if (!module.ok()) return module.status();
  support = *module;
  return support;
}

}  // namespace ladder::client
