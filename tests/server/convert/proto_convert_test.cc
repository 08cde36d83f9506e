#include "server/convert/proto_convert.h"

#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "tests/server/storage/sample_records.h"

namespace ladder {
namespace {

namespace pb = tune::v1;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Wire(const TuningRecord& record) { return ToProto(record, TraceMode::kWithTrace).SerializeAsString(); }

TEST(ProtoConvertTest, DescriptorSurvives) {
  OperatorDescriptor descriptor = SampleDescriptor(8192, "uint4");
  descriptor.scale = "bf16";
  descriptor.zeros = "rescale";
  descriptor.out = "fp32";
  descriptor.bias = true;
  descriptor.act = "gelu_tanh";
  descriptor.output_scale = descriptor.residual = true;
  descriptor.tensor_scale = true;
  descriptor.a_scale = "row";
  descriptor.element = ElementDefinition{.bits = 2, .table = {-1, 0, 0.5f, 1}};
  descriptor.m = {{1, 1}, {16, 4096}};
  for (const std::optional<int64_t> group : {std::optional<int64_t>(), {-1}, {0}, {128}}) {
    descriptor.group = group;
    const absl::StatusOr<OperatorDescriptor> back = FromProto(ToProto(descriptor));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->op, descriptor.op);
    EXPECT_EQ(back->a, descriptor.a);
    EXPECT_EQ(back->a_scale, descriptor.a_scale);
    EXPECT_EQ(back->w, descriptor.w);
    EXPECT_EQ(back->scale, descriptor.scale);
    EXPECT_EQ(back->zeros, descriptor.zeros);
    EXPECT_EQ(back->out, descriptor.out);
    EXPECT_EQ(back->group, descriptor.group);
    EXPECT_EQ(back->bias, descriptor.bias);
    EXPECT_EQ(back->act, descriptor.act);
    EXPECT_TRUE(back->output_scale && back->residual);
    EXPECT_EQ(back->tensor_scale, descriptor.tensor_scale);
    EXPECT_EQ(back->element, descriptor.element);
    EXPECT_EQ(back->n, descriptor.n);
    EXPECT_EQ(back->k, descriptor.k);
    EXPECT_EQ(back->m, descriptor.m);
  }
}

TEST(ProtoConvertTest, ElementLayoutsSurvive) {
  for (const std::optional<int64_t> bias : {std::optional<int64_t>(), {-3}, {0}}) {
    const ElementDefinition definition{
        .bits = 5,
        .layout =
            FloatLayout{.exponent_bits = 2, .mantissa_bits = 3, .bias = bias, .specials = "nan", .is_unsigned = true}};
    const absl::StatusOr<ElementDefinition> back = FromProto(ToProto(definition));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, definition);
  }
}

TEST(ProtoConvertTest, ElementsAreBounded) {
  pb::OperatorDescriptor message = ToProto(SampleDescriptor(1000));
  for (int i = 0; i < 257; i++) message.mutable_element()->add_table(0);
  EXPECT_THAT(std::string(FromProto(message).status().message()), StartsWith("element.table: 257 values"));
  message.mutable_element()->clear_table();
  message.mutable_element()->mutable_layout()->set_specials(std::string(1000, 'x'));
  EXPECT_THAT(std::string(FromProto(message).status().message()),
              StartsWith("element.float.specials: 1000 characters"));
}

TEST(ProtoConvertTest, EmptyDescriptorMeansTheDefaults) {
  const absl::StatusOr<OperatorDescriptor> descriptor = FromProto(pb::OperatorDescriptor());
  ASSERT_TRUE(descriptor.ok());
  const OperatorDescriptor defaults;
  EXPECT_EQ(descriptor->op, defaults.op);
  EXPECT_EQ(descriptor->a, defaults.a);
  EXPECT_EQ(descriptor->w, defaults.w);
  EXPECT_FALSE(descriptor->group.has_value());
}

