#include "server/worker/worker_device.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/store/keys.h"
#include "server/convert/proto_convert.h"
#include "server/worker/frames.h"
#include "server/worker/frames.pb.h"
#include "server/worker/hello.h"

namespace ladder {
namespace {

constexpr size_t kMaxText = 4096;

// What identifies a configuration: the kernels and the shape, not the random inputs of this time.
std::string Digest(absl::string_view operation, const Workload& workload, std::span<const KernelBinary> kernels,
                   absl::string_view name) {
  CanonicalText text(operation);
  text.Field("op", workload.op.ToString()).Field("m", workload.m).Field("name", name);
  for (const KernelBinary& kernel : kernels) text.Field("binary", Sha256Hex(kernel.binary));
  return text.Digest();
}

absl::StatusOr<Measurement> ReadMeasurement(const tune::v1::Measurement& frame) {
  absl::StatusOr<Measurement> measurement = FromProto(frame);
  if (!measurement.ok()) return measurement.status();
  if (!(measurement->median_us > 0) || measurement->repeats < 1) {
    return absl::InternalError("the profile worker told a time that can't be");
  }
  return measurement;
}

}  // namespace

WorkerDevice::WorkerDevice(WorkerDeviceOptions options)
    : options_(std::move(options)), deaths_(options_.deaths_limit, options_.deaths_window) {}

WorkerDevice::~WorkerDevice() = default;

absl::Status WorkerDevice::InService() const {
  const absl::Time now = absl::Now();
  const std::lock_guard lock(deaths_mutex_);
  const std::optional<absl::Time> until = deaths_.OutUntil(now);
  if (!until.has_value()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "this GPU is out of service for another ", absl::FormatDuration(absl::Ceil(*until - now, absl::Seconds(1))),
      ": its worker died ", options_.deaths_limit, " times within ", absl::FormatDuration(options_.deaths_window),
      " (the last time: ", last_death_, "); look-ups go on"));
}

int64_t WorkerDevice::deaths() const {
  const std::lock_guard lock(deaths_mutex_);
  return deaths_.total();
}

void WorkerDevice::CountDeath(const std::string& how) {
  const std::lock_guard lock(deaths_mutex_);
  deaths_.Add(absl::Now());
  last_death_ = how;
}

