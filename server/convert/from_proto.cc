#include <utility>

#include "absl/strings/ascii.h"
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

constexpr int64_t kMaxGrid = (int64_t{1} << 31) - 1;
// Bounded so that ceil(m / m_tile) * bytes cannot overflow for any m up to kMaxDimension.
constexpr int64_t kMaxWorkspaceBytesPerTile = int64_t{1} << 36;
constexpr int64_t kMaxSharedBytes = int64_t{1} << 20;

absl::Status CheckTensorMap(const pb::TensorMapSpec& map) {
  if (map.operand() != pb::TENSOR_OPERAND_X && map.operand() != pb::TENSOR_OPERAND_W &&
      map.operand() != pb::TENSOR_OPERAND_X_TAIL) {
    return Bad("operand", absl::StrCat("unknown value ", static_cast<int>(map.operand())));
  }
  if (absl::Status s = InRange("box_columns", map.box_columns(), 1, 256); !s.ok()) return s;
  if (absl::Status s = InRange("box_rows", map.box_rows(), 1, 256); !s.ok()) return s;
  const int swizzle = map.swizzle_bytes();
  if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128) {
    return Bad("swizzle_bytes", absl::StrCat(swizzle, " is not 0, 32, 64 or 128"));
  }
  return absl::OkStatus();
}

}  // namespace

namespace field_check {

absl::Status Identifier(absl::string_view field, absl::string_view value) {
  if (absl::Status s = AtMost(field, value.size(), kMaxNameLength, "characters"); !s.ok()) return s;
  bool good = !value.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(value[0]));
  for (const char c : value) good = good && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_');
  if (!good) return Bad(field, "is not a name of letters, digits and underscores");
  return absl::OkStatus();
}

}  // namespace field_check

absl::StatusOr<ElementDefinition> FromProto(const pb::ElementDefinition& message) {
  if (absl::Status s = AtMost("table", message.table_size(), kMaxTableValues, "values"); !s.ok()) return s;
  ElementDefinition definition;
  definition.bits = message.bits();
  definition.table.assign(message.table().begin(), message.table().end());
  if (message.has_layout()) {
    const pb::FloatLayout& from = message.layout();
    if (absl::Status s = AtMost("float.specials", from.specials().size(), kMaxNameLength, "characters"); !s.ok()) {
      return s;
    }
    FloatLayout& layout = definition.layout.emplace();
    layout.exponent_bits = from.exponent_bits();
    layout.mantissa_bits = from.mantissa_bits();
    if (from.has_bias()) layout.bias = from.bias();
    layout.specials = from.specials();
    layout.is_unsigned = from.is_unsigned();
  }
  return definition;
}

absl::StatusOr<OperatorDescriptor> FromProto(const pb::OperatorDescriptor& message) {
  for (const auto& [field, text] : {std::pair{"op", &message.op()},
                                    {"a", &message.a()},
                                    {"a_scale", &message.a_scale()},
                                    {"w", &message.w()},
                                    {"scale", &message.scale()},
                                    {"zeros", &message.zeros()},
                                    {"out", &message.out()},
                                    {"act", &message.act()}}) {
    if (absl::Status s = AtMost(field, text->size(), kMaxNameLength, "characters"); !s.ok()) return s;
  }
  if (absl::Status s = AtMost("m", message.m_size(), kMaxMRanges, "ranges"); !s.ok()) return s;
  OperatorDescriptor descriptor;
  if (!message.op().empty()) descriptor.op = message.op();
  if (!message.a().empty()) descriptor.a = message.a();
  if (!message.w().empty()) descriptor.w = message.w();
  descriptor.a_scale = message.a_scale();
  descriptor.scale = message.scale();
  descriptor.zeros = message.zeros();
  descriptor.out = message.out();
  if (message.has_element()) {
    absl::StatusOr<ElementDefinition> element = FromProto(message.element());
    if (!element.ok()) return Within("element", element.status());
    descriptor.element = *std::move(element);
  }
  if (message.has_group()) descriptor.group = message.group();
  descriptor.tensor_scale = message.tensor_scale();
  descriptor.bias = message.bias();
  descriptor.act = message.act();
  descriptor.output_scale = message.output_scale();
  descriptor.residual = message.residual();
  descriptor.n = message.n();
  descriptor.k = message.k();
  for (const pb::MRange& range : message.m()) descriptor.m.push_back({range.first(), range.last()});
  return descriptor;
}