TEST(ProtoConvertTest, NormalizedOperatorsSurvive) {
  for (const char* w : {"int4", "nf4", "uint4", "fp16", "fp8_e5m2", "nvfp4", "mine"}) {
    OperatorDescriptor descriptor = SampleDescriptor(1000, w);
    if (std::string_view(w) == "mine") descriptor.element = ElementDefinition{.layout = FloatLayout{3, 1, {}, "ieee"}};
    const absl::StatusOr<NormalizedOperator> op = Normalize(descriptor);
    ASSERT_TRUE(op.ok()) << op.status();
    const pb::OperatorDescriptor message = ToProto(*op);
    EXPECT_EQ(message.m_size(), 0);
    const absl::StatusOr<NormalizedOperator> back = NormalizeProto(message);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, *op);
  }
}

TEST(ProtoConvertTest, RecordSurvives) {
  for (const std::string& binary : {SampleBinary(1), std::string()}) {
    TuningRecord record = SampleRecord(8192, 16, binary);
    record.generation = 77;
    const pb::TuningRecord message = ToProto(record, TraceMode::kWithTrace);
    const absl::StatusOr<TuningRecord> back = FromProto(message);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(Wire(*back), Wire(record));
    EXPECT_EQ(back->key, record.key);
    EXPECT_EQ(back->kind, record.kind);
    EXPECT_EQ(back->op, record.op);
    EXPECT_EQ(back->target, record.target);
    EXPECT_EQ(back->environment, record.environment);
    ASSERT_EQ(back->ranked.size(), 2u);
    EXPECT_EQ(back->winner().candidate, record.winner().candidate);
    EXPECT_EQ(back->winner().artifact, record.winner().artifact);
    EXPECT_EQ(back->winner().launch, record.winner().launch);
    EXPECT_EQ(back->winner().measurement, record.winner().measurement);
    EXPECT_EQ(back->winner().numerics.scale_in_weights, true);
    ASSERT_EQ(back->trace.candidates.size(), 3u);
    EXPECT_EQ(back->trace.candidates[1].reason, "spills 128 bytes");
    EXPECT_EQ(back->trace.seed, record.trace.seed);
    EXPECT_EQ(back->generation, 77u);
  }
}

TEST(ProtoConvertTest, TraceIsLeftOutOnRequest) {
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  EXPECT_FALSE(ToProto(record, TraceMode::kWithoutTrace).has_trace());
}

TEST(ProtoConvertTest, PackedSizesComeFromTheLayout) {
  const TuningRecord record = SampleRecord(100, 1, SampleBinary(1));
  const pb::PackedWeight packed = ToProto(record, TraceMode::kWithoutTrace).packed();
  EXPECT_EQ(packed.natural_weight_bytes(), 100 * 4096 / 2);
  EXPECT_EQ(packed.weight_bytes(), 128 * 4096 / 2);  // N padded to 64
  EXPECT_EQ(packed.natural_scale_bytes(), 100 * (4096 / 64) * 2);
  EXPECT_EQ(packed.scale_bytes(), 128 * (4096 / 64) * 2);
  EXPECT_EQ(packed.zero_bytes(), 0);
  EXPECT_FALSE(packed.layout_id().empty());
}

TEST(ProtoConvertTest, LongReasonsAreCut) {
  TuningRecord record = SampleRecord(8192, 16, SampleBinary(1));
  record.trace.candidates[1].reason.assign(3 * kMaxTextLength, 'x');
  const absl::StatusOr<TuningRecord> back = FromProto(ToProto(record, TraceMode::kWithTrace));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->trace.candidates[1].reason.size(), kMaxTextLength);
}

struct BadRecord {
  const char* field;  // how the message starts
  std::function<void(pb::TuningRecord&)> damage;
};

class BadRecordTest : public testing::TestWithParam<BadRecord> {};

