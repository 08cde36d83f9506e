#include "server/worker/worker_main.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "server/convert/proto_convert.h"
#include "server/worker/frame_channel.h"
#include "server/worker/frames.h"
#include "server/worker/frames.pb.h"
#include "server/worker/worker_process.h"

namespace ladder {
namespace {

// A hung compiler or kernel must not outlive the service, whatever killed that.
void DieWithService() {
  std::thread([] {
    pollfd fd{kWorkerDescriptor, POLLRDHUP, 0};
    while (::poll(&fd, 1, -1) < 0 || (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0) {
    }
    ::_exit(0);
  }).detach();
}

bool ByService() {
  if (::fcntl(kWorkerDescriptor, F_GETFD) >= 0) return true;
  std::fputs("This program is started by ladderd or ladder-tune, not by hand.\n", stderr);
  return false;
}

// The loop of both kinds: Job in, Reply out, until the service closes or `serve` says that this was the last.
template <typename Job, typename Reply, typename ServeJob>
int Loop(worker::Hello hello, const ServeJob& serve) {
  DieWithService();
  FrameChannel channel(kWorkerDescriptor);
  hello.set_ladder_version(LADDER_VERSION);
  if (!channel.Send(hello.SerializeAsString(), absl::InfiniteFuture()).ok()) return 1;
  while (true) {
    absl::StatusOr<std::string> frame = channel.Receive(absl::InfiniteFuture());
    if (!frame.ok()) return absl::IsUnavailable(frame.status()) ? 0 : 1;
    Job job;
    if (!job.ParseFromString(*frame)) return 1;
    Reply reply;
    serve(job, reply);
    std::string answer = reply.SerializeAsString();
    if (answer.size() > kMaxFrameBytes) {
      reply.Clear();
      ToFrame(absl::ResourceExhaustedError("the result is too big for a frame"), *reply.mutable_outcome());
      answer = reply.SerializeAsString();
    }
    if (!channel.Send(answer, absl::InfiniteFuture()).ok() || reply.outcome().poisoned()) return 1;
  }
}

absl::Status ServeVerify(const worker::DeviceJob::Verify& job, Device& device, worker::DeviceReply& reply) {
  absl::StatusOr<Workload> workload = FromFrame(job.workload());
  if (!workload.ok()) return workload.status();
  absl::StatusOr<KernelBinary> kernel = FromFrame(job.kernel());
  if (!kernel.ok()) return kernel.status();
  absl::StatusOr<Verification> verification = device.Verify(*workload, *kernel);
  if (!verification.ok()) return verification.status();
  ToFrame(*verification, *reply.mutable_verification());
  return absl::OkStatus();
}

absl::Status ServeProfile(const worker::DeviceJob::Profile& job, Device& device, worker::DeviceReply& reply) {
  absl::StatusOr<Workload> workload = FromFrame(job.workload());
  if (!workload.ok()) return workload.status();
  absl::StatusOr<ProfilePolicy> policy = FromFrame(job.policy());
  if (!policy.ok()) return policy.status();
  std::vector<KernelBinary> kernels;
  for (const worker::KernelBinary& frame : job.kernels()) {
    absl::StatusOr<KernelBinary> kernel = FromFrame(frame);
    if (!kernel.ok()) return kernel.status();
    kernels.push_back(*std::move(kernel));
  }
  absl::StatusOr<std::vector<Measurement>> measurements = device.Profile(*workload, kernels, *policy);
  if (!measurements.ok()) return measurements.status();
  for (const Measurement& measurement : *measurements) *reply.add_measurements() = ToProto(measurement);
  return absl::OkStatus();
}

absl::Status ServeYardstick(const worker::DeviceJob::Yardstick& job, Device& device, worker::DeviceReply& reply) {
  absl::StatusOr<Workload> workload = FromFrame(job.workload());
  if (!workload.ok()) return workload.status();
  absl::StatusOr<ProfilePolicy> policy = FromFrame(job.policy());
  if (!policy.ok()) return policy.status();
  absl::StatusOr<Measurement> measurement = device.ProfileYardstick(*workload, job.name(), *policy);
  if (!measurement.ok()) return measurement.status();
  *reply.add_measurements() = ToProto(*measurement);
  return absl::OkStatus();
}

absl::Status Serve(const worker::DeviceJob& job, Device& device, worker::DeviceReply& reply) {
  switch (job.job_case()) {
    case worker::DeviceJob::kGetTarget: {
      absl::StatusOr<Target> target = device.GetTarget();
      if (target.ok()) reply.set_target(target->ToString());
      return target.status();
    }
    case worker::DeviceJob::kGetEnvironment: {
      absl::StatusOr<DeviceEnvironment> environment = device.GetEnvironment();
      if (!environment.ok()) return environment.status();
      reply.set_driver(environment->driver);
      reply.set_runtime_id(environment->runtime_id);
      return absl::OkStatus();
    }
    case worker::DeviceJob::kGetConditions: {
      absl::StatusOr<DeviceConditions> conditions = device.GetConditions();
      if (conditions.ok()) ToFrame(*conditions, *reply.mutable_conditions());
      return conditions.status();
    }
    case worker::DeviceJob::kLoadSupport: {
      absl::StatusOr<CompiledKernel> support = FromFrame(job.load_support());
      return support.ok() ? device.LoadSupport(*support) : support.status();
    }
    case worker::DeviceJob::kPrepareVerify: {
      const absl::StatusOr<Workload> workload = FromFrame(job.prepare_verify().workload());
      if (workload.ok()) device.PrepareVerify(*workload);
      return workload.status();
    }
    case worker::DeviceJob::kVerify:
      return ServeVerify(job.verify(), device, reply);
    case worker::DeviceJob::kProfile:
      return ServeProfile(job.profile(), device, reply);
    case worker::DeviceJob::kYardstick:
      return ServeYardstick(job.yardstick(), device, reply);
    case worker::DeviceJob::JOB_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a job of no known kind");
}

}  // namespace

int RunCompileWorker(Compiler& compiler, const std::string& sources_digest) {
  if (!ByService()) return 2;
  worker::Hello hello;
  hello.set_sources_digest(sources_digest);
  hello.set_compiler_version(compiler.Version());
  return Loop<worker::CompileJob, worker::CompileReply>(
      std::move(hello), [&](const worker::CompileJob& job, worker::CompileReply& reply) {
        const CompileRequest request = FromFrame(job);
        std::vector<absl::StatusOr<CompiledKernel>> results = compiler.Compile(std::span(&request, 1), nullptr);
        const absl::Status status =
            results.size() == 1 ? results[0].status() : absl::InternalError("the compiler gave no result");
        ToFrame(status, *reply.mutable_outcome());
        if (status.ok()) ToFrame(*results[0], *reply.mutable_kernel());
      });
}

int RunProfileWorker(Device& device, const std::string& sources_digest) {
  if (!ByService()) return 2;
  worker::Hello hello;
  hello.set_sources_digest(sources_digest);
  return Loop<worker::DeviceJob, worker::DeviceReply>(std::move(hello),
                                                      [&](const worker::DeviceJob& job, worker::DeviceReply& reply) {
                                                        const absl::Status status = Serve(job, device, reply);
                                                        if (!status.ok()) reply.Clear();
                                                        ToFrame(status, *reply.mutable_outcome());
                                                        reply.mutable_outcome()->set_poisoned(absl::IsInternal(status));
                                                      });
}

void LimitAddressSpace(int64_t bytes) {
  const rlimit limit{static_cast<rlim_t>(bytes), static_cast<rlim_t>(bytes)};
  ::setrlimit(RLIMIT_AS, &limit);
}

}  // namespace ladder
