// Frames of worker processes, as bytes on the socket and as messages.
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/worker/frame_channel.h"
#include "server/worker/frames.h"
#include "server/worker/frames.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"
#include "tests/server/storage/sample_records.h"

namespace ladder {
namespace {

// The other side sends these bytes and leaves; every frame that arrives is understood or refused.
void ReadSocket(const std::string& bytes) {
  int pair[2];
  FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  FUZZ_CHECK(::send(pair[1], bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  ::close(pair[1]);
  FrameChannel channel(pair[0]);
  for (absl::StatusOr<std::string> frame = ""; frame.ok();) {
    frame = channel.Receive(absl::Now() + absl::Seconds(5));
    FUZZ_CHECK(frame.ok() || !absl::IsDeadlineExceeded(frame.status()));
    if (frame.ok()) FUZZ_CHECK(frame->size() <= bytes.size());
  }
}

void ReadReply(const std::string& bytes) {
  worker::DeviceReply reply;
  if (!reply.ParseFromString(bytes)) return;
  const absl::Status outcome = OutcomeStatus(reply.outcome());
  FUZZ_CHECK(outcome.message().size() < 1 << 20);
  FromFrame(reply.verification()).IgnoreError();
  FromFrame(reply.conditions()).IgnoreError();
}

void ReadJob(const std::string& bytes) {
  worker::DeviceJob job;
  if (!job.ParseFromString(bytes)) return;
  if (job.has_verify()) {
    const absl::StatusOr<Workload> workload = FromFrame(job.verify().workload());
    if (workload.ok()) {
      worker::Workload again;
      ToFrame(*workload, again);
      FUZZ_CHECK(FromFrame(again).ok());
    }
    FromFrame(job.verify().kernel()).IgnoreError();
  }
  for (const worker::KernelBinary& kernel : job.profile().kernels()) FromFrame(kernel).IgnoreError();
  FromFrame(job.profile().policy()).IgnoreError();
  FromFrame(job.load_support()).IgnoreError();
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  worker::DeviceJob verify;
  ToFrame(Workload{*Normalize(SampleDescriptor(256)), 16, 7}, *verify.mutable_verify()->mutable_workload());
  KernelBinary kernel;
  kernel.binary = "binary";
  kernel.launch = SampleRecord(256, 16, "x").winner().launch;
  ToFrame(kernel, *verify.mutable_verify()->mutable_kernel());
  worker::DeviceJob profile;
  ToFrame(Workload{*Normalize(SampleDescriptor(256)), 16, 7}, *profile.mutable_profile()->mutable_workload());
  ToFrame(kernel, *profile.mutable_profile()->add_kernels());
  ToFrame(ProfilePolicy{}, *profile.mutable_profile()->mutable_policy());
  worker::DeviceReply reply;
  ToFrame(absl::InternalError("an illegal access"), *reply.mutable_outcome());
  Verification verification;
  verification.passed = true;
  verification.worst_ratio = 0.5;
  ToFrame(verification, *reply.mutable_verification());
  ToFrame(DeviceConditions{.other_processes = 1, .other_memory_bytes = 5, .busy_percent = 97},
          *reply.mutable_conditions());
  const std::string text = reply.SerializeAsString();
  const std::string length = {static_cast<char>(text.size()), 0, 0, 0};
  return {absl::StrCat("s", length + text + length + text), absl::StrCat("j", verify.SerializeAsString()),
          absl::StrCat("j", profile.SerializeAsString()), absl::StrCat("r", text)};
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  if (size == 0 || size > 100'000) return 0;  // a socket holds that much without a reader
  const std::string rest = FuzzInput(data + 1, size - 1);
  if (data[0] == 's') ReadSocket(rest);
  if (data[0] == 'j') ReadJob(rest);
  if (data[0] == 'r') ReadReply(rest);
  return 0;
}