TEST_P(BadRecordTest, IsRefusedNamingTheField) {
  pb::TuningRecord message = ToProto(SampleRecord(8192, 16, SampleBinary(1)), TraceMode::kWithTrace);
  ASSERT_TRUE(FromProto(message).ok());
  GetParam().damage(message);
  const absl::StatusOr<TuningRecord> record = FromProto(message);
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.status().code(), absl::StatusCode::kInvalidArgument) << record.status();
  EXPECT_THAT(std::string(record.status().message()), StartsWith(GetParam().field));
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Fields, BadRecordTest,
    testing::Values(
        BadRecord{"key: ", [](auto& r) { r.set_key("abc"); }},
        BadRecord{"key: ", [](auto& r) { r.set_key(std::string(64, 'A')); }},
        BadRecord{"key_text: ", [](auto& r) { r.set_key_text(std::string(kMaxTextLength + 1, 'a')); }},
        BadRecord{"kind: ", [](auto& r) { r.set_kind(pb::RECORD_KIND_UNSPECIFIED); }},
        BadRecord{"kind: ", [](auto& r) { r.set_kind(static_cast<pb::RecordKind>(99)); }},
        BadRecord{"op.", [](auto& r) { r.mutable_op()->set_w("int99"); }},
        BadRecord{"op.", [](auto& r) { r.mutable_op()->set_n(-1); }},
        BadRecord{"op.", [](auto& r) { r.mutable_op()->set_group(7); }},
        BadRecord{"op.a: ", [](auto& r) { r.mutable_op()->set_a(std::string(kMaxNameLength + 1, 'a')); }},
        BadRecord{"op.m: ", [](auto& r) { for (int i = 0; i <= kMaxMRanges; ++i) r.mutable_op()->add_m(); }},
        BadRecord{"op_text: ", [](auto& r) { r.set_op_text("matmul of something else"); }},
        BadRecord{"m: ", [](auto& r) { r.set_m(0); }}, BadRecord{"m: ", [](auto& r) { r.set_m(int64_t{1} << 40); }},
        BadRecord{"target: ", [](auto& r) { r.set_target("a toaster"); }},
        BadRecord{"target: ", [](auto& r) { r.set_target(std::string(kMaxTextLength + 1, 'a')); }},
        BadRecord{"environment.compiler: ",
                  [](auto& r) { r.mutable_environment()->set_compiler(std::string(kMaxTextLength + 1, 'a')); }},
        BadRecord{"ranked: ", [](auto& r) { r.clear_ranked(); }},
        BadRecord{"ranked: ", [](auto& r) { for (int i = 0; i <= kMaxRankedKernels; ++i) r.add_ranked(); }},
        BadRecord{"ranked[0].blob_sha256: ", [](auto& r) { r.mutable_ranked(0)->clear_blob_sha256(); }},
        BadRecord{"ranked[0].blob_sha256: ", [](auto& r) { r.mutable_ranked(0)->set_blob_sha256("../etc/passwd"); }},
        BadRecord{"ranked[0].artifact_key: ", [](auto& r) { r.mutable_ranked(0)->set_artifact_key("zz"); }},
        BadRecord{"ranked[0].schedule_revision: ", [](auto& r) { r.mutable_ranked(0)->set_schedule_revision(-1); }},
        BadRecord{"ranked[1].candidate.schedule: ",
                  [](auto& r) { r.mutable_ranked(1)->mutable_candidate()->set_schedule("a b"); }},
        BadRecord{"ranked[1].candidate.parameters[0].name: ",
                  [](auto& r) { r.mutable_ranked(1)->mutable_candidate()->mutable_parameters(0)->set_name(""); }},
        BadRecord{"ranked[1].candidate.parameters: ",
                  [](auto& r) { for (int i = 0; i < 65; ++i) r.mutable_ranked(1)->mutable_candidate()->add_parameters(); }},
        BadRecord{"ranked[1].predicted_us: ", [](auto& r) { r.mutable_ranked(1)->set_predicted_us(kNan); }},
        BadRecord{"ranked[0].worst_ratio: ", [](auto& r) { r.mutable_ranked(0)->set_worst_ratio(kInf); }},
        BadRecord{"ranked[0].measurement.median_us: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_measurement()->set_median_us(-1); }},
        BadRecord{"ranked[0].measurement.repeats: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_measurement()->set_repeats(-1); }},
        BadRecord{"ranked[0].launch.entry: ", [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_entry("a;b"); }},
        BadRecord{"ranked[0].launch.entry: ", [](auto& r) { r.mutable_ranked(0)->clear_launch(); }},
        BadRecord{"ranked[0].launch.threads: ", [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_threads(0); }},
        BadRecord{"ranked[0].launch.threads: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_threads(2048); }},
        BadRecord{"ranked[0].launch.cluster: ", [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_cluster(0); }},
        BadRecord{"ranked[0].launch.shared_bytes: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_shared_bytes(-1); }},
        BadRecord{"ranked[0].launch.m_tile: ", [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_m_tile(0); }},
        BadRecord{"ranked[0].launch.blocks_per_m_tile: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_blocks_per_m_tile(0); }},
        BadRecord{"ranked[0].launch.max_blocks: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_max_blocks(-1); }},
        BadRecord{"ranked[0].launch.max_m: ", [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_max_m(0); }},
        BadRecord{"ranked[0].launch.workspace_bytes_per_m_tile: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->set_workspace_bytes_per_m_tile(1ll << 62); }},
        BadRecord{"ranked[0].launch.tensor_maps[0].operand: ",
                  [](auto& r) {
                    r.mutable_ranked(0)->mutable_launch()->mutable_tensor_maps(0)->set_operand(
                        static_cast<pb::TensorOperand>(9));
                  }},
        BadRecord{"ranked[0].launch.tensor_maps[1].box_rows: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->mutable_tensor_maps(1)->set_box_rows(257); }},
        BadRecord{"ranked[0].launch.tensor_maps[1].swizzle_bytes: ",
                  [](auto& r) { r.mutable_ranked(0)->mutable_launch()->mutable_tensor_maps(1)->set_swizzle_bytes(48); }},
        BadRecord{"ranked[0].launch.tensor_maps: ",
                  [](auto& r) {
                    for (int i = 0; i <= kMaxTensorMaps; ++i) r.mutable_ranked(0)->mutable_launch()->add_tensor_maps();
                  }},
        BadRecord{"trace.candidates[2].status: ",
                  [](auto& r) {
                    r.mutable_trace()->mutable_candidates(2)->set_status(static_cast<pb::CandidateStatus>(42));
                  }},
        BadRecord{"trace.candidates[0].candidate.schedule: ",
                  [](auto& r) { r.mutable_trace()->mutable_candidates(0)->clear_candidate(); }},
        BadRecord{"trace.candidates[0].reason: ",
                  [](auto& r) {
                    r.mutable_trace()->mutable_candidates(0)->set_reason(std::string(kMaxTextLength + 1, 'r'));
                  }},
        BadRecord{"trace.waited_ms: ", [](auto& r) { r.mutable_trace()->set_waited_ms(-1); }},
        BadRecord{"trace.disturbance: ",
                  [](auto& r) { r.mutable_trace()->set_disturbance(std::string(kMaxTextLength + 1, 'd')); }},
        BadRecord{"trace.total_ms: ", [](auto& r) { r.mutable_trace()->set_total_ms(kNan); }},
        BadRecord{"created_unix: ", [](auto& r) { r.set_created_unix(-5); }}));

TEST(ProtoConvertTest, WrongKernelsMayHaveNoNorm) {
  pb::TuningRecord message = ToProto(SampleRecord(8192, 16, SampleBinary(1)), TraceMode::kWithTrace);
  message.mutable_trace()->mutable_candidates(1)->set_worst_ratio(kInf);
  message.mutable_trace()->mutable_candidates(1)->set_relative_norm(kNan);
  EXPECT_TRUE(FromProto(message).ok());
}

TEST(ProtoConvertTest, DamagedBytesNeverCrash) {
  const std::string wire = Wire(SampleRecord(8192, 16, SampleBinary(1)));
  int accepted = 0;
  for (size_t bit = 0; bit < wire.size() * 8; ++bit) {
    std::string damaged = wire;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    pb::TuningRecord message;
    if (message.ParseFromString(damaged)) accepted += FromProto(message).ok();
  }
  EXPECT_GT(accepted, 0);  // a flip in a time stamp is still a record; digests catch those
}

}  // namespace
}  // namespace ladder
