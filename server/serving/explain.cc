#include "server/serving/explain.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/convert/proto_convert.h"
#include "server/serving/lookup.h"
#include "server/serving/machines.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr int kMaxEntries = 1000;

// tag -> value of "tag=length:value" lines; of an operator's text ("matmul a=fp16 w=int4 ..."), each word is a field of
// its own. A value may hold a newline; then its later lines have no tag of their own and are left out, which a
// comparison for people can bear.
std::map<std::string, std::string> Fields(const std::string& text) {
  std::map<std::string, std::string> fields;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t equals = line.find('=');
    const size_t colon = line.find(':');
    if (equals == absl::string_view::npos || colon == absl::string_view::npos || colon < equals) continue;
    const absl::string_view tag = line.substr(0, equals);
    const absl::string_view value = line.substr(colon + 1);
    if (tag != "operator") {
      fields[std::string(tag)] = std::string(value);
      continue;
    }
    for (const absl::string_view word : absl::StrSplit(value, ' ')) {
      const std::pair<absl::string_view, absl::string_view> part = absl::StrSplit(word, absl::MaxSplits('=', 1));
      fields[std::string(part.second.empty() ? tag : part.first)] =
          std::string(part.second.empty() ? part.first : part.second);
    }
  }
  return fields;
}

std::vector<std::string> Differences(const std::string& wanted, const std::string& stored) {
  const std::map<std::string, std::string> a = Fields(wanted);
  const std::map<std::string, std::string> b = Fields(stored);
  std::set<std::string> tags;
  for (const auto& [tag, value] : a) tags.insert(tag);
  for (const auto& [tag, value] : b) tags.insert(tag);
  std::vector<std::string> differing;
  for (const std::string& tag : tags) {
    const std::string left = a.contains(tag) ? a.at(tag) : "absent";
    const std::string right = b.contains(tag) ? b.at(tag) : "absent";
    if (left != right) differing.push_back(absl::StrCat(tag, ": ", left, ", stored is ", right));
  }
  return differing;
}

// The record whose key differs least: of the same operator, or else of any among the first thousand, which is more than
// people tune by hand.
absl::StatusOr<std::optional<TuningRecord>> Nearest(const Serving& serving, const NormalizedOperator& op, int64_t m,
                                                    const std::string& key_text) {
  absl::StatusOr<std::vector<TuningRecord>> near = serving.cache.FindSeeds(op, m);
  if (near.ok() && !near->empty()) return std::move(near->front());
  if (near.ok()) near = serving.cache.FindByPrefix("", kMaxEntries);
  if (!near.ok()) return near.status();
  const auto differences = [&](const TuningRecord& record) { return Differences(key_text, record.key_text).size(); };
  const auto nearest = std::min_element(near->begin(), near->end(), [&](const TuningRecord& a, const TuningRecord& b) {
    return differences(a) < differences(b);
  });
  if (nearest == near->end()) return std::nullopt;
  return std::move(*nearest);
}

std::string Verdict(const Place& place, const TuningRecord& record) {
  if (const absl::Status current = place.service->CheckCurrent(record); !current.ok()) {
    return absl::StrCat("out of date, ", current.message());
  }
  if (record.kind == RecordKind::kSeed)
    return "a ranking made without a GPU: not a kernel, but tried first where there is one";
  if (place.device == nullptr) return "hit";
  const absl::StatusOr<DeviceEnvironment> now = place.device->GetEnvironment();
  if (!now.ok() || now->driver == record.environment.driver) return "hit";
  return absl::StrCat("hit; driver: was ", record.environment.driver, ", is ", now->driver,
                      " (the kernel is the GPU's own code and stays right; its times may be others)");
}

absl::StatusOr<pb::ExplainResponse> ExplainStored(const Serving& serving, const Place& place,
                                                  const std::string& prefix) {
  if (prefix.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return absl::InvalidArgumentError("key: expected the first hexadecimal digits of a key, in lower case");
  }
  absl::StatusOr<std::vector<TuningRecord>> records = serving.cache.FindByPrefix(prefix, kMaxEntries);
  if (!records.ok()) return records.status();
  if (records->empty()) return absl::NotFoundError(absl::StrCat("key: no record's key starts with \"", prefix, "\""));
  pb::ExplainResponse response;
  for (const TuningRecord& record : *records) {
    pb::ExplainResponse::Entry& entry = *response.add_entries();
    entry.set_m(record.m);
    entry.set_key(record.key.digest);
    entry.set_key_text(record.key_text);
    entry.set_verdict(Verdict(place, record));
    *entry.mutable_record() = ToProto(record, TraceMode::kWithTrace);
  }
  return response;
}

absl::Status ExplainBucket(const Serving& serving, const Place& place, const NormalizedOperator& op, int64_t m,
                           pb::ExplainResponse::Entry& entry) {
  const CacheKey key = MakeCacheKey(op, m, place.target);
  entry.set_m(m);
  entry.set_key(key.digest);
  entry.set_key_text(CacheKeyText(op, m, place.target));
  absl::StatusOr<std::optional<TuningRecord>> found = serving.cache.Find(key);
  if (!found.ok()) return found.status();
  if (found->has_value()) {
    entry.set_verdict(Verdict(place, **found));
    *entry.mutable_record() = ToProto(**found, TraceMode::kWithTrace);
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<TuningRecord>> near = Nearest(serving, op, m, entry.key_text());
  if (!near.ok()) return near.status();
  if (!near->has_value()) {
    entry.set_verdict("miss: the cache is empty");
    return absl::OkStatus();
  }
  entry.set_verdict(
      absl::StrCat("miss: the nearest record differs in ", DifferingFields(entry.key_text(), (*near)->key_text)));
  *entry.mutable_record() = ToProto(**near, TraceMode::kWithTrace);
  return absl::OkStatus();
}

}  // namespace

std::string DifferingFields(const std::string& wanted, const std::string& stored) {
  const std::vector<std::string> differing = Differences(wanted, stored);
  return differing.empty() ? "nothing that is told apart here" : absl::StrJoin(differing, "; ");
}

absl::StatusOr<pb::ExplainResponse> Explain(const Serving& serving, const pb::ExplainRequest& request) {
  absl::StatusOr<Place> place = serving.machines.Resolve(request.target());
  if (!request.key().empty()) {
    // Whether a record is current needs some request path, whichever machine this is.
    if (!place.ok()) place = serving.machines.Resolve(Target::Names().front());
    if (!place.ok()) return place.status();
    return ExplainStored(serving, *place, request.key());
  }
  absl::StatusOr<OperatorRequest> op = ReadOperator(request.op());
  if (!op.ok()) return op.status();
  if (!place.ok()) return place.status();
  pb::ExplainResponse response;
  for (const int64_t m : op->m) {
    if (absl::Status status = ExplainBucket(serving, *place, op->op, m, *response.add_entries()); !status.ok()) {
      return status;
    }
  }
  return response;
}

}  // namespace ladder
