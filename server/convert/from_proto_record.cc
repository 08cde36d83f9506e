#include <utility>

#include "core/target/target.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/field_check.h"
#include "server/convert/proto_convert.h"

namespace ladder {

namespace pb = tune::v1;
using field_check::Amount;
using field_check::AtMost;
using field_check::Bad;
using field_check::InRange;
using field_check::Within;

namespace {

absl::StatusOr<CandidateTrace> TracedCandidate(const pb::CandidateTrace& message) {
  absl::StatusOr<Candidate> candidate = FromProto(message.candidate());
  if (!candidate.ok()) return Within("candidate", candidate.status());
  absl::StatusOr<Measurement> measurement = FromProto(message.measurement());
  if (!measurement.ok()) return Within("measurement", measurement.status());
  if (!pb::CandidateStatus_IsValid(message.status())) {
    return Bad("status", absl::StrCat("unknown value ", static_cast<int>(message.status())));
  }
  for (absl::Status s : {Amount("predicted_us", message.predicted_us()),
                         AtMost("reason", message.reason().size(), kMaxTextLength, "characters"),
                         InRange("registers", message.registers(), 0, 1 << 16),
                         InRange("spill_bytes", message.spill_bytes(), 0, int64_t{1} << 40),
                         Amount("compile_ms", message.compile_ms())}) {
    if (!s.ok()) return s;
  }
  CandidateTrace traced;
  traced.candidate = *std::move(candidate);
  traced.predicted_us = message.predicted_us();
  traced.status = static_cast<CandidateStatus>(message.status());
  traced.reason = message.reason();
  traced.registers = message.registers();
  traced.spill_bytes = message.spill_bytes();
  traced.compile_ms = message.compile_ms();
  // Of a wrong kernel these may be infinite or no number at all, and that is what the trace is to say.
  traced.worst_ratio = message.worst_ratio();
  traced.relative_norm = message.relative_norm();
  traced.measurement = *measurement;
  return traced;
}

}  // namespace

absl::StatusOr<RankedKernel> FromProto(const pb::RankedKernel& message) {
  RankedKernel kernel;
  absl::StatusOr<Candidate> candidate = FromProto(message.candidate());
  if (!candidate.ok()) return Within("candidate", candidate.status());
  kernel.candidate = *std::move(candidate);
  if (absl::Status s = InRange("schedule_revision", message.schedule_revision(), 0, 1 << 30); !s.ok()) return s;
  kernel.schedule_revision = message.schedule_revision();
  if (!message.artifact_key().empty()) {
    if (absl::Status s = field_check::Sha256("artifact_key", message.artifact_key()); !s.ok()) return s;
    kernel.artifact.digest = message.artifact_key();
  }
  if (!message.blob_sha256().empty()) {
    if (absl::Status s = field_check::Sha256("blob_sha256", message.blob_sha256()); !s.ok()) return s;
    kernel.blob_sha256 = message.blob_sha256();
  }
  if (!message.blob_sha256().empty() || message.launch().threads() != 0) {
    absl::StatusOr<LaunchSpec> launch = FromProto(message.launch());
    if (!launch.ok()) return Within("launch", launch.status());
    kernel.launch = *std::move(launch);
  }
  kernel.numerics.scale_in_weights = message.scale_in_weights();
  absl::StatusOr<Measurement> measurement = FromProto(message.measurement());
  if (!measurement.ok()) return Within("measurement", measurement.status());
  kernel.measurement = *measurement;
  for (absl::Status s : {Amount("predicted_us", message.predicted_us()), Amount("worst_ratio", message.worst_ratio()),
                         Amount("relative_norm", message.relative_norm())}) {
    if (!s.ok()) return s;
  }
  kernel.predicted_us = message.predicted_us();
  kernel.worst_ratio = message.worst_ratio();
  kernel.relative_norm = message.relative_norm();
  return kernel;
}

absl::StatusOr<TuningTrace> FromProto(const pb::TuningTrace& message) {
  if (absl::Status s = AtMost("candidates", message.candidates_size(), kMaxTracedCandidates, "candidates"); !s.ok()) {
    return s;
  }
  for (absl::Status s : {Amount("enumerate_ms", message.enumerate_ms()), Amount("compile_ms", message.compile_ms()),
                         Amount("verify_ms", message.verify_ms()), Amount("profile_ms", message.profile_ms()),
                         Amount("total_ms", message.total_ms()), Amount("waited_ms", message.waited_ms()),
                         Amount("rested_ms", message.rested_ms()),
                         AtMost("disturbance", message.disturbance().size(), kMaxTextLength, "characters")}) {
    if (!s.ok()) return s;
  }
  TuningTrace trace;
  trace.candidates.reserve(message.candidates_size());
  for (int i = 0; i < message.candidates_size(); ++i) {
    absl::StatusOr<CandidateTrace> traced = TracedCandidate(message.candidates(i));
    if (!traced.ok()) return Within("candidates", i, traced.status());
    trace.candidates.push_back(*std::move(traced));
  }
  trace.seed = message.seed();
  trace.enumerate_ms = message.enumerate_ms();
  trace.compile_ms = message.compile_ms();
  trace.verify_ms = message.verify_ms();
  trace.profile_ms = message.profile_ms();
  trace.total_ms = message.total_ms();
  trace.disturbance = message.disturbance();
  trace.disturbed = message.disturbed();
  trace.waited_ms = message.waited_ms();
  trace.rested_ms = message.rested_ms();
  return trace;
}

absl::StatusOr<TuningRecord> FromProto(const pb::TuningRecord& message) {
  TuningRecord record;
  if (message.kind() == pb::RECORD_KIND_UNSPECIFIED || !pb::RecordKind_IsValid(message.kind())) {
    return Bad("kind", absl::StrCat("unknown value ", static_cast<int>(message.kind())));
  }
  for (absl::Status s : {field_check::Sha256("key", message.key()),
                         AtMost("key_text", message.key_text().size(), kMaxTextLength, "characters"),
                         InRange("m", message.m(), 1, kMaxDimension),
                         AtMost("target", message.target().size(), kMaxTextLength, "characters"),
                         AtMost("ranked", message.ranked_size(), kMaxRankedKernels, "kernels"),
                         InRange("created_unix", message.created_unix(), 0, int64_t{1} << 40)}) {
    if (!s.ok()) return s;
  }
  absl::StatusOr<NormalizedOperator> op = NormalizeProto(message.op());
  if (!op.ok()) return Within("op", op.status());
  if (!message.op_text().empty() && message.op_text() != op->ToString()) {
    return Bad("op_text", absl::StrCat("is not the text of op, which is \"", op->ToString(), "\""));
  }
  absl::StatusOr<Target> target = Target::Parse(message.target());
  if (!target.ok()) return absl::Status(target.status().code(), absl::StrCat("target: ", target.status().message()));
  absl::StatusOr<Environment> environment = FromProto(message.environment());
  if (!environment.ok()) return Within("environment", environment.status());
  if (message.ranked_size() == 0) return Bad("ranked", "is empty, and a record without a candidate says nothing");
  record.ranked.reserve(message.ranked_size());
  for (int i = 0; i < message.ranked_size(); ++i) {
    absl::StatusOr<RankedKernel> kernel = FromProto(message.ranked(i));
    if (!kernel.ok()) return Within("ranked", i, kernel.status());
    record.ranked.push_back(*std::move(kernel));
  }
  if (message.kind() != pb::RECORD_KIND_SEED && record.winner().blob_sha256.empty()) {
    return Bad("ranked[0].blob_sha256", "is empty, but a verified kernel has a binary");
  }
  absl::StatusOr<TuningTrace> trace = FromProto(message.trace());
  if (!trace.ok()) return Within("trace", trace.status());
  record.key.digest = message.key();
  record.key_text = message.key_text();
  record.kind = static_cast<RecordKind>(message.kind());
  record.op = *std::move(op);
  record.m = message.m();
  record.target = *std::move(target);
  record.environment = *std::move(environment);
  record.trace = *std::move(trace);
  record.created_unix = message.created_unix();
  record.generation = message.generation();
  return record;
}

}  // namespace ladder
