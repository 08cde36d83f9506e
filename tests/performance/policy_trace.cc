#include "tests/performance/policy_trace.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

using Json = nlohmann::ordered_json;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("policy trace: ", what)); }

Json ToJson(const OperatorTrace& trace) {
  const OperatorDescriptor d = trace.op.ToDescriptor();
  Json json = {{"a", d.a}, {"w", d.w}, {"scale", d.scale}, {"zeros", d.zeros}};
  if (d.group.has_value()) json["group"] = *d.group;
  json["out"] = d.out, json["bias"] = d.bias, json["n"] = d.n, json["k"] = d.k, json["m"] = trace.m;
  json["times"] = Json::array();
  for (const TimedCandidate& timed : trace.times) {
    // Three places, which is finer than a measurement repeats.
    json["times"].push_back(Json::array({timed.candidate.ToString(), std::round(timed.us * 1000) / 1000}));
  }
  return json;
}

absl::StatusOr<OperatorTrace> FromJson(const Json& json) {
  OperatorDescriptor d;
  d.a = json.at("a"), d.w = json.at("w"), d.scale = json.at("scale"), d.zeros = json.at("zeros");
  if (json.contains("group")) d.group = json.at("group").get<int64_t>();
  d.out = json.at("out"), d.bias = json.at("bias"), d.n = json.at("n"), d.k = json.at("k");
  const absl::StatusOr<NormalizedOperator> op = Normalize(d);
  if (!op.ok()) return Bad(op.status().message());
  OperatorTrace trace = {*op, json.at("m"), {}};
  if (trace.m < 1) return Bad("m must be positive");
  for (const Json& timed : json.at("times")) {
    absl::StatusOr<Candidate> candidate = Candidate::Parse(timed.at(0).get<std::string>());
    if (!candidate.ok()) return Bad(candidate.status().message());
    const double us = timed.at(1);
    if (!(us > 0)) return Bad(absl::StrCat("the time of ", candidate->ToString(), " must be positive"));
    trace.times.push_back({*std::move(candidate), us});
  }
  return trace;
}

}  // namespace

std::string FormatOperator(const OperatorTrace& trace) { return ToJson(trace).dump(); }

absl::StatusOr<OperatorTrace> ParseOperator(const std::string& text) {
  try {
    return FromJson(Json::parse(text));
  } catch (const Json::exception& error) {
    return Bad(error.what());
  }
}

std::string FormatTrace(const PolicyTrace& trace) {
  const Json head = {{"gpu", trace.gpu},
                     {"date", trace.date},
                     {"schedules_digest", trace.schedules_digest},
                     {"target", trace.target.ToString()}};
  std::string text = head.dump();
  text.pop_back();  // the brace, to come after the operators
  absl::StrAppend(&text, ",\n\"operators\":[");
  const char* separator = "\n";
  for (const OperatorTrace& op : trace.operators) {
    absl::StrAppend(&text, separator, FormatOperator(op));
    separator = ",\n";
  }
  return text + "\n]}\n";
}

absl::StatusOr<PolicyTrace> ParseTrace(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    PolicyTrace trace = {json.at("gpu"), json.at("date"), json.at("schedules_digest"), {}, {}};
    const absl::StatusOr<Target> target = Target::Parse(json.at("target").get<std::string>());
    if (!target.ok()) return Bad(target.status().message());
    trace.target = *target;
    for (const Json& op : json.at("operators")) {
      absl::StatusOr<OperatorTrace> parsed = FromJson(op);
      if (!parsed.ok()) return parsed.status();
      trace.operators.push_back(*std::move(parsed));
    }
    return trace;
  } catch (const Json::exception& error) {
    return Bad(error.what());
  }
}

}  // namespace ladder
