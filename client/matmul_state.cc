#include "client/matmul_state.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/grpc_status.h"

namespace ladder::client {
namespace {

namespace pb = tune::v1;

// Whether a look-up's answer is a kernel to run: an exact match that was verified on a GPU and has its binary.
bool IsLaunchable(const pb::LookupResult& result) {
  const pb::TuningRecord& record = result.record();
  return result.match() == pb::MATCH_EXACT &&
         (record.kind() == pb::RECORD_KIND_MEASURED || record.kind() == pb::RECORD_KIND_FAST) &&
         record.ranked_size() > 0 && !record.ranked(0).blob_sha256().empty();
}

std::string MissReason(const pb::LookupResult& result) {
  if (result.record().kind() == pb::RECORD_KIND_SEED) return "only a ranking made without a GPU is stored";
  if (!result.miss_reason().empty()) return result.miss_reason();
  return "nothing is stored";
}

std::string CandidateText(const pb::Candidate& candidate) {
  return absl::StrCat(candidate.schedule(), "(",
                      absl::StrJoin(candidate.parameters(), ",",
                                    [](std::string* out, const pb::Candidate::Parameter& parameter) {
                                      absl::StrAppend(out, parameter.name(), "=", parameter.value());
                                    }),
                      ")");
}

absl::StatusOr<LoadedKernel> LoadKernel(Runtime& runtime, const std::string& sha256, const MatmulShape& shape,
                                        LaunchPlan plan) {
  absl::StatusOr<std::shared_ptr<const Module>> module = runtime.GetModule(sha256);
  if (!module.ok()) return module.status();
  return LoadedKernel::Create(runtime.driver(), runtime.context(), *std::move(module), shape, std::move(plan));
}

void Report(Runtime& runtime, const pb::TuningRecord& record, const absl::Status& failure) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  pb::ReportFailureRequest request;
  request.set_key(record.key());
  request.set_blob_sha256(record.ranked(0).blob_sha256());
  request.set_reason(std::string(failure.message()));
  pb::ReportFailureResponse response;
  // The answer changes nothing here: the kernel stays unused either way.
  (void)runtime.cache().ReportFailure(&context, request, &response);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MatmulState>> MatmulState::Create(std::shared_ptr<Runtime> runtime,
                                                                 const pb::LookupResponse& response) {
  const auto first = std::find_if(response.results().begin(), response.results().end(), IsLaunchable);
  if (first == response.results().end()) {
    return absl::NotFoundError(
        absl::StrCat("the service has no verified kernel for this operator: ",
                     response.results_size() > 0 ? MissReason(response.results(0)) : "the look-up came back empty",
                     "; tune it with ladder-tune on a machine with the GPU"));
  }
  std::unique_ptr<MatmulState> state(new MatmulState(std::move(runtime)));
  absl::Status status = state->runtime_->CheckArchitecture(first->record().target());
  if (!status.ok()) return status;
  absl::StatusOr<MatmulShape> shape = ShapeOf(first->record().op());
  if (!shape.ok()) return shape.status();
  state->shape_ = *shape;
  absl::StatusOr<PackPlan> pack = PackPlan::From(first->record());
  if (!pack.ok()) return pack.status();
  state->packer_ = std::make_unique<WeightPacker>(state->runtime_, *std::move(pack));

  std::vector<BucketKernel> kernels;
  for (const pb::LookupResult& result : response.results()) {
    if (!IsLaunchable(result)) continue;
    absl::StatusOr<BucketKernel> kernel = state->Load(result);
    if (kernel.ok()) {
      kernels.push_back(*std::move(kernel));
    } else if (status.ok()) {
      status = kernel.status();
    }
  }
  // Every kernel is correct for every M, so those that did load serve the others' buckets too.
  if (kernels.empty()) return status;
  state->table_.Swap(std::move(kernels));
  return state;
}

absl::StatusOr<BucketKernel> MatmulState::Load(const pb::LookupResult& result) {
  const pb::TuningRecord& record = result.record();
  const pb::RankedKernel& winner = record.ranked(0);
  if (record.packed().layout_id() != packer_->plan().layout_id) {
    return absl::InternalError(absl::StrCat("the service's kernels disagree about the packed layout: \"",
                                            packer_->plan().layout_id, "\" and \"", record.packed().layout_id(), "\""));
  }
  absl::StatusOr<LaunchPlan> plan = LaunchPlan::From(winner.launch());
  if (!plan.ok()) return plan.status();
  absl::StatusOr<LoadedKernel> kernel = LoadKernel(*runtime_, winner.blob_sha256(), shape_, *std::move(plan));
  if (!kernel.ok()) {
    // Damaged, or refused by the driver: the service should know. Not what the network did.
    if (absl::IsInternal(kernel.status()) || absl::IsDataLoss(kernel.status())) {
      Report(*runtime_, record, kernel.status());
    }
    return kernel.status();
  }
  KernelInfo info;
  info.bucket_m = info.tuned_m = result.m() > 0 ? result.m() : record.m();
  info.candidate = CandidateText(winner.candidate());
  info.measured_us = winner.measurement().median_us();
  info.searched = record.kind() == pb::RECORD_KIND_MEASURED;
  info.blob_sha256 = winner.blob_sha256();
  return BucketKernel{std::move(info), *std::move(kernel)};
}

bool MatmulState::IsCurrent(const pb::LookupResult& result) const {
  const int64_t top = result.m() > 0 ? result.m() : result.record().m();
  const std::string candidate = CandidateText(result.record().ranked(0).candidate());
  const std::vector<KernelInfo> kernels = table_.ListOwn();
  return std::any_of(kernels.begin(), kernels.end(), [&](const KernelInfo& kernel) {
    return kernel.bucket_m == top && kernel.blob_sha256 == result.record().ranked(0).blob_sha256() &&
           kernel.candidate == candidate && kernel.searched == (result.record().kind() == pb::RECORD_KIND_MEASURED);
  });
}

void MatmulState::StartWatching(const pb::LookupRequest& request) {
  pb::WatchRequest watch;
  *watch.add_requests() = request;
  watch.mutable_requests(0)->set_on_miss(pb::ON_MISS_NOT_FOUND);
  watcher_ = std::thread([this, watch = std::move(watch)] { Watch(watch); });
}

// One connection's worth; false when watching again is pointless.
bool MatmulState::WatchOnce(const pb::WatchRequest& request) {
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    if (stop_) return false;
    call_ = &context;
  }
  const auto reader = runtime_->cache().Watch(&context, request);
  pb::WatchEvent event;
  while (reader->Read(&event)) {
    if (!IsLaunchable(event.result()) || IsCurrent(event.result())) continue;
    // A record that can't be loaded was reported by Load; the kernel in place goes on serving.
    absl::StatusOr<BucketKernel> kernel = Load(event.result());
    if (!kernel.ok()) continue;
    std::vector<BucketKernel> kernels;
    kernels.push_back(*std::move(kernel));
    swaps_ += table_.Swap(std::move(kernels));
  }
  const grpc::Status end = reader->Finish();
  std::lock_guard lock(mutex_);
  call_ = nullptr;
  return end.error_code() != grpc::StatusCode::UNIMPLEMENTED &&
         end.error_code() != grpc::StatusCode::INVALID_ARGUMENT &&
         end.error_code() != grpc::StatusCode::PERMISSION_DENIED;
}

void MatmulState::Watch(const pb::WatchRequest& request) {
  std::chrono::milliseconds pause(250);
  while (true) {
    const auto begin = std::chrono::steady_clock::now();
    if (!WatchOnce(request)) return;
    // A stream that lived a while ended for another reason than the last one: begin with short pauses again.
    if (std::chrono::steady_clock::now() - begin > std::chrono::minutes(1)) pause = std::chrono::milliseconds(250);
    std::unique_lock lock(mutex_);
    if (stopping_.wait_for(lock, pause, [this] { return stop_; })) return;
    pause = std::min(pause * 2, std::chrono::milliseconds(30'000));
  }
}

MatmulState::~MatmulState() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  stopping_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace ladder::client
