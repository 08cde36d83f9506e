#include "client/tools/operator_input.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/tools/weight_type_input.h"

namespace ladder::tools {
namespace {

using nlohmann::json;
namespace pb = tune::v1;

// Collects M ranges from a number, a text, or a list of them. The error names only the value.
absl::Status AddM(const json& value, pb::OperatorDescriptor& op) {
  if (value.is_array()) {
    for (const json& element : value) {
      if (element.is_array()) return absl::InvalidArgumentError("m: a list in a list");
      if (absl::Status status = AddM(element, op); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  if (!value.is_string() && !value.is_number_integer()) {
    return absl::InvalidArgumentError(
        absl::StrCat("m: ", value.dump(), " is neither a number nor a text such as \"1..4096\""));
  }
  absl::StatusOr<std::vector<pb::MRange>> ranges =
      ParseMList(value.is_string() ? value.get<std::string>() : value.dump());
  if (!ranges.ok()) return ranges.status();
  for (const pb::MRange& range : *ranges) *op.add_m() = range;
  return absl::OkStatus();
}

absl::Status SetText(const json& value, absl::string_view key, std::string* field) {
  if (!value.is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": must be a text, not ", value.dump()));
  }
  *field = value.get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Integer(const json& value, absl::string_view key) {
  if (!value.is_number_integer()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": must be a whole number, not ", value.dump()));
  }
  return value.get<int64_t>();
}

// A name, "@FILE", or a weight type's object.
absl::Status SetWeightField(const json& value, pb::OperatorDescriptor& op) {
  if (value.is_object()) {
    const absl::Status status = SetWeightType(value, op);
    return status.ok() ? status : absl::InvalidArgumentError(absl::StrCat("w: ", status.message()));
  }
  std::string text;
  if (absl::Status status = SetText(value, "w", &text); !status.ok()) return status;
  return SetWeight(text, op);
}

absl::Status SetField(const std::string& key, const json& value, pb::OperatorDescriptor& op) {
  if (key == "op") return SetText(value, key, op.mutable_op());
  if (key == "a") return SetText(value, key, op.mutable_a());
  if (key == "a_scale") return SetText(value, key, op.mutable_a_scale());
  if (key == "scale") return SetText(value, key, op.mutable_scale());
  if (key == "zeros") return SetText(value, key, op.mutable_zeros());
  if (key == "out") return SetText(value, key, op.mutable_out());
  if (key == "m") return AddM(value, op);
  if (key == "act") return SetText(value, key, op.mutable_act());
  if (key == "bias" || key == "tensor_scale" || key == "output_scale" || key == "residual") {
    if (!value.is_boolean()) return absl::InvalidArgumentError(absl::StrCat(key, ": must be true or false"));
    if (key == "bias") op.set_bias(value.get<bool>());
    if (key == "tensor_scale") op.set_tensor_scale(value.get<bool>());
    if (key == "output_scale") op.set_output_scale(value.get<bool>());
    if (key == "residual") op.set_residual(value.get<bool>());
    return absl::OkStatus();
  }
  if (key != "n" && key != "k" && key != "group") {
    return absl::InvalidArgumentError(
        absl::StrCat(key,
                     ": unknown key; known: op, a, a_scale, w, group, zeros, scale, tensor_scale, out, bias, act, "
                     "output_scale, residual, n, k, m"));
  }
  const absl::StatusOr<int64_t> number = Integer(value, key);
  if (!number.ok()) return number.status();
  if (key == "n") op.set_n(*number);
  if (key == "k") op.set_k(*number);
  if (key == "group") op.set_group(*number);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<pb::MRange>> ParseMList(absl::string_view text) {
  std::vector<pb::MRange> ranges;
  for (absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(piece, absl::MaxSplits("..", 1));
    int64_t first = 0, last = 0;
    if (!absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last)) {
      return absl::InvalidArgumentError(
          absl::StrCat("m: \"", piece, "\" is neither a number nor a range such as 1..4096"));
    }
    ranges.emplace_back();
    ranges.back().set_first(first);
    ranges.back().set_last(last);
  }
  return ranges;
}

absl::StatusOr<std::vector<pb::OperatorDescriptor>> ReadOperators(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("--ops: ", path, " can't be read; give a JSON file with operators"));
  }
  const json document = json::parse(text.str(), nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
  if (document.is_discarded()) return absl::InvalidArgumentError(absl::StrCat("--ops: ", path, " is not JSON"));
  const json list = document.is_array() ? document : json::array({document});
  if (list.empty()) return absl::InvalidArgumentError(absl::StrCat("--ops: ", path, " lists no operator"));
  std::vector<pb::OperatorDescriptor> operators;
  for (const json& object : list) {
    const std::string place = absl::StrCat("--ops: ", path, ": operator ", operators.size() + 1);
    if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(place, " is not a JSON object"));
    pb::OperatorDescriptor op;
    op.set_op("matmul");
    absl::Status status;
    for (const auto& [key, value] : object.items()) {
      if (key != "w") status.Update(SetField(key, value, op));
    }
    // Last, since a weight type's scales give way to the operator's own.
    if (object.contains("w")) status.Update(SetWeightField(object["w"], op));
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(place, ": ", status.message()));
    operators.push_back(op);
  }
  return operators;
}

absl::StatusOr<absl::Duration> ParseTime(absl::string_view option, absl::string_view text) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(absl::StrCat(option, ": \"", text, "\" is not a time; write 10s, 500ms or 2m"));
  }
  if (duration < absl::Milliseconds(1) || duration > absl::Hours(24)) {
    return absl::InvalidArgumentError(absl::StrCat(option, ": must be from 1ms to 24h, not ", text));
  }
  return duration;
}

std::string Describe(const pb::OperatorDescriptor& op) {
  std::string text = op.op().empty() ? "matmul" : op.op();
  const auto field = [&](absl::string_view name, absl::string_view value) {
    if (!value.empty()) absl::StrAppend(&text, " ", name, "=", value);
  };
  field("a", op.a());
  field("a_scale", op.a_scale() == "none" ? "" : op.a_scale());
  field("w", op.w());
  field("scale", op.scale());
  if (op.tensor_scale()) text += " tensor_scale";
  if (op.has_group()) absl::StrAppend(&text, " group=", op.group());
  field("zeros", op.zeros() == "none" ? "" : op.zeros());
  field("out", op.out());
  if (op.bias()) text += " bias";
  field("act", op.act() == "none" ? "" : op.act());
  if (op.output_scale()) text += " output_scale";
  if (op.residual()) text += " residual";
  absl::StrAppend(&text, " n=", op.n(), " k=", op.k());
  return text;
}

std::string Describe(const pb::Candidate& candidate) {
  return absl::StrCat(candidate.schedule(), "(",
                      absl::StrJoin(candidate.parameters(), ",",
                                    [](std::string* out, const pb::Candidate::Parameter& parameter) {
                                      absl::StrAppend(out, parameter.name(), "=", parameter.value());
                                    }),
                      ")");
}

}  // namespace ladder::tools
