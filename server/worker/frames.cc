#include "server/worker/frames.h"

#include <algorithm>
#include <cmath>

#include "server/convert/proto_convert.h"
#include "server/worker/frames.pb.h"

namespace ladder {
namespace {

constexpr size_t kMaxMessage = 16 * 1024;
constexpr size_t kMaxLog = 64 * 1024;

absl::Status Worthless(const char* what) { return absl::DataLossError(what); }

// Protobuf refuses text that is not UTF-8; compilers print what they like.
std::string Printable(const std::string& text, size_t limit) {
  std::string out = text.substr(0, limit);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '\0'; }, '?');
  return out;
}

}  // namespace

void ToFrame(const CompileRequest& request, worker::CompileJob& out) {
  out.set_arch(request.arch);
  out.set_text(request.source.text);
  for (const auto& [name, text] : request.source.extra_headers) (*out.mutable_extra_headers())[name] = text;
  out.set_entry(request.entry);
}

void ToFrame(const CompiledKernel& kernel, worker::CompiledBinary& out) {
  out.set_binary(kernel.binary);
  out.set_registers(kernel.registers);
  out.set_spill_bytes(kernel.spill_bytes);
  out.set_local_bytes(kernel.local_bytes);
  out.set_static_shared_bytes(kernel.static_shared_bytes);
  out.set_log(Printable(kernel.log, kMaxLog));
  out.set_compile_ms(kernel.compile_ms);
}

void ToFrame(const Workload& workload, worker::Workload& out) {
  *out.mutable_op() = ToProto(workload.op);
  out.set_m(workload.m);
  out.set_seed(workload.seed);
}

void ToFrame(const KernelBinary& kernel, worker::KernelBinary& out) {
  out.set_binary(kernel.binary);
  *out.mutable_launch() = ToProto(kernel.launch);
  out.set_scale_in_weights(kernel.numerics.scale_in_weights);
}

void ToFrame(const ProfilePolicy& policy, worker::ProfilePolicy& out) {
  out.set_repeats(policy.repeats);
  out.set_replay_ms(policy.replay_ms);
  out.set_preheat_ms(policy.preheat_ms);
  out.set_rotate_bytes(policy.rotate_bytes);
}

void ToFrame(const DeviceConditions& conditions, worker::DeviceConditions& out) {
  if (conditions.other_processes.has_value()) out.set_other_processes(*conditions.other_processes);
  out.set_other_memory_bytes(conditions.other_memory_bytes);
  if (conditions.busy_percent.has_value()) out.set_busy_percent(*conditions.busy_percent);
  out.set_throttled(conditions.throttled);
}

void ToFrame(const Verification& verification, worker::Verification& out) {
  out.set_passed(verification.passed);
  out.set_worst_ratio(verification.worst_ratio);
  out.set_relative_norm(verification.relative_norm);
  out.set_wrong_elements(verification.wrong_elements);
  out.set_detail(Printable(verification.detail, kMaxMessage));
}

void ToFrame(const absl::Status& status, worker::Outcome& out) {
  out.set_code(static_cast<int>(status.code()));
  out.set_message(Printable(std::string(status.message()), kMaxMessage));
}

CompileRequest FromFrame(const worker::CompileJob& frame) {
  CompileRequest request;
  request.arch = frame.arch();
  request.source.text = frame.text();
  for (const auto& [name, text] : frame.extra_headers()) request.source.extra_headers[name] = text;
  request.entry = frame.entry();
  return request;
}

absl::StatusOr<CompiledKernel> FromFrame(const worker::CompiledBinary& frame) {
  if (frame.binary().empty()) return Worthless("a compiled kernel without a binary");
  if (frame.registers() < 0 || frame.registers() > 1024 || frame.spill_bytes() < 0 || frame.local_bytes() < 0 ||
      frame.static_shared_bytes() < 0 || !std::isfinite(frame.compile_ms()) || frame.compile_ms() < 0) {
    return Worthless("figures of a compiled kernel that can't be");
  }
  CompiledKernel kernel;
  kernel.binary = frame.binary();
  kernel.registers = frame.registers();
  kernel.spill_bytes = frame.spill_bytes();
  kernel.local_bytes = frame.local_bytes();
  kernel.static_shared_bytes = frame.static_shared_bytes();
  kernel.log = frame.log().substr(0, kMaxLog);
  kernel.compile_ms = frame.compile_ms();
  return kernel;
}

absl::StatusOr<Workload> FromFrame(const worker::Workload& frame) {
  absl::StatusOr<NormalizedOperator> op = NormalizeProto(frame.op());
  if (!op.ok()) return op.status();
  if (frame.m() < 1 || frame.m() > kMaxDimension) return Worthless("a workload whose M can't be");
  return Workload{*std::move(op), frame.m(), frame.seed()};
}

absl::StatusOr<KernelBinary> FromFrame(const worker::KernelBinary& frame) {
  absl::StatusOr<LaunchSpec> launch = FromProto(frame.launch());
  if (!launch.ok()) return launch.status();
  return KernelBinary{frame.binary(), *std::move(launch), NumericsSpec{frame.scale_in_weights()}};
}

absl::StatusOr<ProfilePolicy> FromFrame(const worker::ProfilePolicy& frame) {
  if (frame.repeats() < 1 || frame.repeats() > 10'000 || !(frame.replay_ms() >= 0 && frame.replay_ms() < 60'000) ||
      !(frame.preheat_ms() >= 0 && frame.preheat_ms() < 60'000) || frame.rotate_bytes() < 0) {
    return Worthless("a profile policy that can't be");
  }
  return ProfilePolicy{frame.repeats(), frame.replay_ms(), frame.preheat_ms(), frame.rotate_bytes()};
}

absl::StatusOr<DeviceConditions> FromFrame(const worker::DeviceConditions& frame) {
  if (frame.other_processes() < 0 || frame.other_memory_bytes() < 0 || frame.busy_percent() < 0 ||
      frame.busy_percent() > 100) {
    return Worthless("conditions of a GPU that can't be");
  }
  DeviceConditions conditions;
  if (frame.has_other_processes()) conditions.other_processes = frame.other_processes();
  conditions.other_memory_bytes = frame.other_memory_bytes();
  if (frame.has_busy_percent()) conditions.busy_percent = frame.busy_percent();
  conditions.throttled = frame.throttled();
  return conditions;
}

absl::StatusOr<Verification> FromFrame(const worker::Verification& frame) {
  // A wrong kernel may well give an infinite ratio or a NaN norm; one that passed may not.
  if (frame.passed() && (!(frame.worst_ratio() >= 0 && frame.worst_ratio() <= 1) || frame.wrong_elements() != 0 ||
                         !std::isfinite(frame.relative_norm()))) {
    return Worthless("a verification that passed with wrong elements");
  }
  if (frame.wrong_elements() < 0) return Worthless("a verification with a negative count");
  Verification verification;
  verification.passed = frame.passed();
  verification.worst_ratio = frame.worst_ratio();
  verification.relative_norm = frame.relative_norm();
  verification.wrong_elements = frame.wrong_elements();
  verification.detail = frame.detail().substr(0, kMaxMessage);
  return verification;
}

absl::Status OutcomeStatus(const worker::Outcome& frame) {
  if (frame.code() == 0) return absl::OkStatus();
  const bool known = frame.code() > 0 && frame.code() <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return absl::Status(known ? static_cast<absl::StatusCode>(frame.code()) : absl::StatusCode::kUnknown,
                      frame.message().substr(0, kMaxMessage));
}

}  // namespace ladder