absl::StatusOr<NormalizedOperator> NormalizeProto(const pb::OperatorDescriptor& message) {
  absl::StatusOr<OperatorDescriptor> descriptor = FromProto(message);
  if (!descriptor.ok()) return descriptor.status();
  return Normalize(*descriptor);
}

absl::StatusOr<Candidate> FromProto(const pb::Candidate& message) {
  Candidate candidate;
  if (absl::Status s = field_check::Identifier("schedule", message.schedule()); !s.ok()) return s;
  if (absl::Status s = AtMost("parameters", message.parameters_size(), kMaxCandidateParameters, "parameters");
      !s.ok()) {
    return s;
  }
  candidate.schedule = message.schedule();
  candidate.parameters.reserve(message.parameters_size());
  for (int i = 0; i < message.parameters_size(); ++i) {
    const pb::Candidate::Parameter& parameter = message.parameters(i);
    if (absl::Status s = field_check::Identifier("name", parameter.name()); !s.ok()) return Within("parameters", i, s);
    candidate.parameters.emplace_back(parameter.name(), parameter.value());
  }
  return candidate;
}

absl::StatusOr<LaunchSpec> FromProto(const pb::LaunchSpec& message) {
  const int64_t tile_bytes = message.workspace_bytes_per_m_tile();
  for (absl::Status s :
       {field_check::Identifier("entry", message.entry()), InRange("threads", message.threads(), 1, 1024),
        InRange("cluster", message.cluster(), 1, 16),
        InRange("shared_bytes", message.shared_bytes(), 0, kMaxSharedBytes),
        InRange("m_tile", message.m_tile(), 1, kMaxDimension),
        InRange("blocks_per_m_tile", message.blocks_per_m_tile(), 1, kMaxGrid),
        InRange("max_blocks", message.max_blocks(), 0, kMaxGrid), InRange("max_m", message.max_m(), 1, kMaxGrid),
        InRange("workspace_bytes_per_m_tile", tile_bytes, 0, kMaxWorkspaceBytesPerTile),
        AtMost("tensor_maps", message.tensor_maps_size(), kMaxTensorMaps, "tensor maps")}) {
    if (!s.ok()) return s;
  }
  LaunchSpec launch;
  launch.entry = message.entry();
  launch.threads = message.threads();
  launch.cluster = message.cluster();
  launch.shared_bytes = message.shared_bytes();
  launch.m_tile = message.m_tile();
  launch.blocks_per_m_tile = message.blocks_per_m_tile();
  launch.max_blocks = message.max_blocks();
  launch.max_m = message.max_m();
  launch.workspace_bytes_per_m_tile = tile_bytes;
  launch.dependent_launch = message.dependent_launch();
  for (int i = 0; i < message.tensor_maps_size(); ++i) {
    const pb::TensorMapSpec& map = message.tensor_maps(i);
    if (absl::Status s = CheckTensorMap(map); !s.ok()) return Within("tensor_maps", i, s);
    launch.tensor_maps.push_back(
        {static_cast<TensorOperand>(map.operand()), map.box_columns(), map.box_rows(), map.swizzle_bytes()});
  }
  return launch;
}

absl::StatusOr<Measurement> FromProto(const pb::Measurement& message) {
  for (absl::Status s : {Amount("median_us", message.median_us()), Amount("spread_us", message.spread_us()),
                         InRange("repeats", message.repeats(), 0, 1 << 30), Amount("clock_ghz", message.clock_ghz())}) {
    if (!s.ok()) return s;
  }
  return Measurement{.median_us = message.median_us(),
                     .spread_us = message.spread_us(),
                     .repeats = message.repeats(),
                     .clock_ghz = message.clock_ghz(),
                     .throttled = message.throttled()};
}

absl::StatusOr<Environment> FromProto(const pb::Environment& message) {
  for (const auto& [field, text] : {std::pair{"compiler", &message.compiler()},
                                    {"sources_digest", &message.sources_digest()},
                                    {"driver", &message.driver()},
                                    {"ladder_version", &message.ladder_version()}}) {
    if (absl::Status s = AtMost(field, text->size(), kMaxTextLength, "characters"); !s.ok()) return s;
  }
  return Environment{.compiler = message.compiler(),
                     .sources_digest = message.sources_digest(),
                     .driver = message.driver(),
                     .ladder_version = message.ladder_version()};
}

}  // namespace ladder
