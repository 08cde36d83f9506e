#include "server/serving/lookup.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/convert/proto_convert.h"
#include "server/serving/tune_registry.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

bool IsKernel(const TuningRecord& record) {
  return (record.kind == RecordKind::kMeasured || record.kind == RecordKind::kFast) && !record.ranked.empty() &&
         !record.winner().blob_sha256.empty();
}

// A record that is no answer by itself, but says what to try first.
void FillHint(const TuningRecord& record, pb::MatchQuality match, const std::string& reason, bool with_trace,
              pb::LookupResult& out) {
  *out.mutable_record() = ToProto(record, with_trace ? TraceMode::kWithTrace : TraceMode::kWithoutTrace);
  // Only an exact match may be launched, so only that says where its binary is.
  for (pb::RankedKernel& kernel : *out.mutable_record()->mutable_ranked()) kernel.clear_blob_sha256();
  out.set_match(match);
  out.set_miss_reason(reason);
}

absl::Status ExplainMiss(const Serving& serving, const Place& place, const OperatorRequest& op, int64_t m,
                         bool with_trace, pb::LookupResult& out) {
  absl::StatusOr<std::optional<TuningRecord>> stale = serving.cache.Find(MakeCacheKey(op.op, m, place.target));
  if (!stale.ok()) return stale.status();
  if (stale->has_value()) {
    const absl::Status current = place.service->CheckCurrent(**stale);
    const std::string reason = current.ok() ? "only a ranking made without a GPU is stored"
                                            : absl::StrCat("the stored record is out of date: ", current.message());
    FillHint(**stale, pb::MATCH_COMPATIBLE_ENV, reason, with_trace, out);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<TuningRecord>> near = serving.cache.FindSeeds(op.op, m);
  if (!near.ok()) return near.status();
  if (near->empty()) {
    out.set_miss_reason("nothing is stored for this operator");
    return absl::OkStatus();
  }
  const TuningRecord& record = near->front();
  if (record.m == m) {
    FillHint(record, pb::MATCH_SIBLING_DEVICE, absl::StrCat("stored for ", record.target.model, " only"), with_trace,
             out);
  } else {
    FillHint(record, pb::MATCH_NEAREST_SHAPE, absl::StrCat("stored for M = ", record.m, " only"), with_trace, out);
  }
  return absl::OkStatus();
}

absl::Status LookUpBucket(const Serving& serving, const Place& place, const OperatorRequest& op, int64_t m,
                          const pb::LookupRequest& request, pb::LookupResult& out) {
  out.set_m(m);
  absl::StatusOr<std::shared_ptr<const TuningRecord>> found = place.service->LookUpShared(op.op, m, place.target);
  if (!found.ok()) return found.status();
  if (*found != nullptr && request.at_generation() != 0 && (*found)->generation > request.at_generation()) {
    absl::StatusOr<std::optional<TuningRecord>> former = serving.cache.FindAt((*found)->key, request.at_generation());
    if (!former.ok()) return former.status();
    if (!former->has_value()) {
      out.set_miss_reason(absl::StrCat("nothing was stored at generation ", request.at_generation()));
      return absl::OkStatus();
    }
    // What was current then need not be: sources or the compiler may have changed since.
    if (const absl::Status current = place.service->CheckCurrent(**former); !current.ok()) {
      out.set_miss_reason(absl::StrCat("what was stored at generation ", request.at_generation(),
                                       " is out of date: ", current.message()));
      return absl::OkStatus();
    }
    found = std::make_shared<const TuningRecord>(**std::move(former));
  }
  if (*found != nullptr && IsKernel(**found)) {
    FillResult(**found, request.with_trace(), out);
    return absl::OkStatus();
  }
  return ExplainMiss(serving, place, op, m, request.with_trace(), out);
}

absl::StatusOr<pb::LookupResponse> LookUpAt(const Serving& serving, const Place& place, const OperatorRequest& op,
                                            const pb::LookupRequest& request) {
  pb::LookupResponse response;
  // Before the records: a generation told must not be newer than what was looked at.
  response.set_generation(serving.cache.Generation());
  for (const int64_t m : op.m) {
    if (absl::Status status = LookUpBucket(serving, place, op, m, request, *response.add_results()); !status.ok()) {
      return status;
    }
  }
  return response;
}

std::vector<int64_t> Missing(const pb::LookupResponse& response) {
  std::vector<int64_t> missing;
  for (const pb::LookupResult& result : response.results()) {
    if (result.match() != pb::MATCH_EXACT) missing.push_back(result.m());
  }
  return missing;
}

// Whether tuning could still find something better than what is answered.
bool WantsTune(const pb::LookupResponse& response) {
  return std::any_of(response.results().begin(), response.results().end(), [](const pb::LookupResult& result) {
    return result.match() != pb::MATCH_EXACT || result.record().kind() == pb::RECORD_KIND_FAST;
  });
}

// Of all the buckets, so that everyone who asks meanwhile means the same tune; those that are there are hits.
TuneSpec BackgroundSpec(const Serving& serving, const OperatorRequest& op, const std::string& target) {
  TuneSpec spec{op.op, op.m, target, {}};
  spec.options.candidates = serving.config.tuning_candidates;
  spec.options.finalists = serving.config.tuning_finalists;
  spec.options.budget = serving.config.tuning_budget;
  // Who looks up is about to serve on that GPU: it asks for a tune beside itself, within the duty limit.
  spec.options.share_gpu = serving.config.tuning_share_gpu != "never";
  spec.options.share_duty_percent = serving.config.tuning_share_duty_percent;
  return spec;
}

// Makes the missing buckets at both ends: a decode and a prefill kernel serve every M until the tune is done.
absl::Status MakeFast(const Place& place, const OperatorRequest& op, bool with_trace,
                      const std::vector<int64_t>& missing, pb::LookupResponse& response) {
  for (pb::LookupResult& result : *response.mutable_results()) {
    if (result.m() != missing.front() && result.m() != missing.back()) continue;
    absl::StatusOr<Acquired> acquired = place.service->AcquireFast(op.op, result.m(), place.target);
    if (!acquired.ok()) return acquired.status();
    result.Clear();
    result.set_m(acquired->record.m);
    FillResult(acquired->record, with_trace, result);
  }
  return absl::OkStatus();
}

void NoteOnMisses(const std::string& note, pb::LookupResponse& response) {
  for (pb::LookupResult& result : *response.mutable_results()) {
    if (result.match() != pb::MATCH_EXACT) result.set_miss_reason(absl::StrCat(result.miss_reason(), note));
  }
}

}  // namespace