absl::Status WorkerDevice::Start() {
  if (stopping_) return absl::CancelledError("the service is shutting down");
  if (absl::Status status = InService(); !status.ok()) return status;
  if (process_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<WorkerProcess>> spawned = WorkerProcess::Spawn(options_.command);
  if (!spawned.ok()) return spawned.status();
  absl::StatusOr<worker::Hello> hello = ReceiveHello(
      **spawned, options_.start_deadline, options_.sources_digest,
      [this] { return stopping_ ? absl::CancelledError("the service is shutting down") : absl::OkStatus(); });
  // A worker of another build is no death but a mistake of the installation.
  if (absl::IsUnavailable(hello.status()) || absl::IsDeadlineExceeded(hello.status())) {
    CountDeath(std::string(hello.status().message()));
  }
  if (!hello.ok()) return hello.status();
  process_ = *std::move(spawned);
  support_loaded_ = false;
  return absl::OkStatus();
}

absl::StatusOr<worker::DeviceReply> WorkerDevice::Exchange(const worker::DeviceJob& job, bool& lost) {
  const auto watch = [this] {
    if (stopping_) return absl::CancelledError("the service is shutting down");
    return process_->CheckResident(options_.resident_limit_bytes);
  };
  absl::StatusOr<std::string> answer = process_->Call(job.SerializeAsString(), options_.deadline, watch);
  worker::DeviceReply reply;
  absl::Status status = answer.status();
  lost = !status.ok() && !absl::IsInvalidArgument(status);
  if (status.ok() && (!reply.ParseFromString(*answer) || !reply.has_outcome())) {
    lost = true;
    status = absl::DataLossError("an answer that makes no sense");
  }
  if (status.ok()) {
    lost = reply.outcome().poisoned();
    status = OutcomeStatus(reply.outcome());
  }
  if (lost) process_.reset();
  if (lost && !absl::IsCancelled(status)) CountDeath(status.ok() ? "an illegal access" : std::string(status.message()));
  if (!status.ok()) return status;
  return reply;
}

absl::Status WorkerDevice::Prepare() {
  if (absl::Status status = Start(); !status.ok()) return status;
  if (support_ == nullptr || support_loaded_) return absl::OkStatus();
  bool lost = false;
  const absl::Status status = Exchange(*support_, lost).status();
  support_loaded_ = status.ok() && !lost;
  return status;
}

absl::StatusOr<worker::DeviceReply> WorkerDevice::Ask(const worker::DeviceJob& job) {
  if (absl::Status status = Prepare(); !status.ok()) return status;
  bool lost = false;
  return Exchange(job, lost);
}

absl::StatusOr<worker::DeviceReply> WorkerDevice::AskKernel(const worker::DeviceJob& job, const std::string& digest) {
  if (const auto found = kills_.find(digest); found != kills_.end() && found->second >= kKillsAllowed) {
    return absl::PermissionDeniedError("this kernel killed two profile workers and is not tried again");
  }
  if (absl::Status status = Prepare(); !status.ok()) return status;
  bool lost = false;
  absl::StatusOr<worker::DeviceReply> reply = Exchange(job, lost);
  if (!lost || absl::IsCancelled(reply.status())) return reply;
  if (!digest.empty()) {
    if (kills_.size() >= kRememberedKillers) kills_.clear();
    ++kills_[digest];
  }
  if (absl::IsResourceExhausted(reply.status())) return reply;
  return absl::InternalError(absl::StrCat("the kernel killed the profile worker (",
                                          reply.ok() ? "an illegal access" : reply.status().message(), ")"));
}

absl::StatusOr<Target> WorkerDevice::GetTarget() {
  {
    std::lock_guard lock(facts_mutex_);
    if (target_.has_value()) return *target_;
  }
  worker::DeviceJob job;
  job.mutable_get_target();
  std::lock_guard lock(mutex_);
  absl::StatusOr<worker::DeviceReply> reply = Ask(job);
  if (!reply.ok()) return reply.status();
  if (reply->target().size() > kMaxText) return absl::InternalError("the profile worker told a target that can't be");
  absl::StatusOr<Target> target = Target::Parse(reply->target());
  if (!target.ok()) {
    return absl::InternalError(
        absl::StrCat("the profile worker told a target that can't be: ", target.status().message()));
  }
  std::lock_guard facts(facts_mutex_);
  target_ = *target;
  return target;
}

absl::StatusOr<DeviceEnvironment> WorkerDevice::GetEnvironment() {
  {
    std::lock_guard lock(facts_mutex_);
    if (environment_.has_value()) return *environment_;
  }
  worker::DeviceJob job;
  job.mutable_get_environment();
  std::lock_guard lock(mutex_);
  absl::StatusOr<worker::DeviceReply> reply = Ask(job);
  if (!reply.ok()) return reply.status();
  if (reply->driver().size() > kMaxText || reply->runtime_id().size() > kMaxText) {
    return absl::InternalError("the profile worker told an environment that can't be");
  }
  std::lock_guard facts(facts_mutex_);
  environment_ = DeviceEnvironment{reply->driver(), reply->runtime_id()};
  return *environment_;
}

absl::StatusOr<DeviceConditions> WorkerDevice::GetConditions() {
  worker::DeviceJob job;
  job.mutable_get_conditions();
  std::lock_guard lock(mutex_);
  absl::StatusOr<worker::DeviceReply> reply = Ask(job);
  if (!reply.ok()) return reply.status();
  absl::StatusOr<DeviceConditions> conditions = FromFrame(reply->conditions());
  if (!conditions.ok()) {
    process_.reset();
    return absl::InternalError(absl::StrCat("the profile worker told ", conditions.status().message()));
  }
  return conditions;
}

absl::Status WorkerDevice::LoadSupport(const CompiledKernel& support) {
  auto job = std::make_unique<worker::DeviceJob>();
  ToFrame(support, *job->mutable_load_support());
  std::lock_guard lock(mutex_);
  if (support_ != nullptr && support_->load_support().binary() == support.binary && support_loaded_ &&
      process_ != nullptr) {
    return absl::OkStatus();
  }
  if (absl::Status status = Start(); !status.ok()) return status;
  bool lost = false;
  if (absl::StatusOr<worker::DeviceReply> reply = Exchange(*job, lost); !reply.ok()) return reply.status();
  const bool first = support_ == nullptr;
  support_ = std::move(job);
  support_loaded_ = !lost;
  if (!first) return absl::OkStatus();
  const std::lock_guard facts(facts_mutex_);
  target_.reset();  // the device can measure its rates now
  return absl::OkStatus();
}

void WorkerDevice::PrepareVerify(const Workload& workload) {
  worker::DeviceJob job;
  ToFrame(workload, *job.mutable_prepare_verify()->mutable_workload());
  std::lock_guard lock(mutex_);
  Ask(job).IgnoreError();
}

absl::StatusOr<Verification> WorkerDevice::Verify(const Workload& workload, const KernelBinary& kernel) {
  worker::DeviceJob job;
  ToFrame(workload, *job.mutable_verify()->mutable_workload());
  ToFrame(kernel, *job.mutable_verify()->mutable_kernel());
  std::lock_guard lock(mutex_);
  absl::StatusOr<worker::DeviceReply> reply = AskKernel(job, Digest("verify", workload, std::span(&kernel, 1), ""));
  if (!reply.ok()) return reply.status();
  absl::StatusOr<Verification> verification = FromFrame(reply->verification());
  if (!verification.ok()) {
    process_.reset();
    return absl::InternalError(absl::StrCat("the profile worker told ", verification.status().message()));
  }
  return verification;
}

absl::StatusOr<std::vector<Measurement>> WorkerDevice::Profile(const Workload& workload,
                                                               std::span<const KernelBinary> kernels,
                                                               const ProfilePolicy& policy) {
  worker::DeviceJob job;
  ToFrame(workload, *job.mutable_profile()->mutable_workload());
  for (const KernelBinary& kernel : kernels) ToFrame(kernel, *job.mutable_profile()->add_kernels());
  ToFrame(policy, *job.mutable_profile()->mutable_policy());
  std::lock_guard lock(mutex_);
  // A death while several take turns tells nothing about any one of them.
  const std::string digest = kernels.size() == 1 ? Digest("profile", workload, kernels, "") : "";
  absl::StatusOr<worker::DeviceReply> reply = AskKernel(job, digest);
  if (!reply.ok()) return reply.status();
  if (static_cast<size_t>(reply->measurements_size()) != kernels.size()) {
    process_.reset();
    return absl::InternalError("the profile worker told another number of times than there are kernels");
  }
  std::vector<Measurement> measurements;
  for (const tune::v1::Measurement& frame : reply->measurements()) {
    absl::StatusOr<Measurement> measurement = ReadMeasurement(frame);
    if (!measurement.ok()) {
      process_.reset();
      return measurement.status();
    }
    measurements.push_back(*measurement);
  }
  return measurements;
}

absl::StatusOr<Measurement> WorkerDevice::ProfileYardstick(const Workload& workload, absl::string_view yardstick,
                                                           const ProfilePolicy& policy) {
  worker::DeviceJob job;
  ToFrame(workload, *job.mutable_yardstick()->mutable_workload());
  job.mutable_yardstick()->set_name(std::string(yardstick));
  ToFrame(policy, *job.mutable_yardstick()->mutable_policy());
  std::lock_guard lock(mutex_);
  absl::StatusOr<worker::DeviceReply> reply = AskKernel(job, Digest("yardstick", workload, {}, yardstick));
  if (!reply.ok()) return reply.status();
  if (reply->measurements_size() != 1) {
    process_.reset();
    return absl::InternalError("the profile worker told no single time for a yardstick");
  }
  return ReadMeasurement(reply->measurements(0));
}

}  // namespace ladder
