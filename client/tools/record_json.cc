#include "client/tools/record_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "client/tools/operator_input.h"

namespace ladder::tools {

using nlohmann::json;
namespace pb = tune::v1;

namespace {

json CandidateToJson(const pb::CandidateTrace& candidate) {
  std::string status = pb::CandidateStatus_Name(candidate.status());
  absl::string_view name = status;
  absl::ConsumePrefix(&name, "CANDIDATE_STATUS_");
  json object = {{"candidate", Describe(candidate.candidate())}, {"status", absl::AsciiStrToLower(name)},
                 {"predicted_us", candidate.predicted_us()},     {"registers", candidate.registers()},
                 {"spill_bytes", candidate.spill_bytes()},       {"compile_ms", candidate.compile_ms()}};
  if (!candidate.reason().empty()) object["reason"] = candidate.reason();
  if (candidate.worst_ratio() > 0) object["worst_ratio"] = candidate.worst_ratio();
  if (candidate.measurement().median_us() > 0) object["measurement"] = MeasurementToJson(candidate.measurement());
  return object;
}

json KernelToJson(const pb::RankedKernel& kernel) {
  json object = {{"candidate", Describe(kernel.candidate())},
                 {"predicted_us", kernel.predicted_us()},
                 {"blob_sha256", kernel.blob_sha256()},
                 {"artifact_key", kernel.artifact_key()}};
  if (kernel.measurement().median_us() > 0) {
    object["measurement"] = MeasurementToJson(kernel.measurement());
    object["worst_ratio"] = kernel.worst_ratio();
    object["relative_norm"] = kernel.relative_norm();
  }
  return object;
}

}  // namespace

const char* KindName(pb::RecordKind kind) {
  switch (kind) {
    case pb::RECORD_KIND_MEASURED:
      return "measured";
    case pb::RECORD_KIND_SEED:
      return "seed";
    case pb::RECORD_KIND_FAST:
      return "fast";
    default:
      return "?";
  }
}

json MeasurementToJson(const pb::Measurement& measurement) {
  return {{"median_us", measurement.median_us()},
          {"spread_us", measurement.spread_us()},
          {"repeats", measurement.repeats()},
          {"clock_ghz", measurement.clock_ghz()},
          {"throttled", measurement.throttled()}};
}

json RecordToJson(const pb::TuningRecord& record, bool with_trace) {
  json ranked = json::array();
  for (const pb::RankedKernel& kernel : record.ranked()) ranked.push_back(KernelToJson(kernel));
  json object = {
      {"key", record.key()},
      {"kind", KindName(record.kind())},
      {"measured", record.kind() != pb::RECORD_KIND_SEED},
      {"op", record.op_text()},
      {"m", record.m()},
      {"target", record.target()},
      {"compiler", record.environment().compiler()},
      {"driver", record.environment().driver()},
      {"ladder_version", record.environment().ladder_version()},
      {"sources_digest", record.environment().sources_digest()},
      {"created_unix", record.created_unix()},
      {"generation", record.generation()},
      {"layout", record.packed().layout_id()},
      {"packed_bytes", record.packed().weight_bytes() + record.packed().scale_bytes() + record.packed().zero_bytes()},
      {"ranked", std::move(ranked)}};
  if (!with_trace) return object;
  const pb::TuningTrace& trace = record.trace();
  json candidates = json::array();
  for (const pb::CandidateTrace& candidate : trace.candidates()) candidates.push_back(CandidateToJson(candidate));
  object["trace"] = {{"candidates", std::move(candidates)},  {"seed", trace.seed()},
                     {"enumerate_ms", trace.enumerate_ms()}, {"compile_ms", trace.compile_ms()},
                     {"verify_ms", trace.verify_ms()},       {"profile_ms", trace.profile_ms()},
                     {"total_ms", trace.total_ms()},         {"disturbance", trace.disturbance()},
                     {"disturbed", trace.disturbed()},       {"waited_ms", trace.waited_ms()},
                     {"rested_ms", trace.rested_ms()}};
  return object;
}

}  // namespace ladder::tools