absl::StatusOr<OperatorRequest> ReadOperator(const pb::OperatorDescriptor& message) {
  absl::StatusOr<OperatorDescriptor> descriptor = FromProto(message);
  if (!descriptor.ok()) return descriptor.status();
  absl::StatusOr<NormalizedOperator> op = Normalize(*descriptor);
  if (!op.ok()) return op.status();
  absl::StatusOr<std::vector<int64_t>> m = NormalizeM(descriptor->m);
  if (!m.ok()) return m.status();
  return OperatorRequest{*std::move(op), *std::move(m)};
}

void FillResult(const TuningRecord& record, bool with_trace, pb::LookupResult& out) {
  out.set_m(record.m);
  out.set_match(pb::MATCH_EXACT);
  *out.mutable_record() = ToProto(record, with_trace ? TraceMode::kWithTrace : TraceMode::kToLaunch);
}

absl::StatusOr<std::optional<pb::LookupResponse>> LookUpKnown(const Serving& serving,
                                                              const pb::LookupRequest& request) {
  absl::StatusOr<OperatorRequest> op = ReadOperator(request.op());
  if (!op.ok()) return op.status();
  absl::StatusOr<std::optional<Place>> place = serving.machines.ResolveKnown(request.target());
  if (!place.ok()) return place.status();
  if (!place->has_value()) return std::nullopt;
  absl::StatusOr<pb::LookupResponse> response = LookUpAt(serving, **place, *op, request);
  if (!response.ok()) return response.status();
  return *std::move(response);
}

absl::StatusOr<pb::LookupResponse> LookUpOrMake(const Serving& serving, const pb::LookupRequest& request) {
  absl::StatusOr<OperatorRequest> op = ReadOperator(request.op());
  if (!op.ok()) return op.status();
  absl::StatusOr<Place> place = serving.machines.Resolve(request.target());
  if (!place.ok()) return place.status();
  absl::StatusOr<pb::LookupResponse> response = LookUpAt(serving, *place, *op, request);
  if (!response.ok() || request.on_miss() == pb::ON_MISS_NOT_FOUND) return response;
  // A fast answer of an earlier call is tuned, too: the tune that was to follow it may have been lost in a restart.
  if (!WantsTune(*response)) return response;
  const std::vector<int64_t> missing = Missing(*response);
  // A GPU that is out of service makes nothing; what is stored is answered all the same.
  if (absl::Status status = serving.machines.InService(*place); !status.ok()) {
    NoteOnMisses(absl::StrCat("; it is not being tuned: ", status.message()), *response);
    return response;
  }
  if (request.on_miss() == pb::ON_MISS_FAST && !missing.empty()) {
    if (absl::Status status = MakeFast(*place, *op, request.with_trace(), missing, *response); !status.ok()) {
      return status;
    }
  }
  absl::StatusOr<std::string> tune = serving.tunes.Start(BackgroundSpec(serving, *op, request.target()), true);
  const std::string note = tune.ok() ? absl::StrCat("; tune ", *tune, " is under way")
                                     : absl::StrCat("; it is not being tuned: ", tune.status().message());
  NoteOnMisses(note, *response);
  return response;
}

}  // namespace ladder
