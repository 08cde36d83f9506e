#include "core/layout/packed_layout.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"

namespace ladder {

namespace pb = tune::v1;

pb::ElementDefinition ToProto(const ElementDefinition& definition) {
  pb::ElementDefinition message;
  message.set_bits(static_cast<int32_t>(definition.bits));
  message.mutable_table()->Add(definition.table.begin(), definition.table.end());
  if (definition.layout) {
    pb::FloatLayout& layout = *message.mutable_layout();
    layout.set_exponent_bits(static_cast<int32_t>(definition.layout->exponent_bits));
    layout.set_mantissa_bits(static_cast<int32_t>(definition.layout->mantissa_bits));
    if (definition.layout->bias) layout.set_bias(static_cast<int32_t>(*definition.layout->bias));
    layout.set_specials(definition.layout->specials);
    layout.set_is_unsigned(definition.layout->is_unsigned);
  }
  return message;
}

pb::OperatorDescriptor ToProto(const OperatorDescriptor& descriptor) {
  pb::OperatorDescriptor message;
  message.set_op(descriptor.op);
  message.set_a(descriptor.a);
  message.set_a_scale(descriptor.a_scale);
  message.set_w(descriptor.w);
  message.set_scale(descriptor.scale);
  message.set_zeros(descriptor.zeros);
  message.set_out(descriptor.out);
  if (descriptor.element) *message.mutable_element() = ToProto(*descriptor.element);
  if (descriptor.group) message.set_group(*descriptor.group);
  message.set_tensor_scale(descriptor.tensor_scale);
  message.set_bias(descriptor.bias);
  message.set_act(descriptor.act);
  message.set_output_scale(descriptor.output_scale);
  message.set_residual(descriptor.residual);
  message.set_n(descriptor.n);
  message.set_k(descriptor.k);
  for (const MRange& range : descriptor.m) {
    pb::MRange* m = message.add_m();
    m->set_first(range.first);
    m->set_last(range.last);
  }
  return message;
}

pb::OperatorDescriptor ToProto(const NormalizedOperator& op) {
  OperatorDescriptor descriptor = op.ToDescriptor();
  descriptor.m.clear();
  return ToProto(descriptor);
}

pb::Candidate ToProto(const Candidate& candidate) {
  pb::Candidate message;
  message.set_schedule(candidate.schedule);
  for (const auto& [name, value] : candidate.parameters) {
    pb::Candidate::Parameter* parameter = message.add_parameters();
    parameter->set_name(name);
    parameter->set_value(value);
  }
  return message;
}

pb::LaunchSpec ToProto(const LaunchSpec& launch) {
  pb::LaunchSpec message;
  message.set_entry(launch.entry);
  message.set_threads(launch.threads);
  message.set_cluster(launch.cluster);
  message.set_shared_bytes(launch.shared_bytes);
  message.set_m_tile(launch.m_tile);
  message.set_blocks_per_m_tile(launch.blocks_per_m_tile);
  message.set_max_blocks(launch.max_blocks);
  message.set_max_m(launch.max_m);
  message.set_workspace_bytes_per_m_tile(launch.workspace_bytes_per_m_tile);
  message.set_dependent_launch(launch.dependent_launch);
  for (const TensorMapSpec& spec : launch.tensor_maps) {
    pb::TensorMapSpec* map = message.add_tensor_maps();
    map->set_operand(static_cast<pb::TensorOperand>(spec.operand));
    map->set_box_columns(spec.box_columns);
    map->set_box_rows(spec.box_rows);
    map->set_swizzle_bytes(spec.swizzle_bytes);
  }
  return message;
}

pb::Measurement ToProto(const Measurement& measurement) {
  pb::Measurement message;
  message.set_median_us(measurement.median_us);
  message.set_spread_us(measurement.spread_us);
  message.set_repeats(measurement.repeats);
  message.set_clock_ghz(measurement.clock_ghz);
  message.set_throttled(measurement.throttled);
  return message;
}

pb::RankedKernel ToProto(const RankedKernel& kernel) {
  pb::RankedKernel message;
  *message.mutable_candidate() = ToProto(kernel.candidate);
  message.set_schedule_revision(kernel.schedule_revision);
  message.set_artifact_key(kernel.artifact.digest);
  message.set_blob_sha256(kernel.blob_sha256);
  *message.mutable_launch() = ToProto(kernel.launch);
  message.set_scale_in_weights(kernel.numerics.scale_in_weights);
  message.set_predicted_us(kernel.predicted_us);
  *message.mutable_measurement() = ToProto(kernel.measurement);
  message.set_worst_ratio(kernel.worst_ratio);
  message.set_relative_norm(kernel.relative_norm);
  return message;
}

pb::TuningTrace ToProto(const TuningTrace& trace) {
  pb::TuningTrace message;
  for (const CandidateTrace& traced : trace.candidates) {
    pb::CandidateTrace* candidate = message.add_candidates();
    *candidate->mutable_candidate() = ToProto(traced.candidate);
    candidate->set_predicted_us(traced.predicted_us);
    candidate->set_status(static_cast<pb::CandidateStatus>(traced.status));
    candidate->set_reason(traced.reason.substr(0, kMaxTextLength));
    candidate->set_registers(traced.registers);
    candidate->set_spill_bytes(traced.spill_bytes);
    candidate->set_compile_ms(traced.compile_ms);
    candidate->set_worst_ratio(traced.worst_ratio);
    candidate->set_relative_norm(traced.relative_norm);
    *candidate->mutable_measurement() = ToProto(traced.measurement);
  }
  message.set_seed(trace.seed);
  message.set_enumerate_ms(trace.enumerate_ms);
  message.set_compile_ms(trace.compile_ms);
  message.set_verify_ms(trace.verify_ms);
  message.set_profile_ms(trace.profile_ms);
  message.set_total_ms(trace.total_ms);
  message.set_disturbance(trace.disturbance.substr(0, kMaxTextLength));
  message.set_disturbed(trace.disturbed);
  message.set_waited_ms(trace.waited_ms);
  message.set_rested_ms(trace.rested_ms);
  return message;
}

pb::Environment ToProto(const Environment& environment) {
  pb::Environment message;
  message.set_compiler(environment.compiler);
  message.set_sources_digest(environment.sources_digest);
  message.set_driver(environment.driver);
  message.set_ladder_version(environment.ladder_version);
  return message;
}

pb::PackedWeight PackedWeightProto(const NormalizedOperator& op) {
  const PackedLayout layout = PackedLayout::For(op);
  pb::PackedWeight message;
  message.set_layout_id(layout.id());
  message.set_natural_weight_bytes(NaturalWeightBytes(layout));
  message.set_natural_scale_bytes(NaturalScaleBytes(layout));
  message.set_natural_zero_bytes(NaturalZeroBytes(layout));
  message.set_weight_bytes(layout.weight_bytes());
  message.set_scale_bytes(layout.scale_bytes());
  message.set_zero_bytes(layout.zero_bytes());
  return message;
}

pb::TuningRecord ToProto(const TuningRecord& record, TraceMode mode) {
  pb::TuningRecord message;
  message.set_key(record.key.digest);
  message.set_kind(static_cast<pb::RecordKind>(record.kind));
  *message.mutable_op() = ToProto(record.op);
  message.set_m(record.m);
  message.set_target(record.target.ToString());
  if (mode == TraceMode::kToLaunch) {
    if (!record.ranked.empty()) *message.add_ranked() = ToProto(record.winner());
  } else {
    *message.mutable_environment() = ToProto(record.environment);
    message.set_key_text(record.key_text);
    message.set_op_text(record.op.ToString());
    for (const RankedKernel& kernel : record.ranked) *message.add_ranked() = ToProto(kernel);
  }
  if (mode == TraceMode::kWithTrace) *message.mutable_trace() = ToProto(record.trace);
  message.set_created_unix(record.created_unix);
  message.set_generation(record.generation);
  *message.mutable_packed() = PackedWeightProto(record.op);
  return message;
}

}  // namespace ladder
