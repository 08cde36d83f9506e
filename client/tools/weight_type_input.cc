#include "client/tools/weight_type_input.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ladder::tools {
namespace {

using nlohmann::json;
namespace pb = tune::v1;

absl::Status Bad(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", what));
}

absl::Status Text(const json& value, absl::string_view key, std::string* field) {
  if (!value.is_string()) return Bad(key, absl::StrCat("must be a text, not ", value.dump()));
  *field = value.get<std::string>();
  return absl::OkStatus();
}

// Within 32 bits, which is what the message carries; the service judges the rest.
absl::Status Number(const json& value, absl::string_view key, int32_t* field) {
  if (!value.is_number_integer()) return Bad(key, absl::StrCat("must be a whole number, not ", value.dump()));
  const auto number = value.get<double>();
  if (std::fabs(number) > std::numeric_limits<int32_t>::max())
    return Bad(key, absl::StrCat(value.dump(), " is too large"));
  *field = static_cast<int32_t>(number);
  return absl::OkStatus();
}

absl::Status Truth(const json& value, absl::string_view key, bool* field) {
  if (!value.is_boolean()) return Bad(key, absl::StrCat("must be true or false, not ", value.dump()));
  *field = value.get<bool>();
  return absl::OkStatus();
}

absl::Status AddTable(const json& value, pb::ElementDefinition& element) {
  if (!value.is_array()) return Bad("table", absl::StrCat("must be a list of numbers, not ", value.dump()));
  for (size_t code = 0; code < value.size(); code++) {
    const std::string place = absl::StrCat("table[", code, "]");
    if (!value[code].is_number()) return Bad(place, absl::StrCat("must be a number, not ", value[code].dump()));
    const auto number = value[code].get<double>();
    if (std::fabs(number) > std::numeric_limits<float>::max()) {
      return Bad(place, absl::StrCat(value[code].dump(), " is beyond fp32"));
    }
    element.add_table(static_cast<float>(number));
  }
  return absl::OkStatus();
}

absl::Status AddLayout(const json& object, pb::ElementDefinition& element) {
  if (!object.is_object()) return Bad("float", absl::StrCat("must be an object, not ", object.dump()));
  pb::FloatLayout& layout = *element.mutable_layout();
  for (const auto& [key, value] : object.items()) {
    const std::string place = absl::StrCat("float.", key);
    absl::Status status;
    int32_t number = 0;
    bool truth = false;
    if (key == "exponent_bits") {
      status = Number(value, place, &number);
      layout.set_exponent_bits(number);
    } else if (key == "mantissa_bits") {
      status = Number(value, place, &number);
      layout.set_mantissa_bits(number);
    } else if (key == "bias") {
      status = Number(value, place, &number);
      layout.set_bias(number);
    } else if (key == "specials") {
      status = Text(value, place, layout.mutable_specials());
    } else if (key == "unsigned") {
      status = Truth(value, place, &truth);
      layout.set_is_unsigned(truth);
    } else {
      return Bad(place, "unknown key; known: exponent_bits, mantissa_bits, bias, specials, unsigned");
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// The scales, each unless the operator says its own.
absl::Status SetScaleField(const std::string& key, const json& value, pb::OperatorDescriptor& op) {
  std::string text;
  int32_t number = 0;
  bool truth = false;
  if (key == "group") {
    if (absl::Status status = Number(value, key, &number); !status.ok()) return status;
    if (!op.has_group()) op.set_group(number);
  } else if (key == "tensor_scale") {
    if (absl::Status status = Truth(value, key, &truth); !status.ok()) return status;
    op.set_tensor_scale(op.tensor_scale() || truth);
  } else {
    if (absl::Status status = Text(value, key, &text); !status.ok()) return status;
    std::string& field = key == "scale" ? *op.mutable_scale() : *op.mutable_zeros();
    if (field.empty()) field = text;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SetWeightType(const json& object, pb::OperatorDescriptor& op) {
  if (!object.is_object()) return Bad("w", absl::StrCat("a weight type must be an object, not ", object.dump()));
  const size_t elements = object.count("table") + object.count("float") + object.count("element");
  if (elements != 1) return Bad("element", "exactly one of table, float and element must be given");
  if (object.contains("table") && !object.contains("bits"))
    return Bad("bits", "missing; a table of 2^bits values needs it");
  if (object.contains("element") && object.contains("bits"))
    return Bad("bits", "given beside element, which has its own");
  pb::ElementDefinition element;
  std::string name = "user-defined";
  for (const auto& [key, value] : object.items()) {
    absl::Status status;
    int32_t bits = 0;
    if (key == "name") {
      status = Text(value, key, &name);
    } else if (key == "bits") {
      status = Number(value, key, &bits);
      element.set_bits(bits);
    } else if (key == "table") {
      status = AddTable(value, element);
    } else if (key == "float") {
      status = AddLayout(value, element);
    } else if (key == "element") {
      std::string built_in;
      status = Text(value, key, &built_in);
      op.set_w(built_in);
    } else if (key == "scale" || key == "zeros" || key == "group" || key == "tensor_scale") {
      status = SetScaleField(key, value, op);
    } else {
      return Bad(key, "unknown key; known: name, bits, table, float, element, scale, group, tensor_scale, zeros");
    }
    if (!status.ok()) return status;
  }
  if (object.contains("element")) return absl::OkStatus();
  op.set_w(name);
  *op.mutable_element() = element;
  return absl::OkStatus();
}

absl::Status SetWeight(absl::string_view text, pb::OperatorDescriptor& op) {
  if (!absl::ConsumePrefix(&text, "@")) {
    op.set_w(std::string(text));
    return absl::OkStatus();
  }
  const std::string path(text);
  std::ifstream file(path);
  std::stringstream content;
  if (!file || !(content << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("w: ", path, " can't be read; give a JSON file with a weight type"));
  }
  const json document = json::parse(content.str(), nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
  if (document.is_discarded()) return absl::InvalidArgumentError(absl::StrCat("w: ", path, " is not JSON"));
  const absl::Status status = SetWeightType(document, op);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat("w: ", path, ": ", status.message()));
}

}  // namespace ladder::tools
