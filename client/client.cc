#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <unistd.h>

#include <bit>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/dial.h"
#include "client/grpc_status.h"
#include "client/ladder.h"
#include "client/matmul_state.h"
#include "client/runtime.h"

namespace ladder::client {
namespace {

namespace pb = tune::v1;

constexpr std::chrono::seconds kConnectTimeout(5);

pb::LookupRequest MakeRequest(const MatmulDescriptor& descriptor, const ClientOptions& client,
                              const GetOptions& options) {
  pb::LookupRequest request;
  pb::OperatorDescriptor& op = *request.mutable_op();
  op.set_op("matmul");
  op.set_a(descriptor.a);
  op.set_a_scale(descriptor.a_scale);
  op.set_w(descriptor.w);
  if (!descriptor.w_table.empty()) {
    pb::ElementDefinition& element = *op.mutable_element();
    element.set_bits(std::bit_width(descriptor.w_table.size() - 1));
    element.mutable_table()->Add(descriptor.w_table.begin(), descriptor.w_table.end());
  }
  op.set_scale(descriptor.scale);
  op.set_zeros(descriptor.zeros);
  op.set_out(descriptor.out);
  if (descriptor.group.has_value()) op.set_group(*descriptor.group);
  op.set_tensor_scale(descriptor.tensor_scale);
  op.set_bias(descriptor.bias);
  op.set_act(descriptor.act);
  op.set_output_scale(descriptor.output_scale);
  op.set_residual(descriptor.residual);
  op.set_n(descriptor.n);
  op.set_k(descriptor.k);
  for (const auto& [first, last] : descriptor.m) {
    pb::MRange& range = *op.add_m();
    range.set_first(first);
    range.set_last(last);
  }
  request.set_target(client.target);
  request.set_at_generation(options.at_generation);
  switch (options.on_miss) {
    case OnMiss::kNotFound:
      request.set_on_miss(pb::ON_MISS_NOT_FOUND);
      break;
    case OnMiss::kFast:
      request.set_on_miss(pb::ON_MISS_FAST);
      break;
    case OnMiss::kTune:
      request.set_on_miss(pb::ON_MISS_TUNE);
      break;
  }
  return request;
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

// The daemon's default (server/config), which this library can't include; an end-to-end test dials it.
std::string DefaultAddress() {
  std::string folder = absl::StrCat("/tmp/ladder-", ::getuid());
  if (const std::string runtime = Variable("XDG_RUNTIME_DIR"); !runtime.empty()) {
    folder = runtime + "/ladder";
  } else if (const std::string cache = Variable("XDG_CACHE_HOME"); !cache.empty()) {
    folder = cache + "/ladder";
  } else if (const std::string home = Variable("HOME"); !home.empty()) {
    folder = home + "/.cache/ladder";
  }
  return absl::StrCat("unix://", folder, "/ladderd.sock");
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& address, const ClientOptions& options) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = Dial(address, kConnectTimeout, options.tls);
  if (!channel.ok()) return channel.status();
  return FromChannel(*std::move(channel), options);
}

absl::StatusOr<std::unique_ptr<Client>> Client::FromChannel(std::shared_ptr<grpc::Channel> channel,
                                                            const ClientOptions& options) {
  absl::StatusOr<std::shared_ptr<Runtime>> runtime = Runtime::Create(std::move(channel), options);
  if (!runtime.ok()) return runtime.status();
  return std::unique_ptr<Client>(new Client(*std::move(runtime)));
}

Client::~Client() = default;

absl::StatusOr<std::shared_ptr<Matmul>> Client::Get(const MatmulDescriptor& descriptor, const GetOptions& options) {
  const pb::LookupRequest request = MakeRequest(descriptor, runtime_->options(), options);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + runtime_->options().timeout));
  pb::LookupResponse response;
  absl::Status status = FromGrpc(runtime_->cache().Lookup(&context, request, &response));
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<MatmulState>> state = MatmulState::Create(runtime_, response);
  if (!state.ok()) return state.status();
  if (options.watch && options.at_generation == 0) (*state)->StartWatching(request);
  return std::shared_ptr<Matmul>(new Matmul(*std::move(state)));
}

absl::StatusOr<Workspace> Client::MakeWorkspace(int64_t bytes) {
  if (bytes < 1)
    return absl::InvalidArgumentError(absl::StrCat("bytes: a workspace of ", bytes, " bytes makes no sense"));
  const CudaDriver& driver = runtime_->driver();
  ScopedContext scope(driver, runtime_->context());
  CuDevicePtr pointer = 0;
  const CuResult result = driver.cuMemAlloc(&pointer, static_cast<size_t>(bytes));
  if (result != 0) {
    return absl::ResourceExhaustedError(
        driver.Check(result, absl::StrCat("allocating a workspace of ", bytes, " bytes")).message());
  }
  Workspace workspace;
  workspace.runtime_ = runtime_;
  workspace.data_ = reinterpret_cast<void*>(pointer);
  workspace.bytes_ = bytes;
  absl::Status status = driver.Check(driver.cuMemsetD8(pointer, 0, static_cast<size_t>(bytes)), "zeroing a workspace");
  // The memset runs on the default stream, the kernels on another.
  if (status.ok()) status = driver.Check(driver.cuStreamSynchronize(nullptr), "zeroing a workspace");
  if (!status.ok()) return status;
  return workspace;
}

Workspace::~Workspace() {
  if (data_ == nullptr) return;
  ScopedContext scope(runtime_->driver(), runtime_->context());
  runtime_->driver().cuMemFree(reinterpret_cast<CuDevicePtr>(data_));
}

Workspace::Workspace(Workspace&& other) noexcept { *this = std::move(other); }

Workspace& Workspace::operator=(Workspace&& other) noexcept {
  std::swap(runtime_, other.runtime_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace ladder::client
