#include "server/serving/known_answers.h"

#include <utility>

#include "absl/time/clock.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/serving/machines.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr size_t kCapacityBytes = size_t{16} << 20;  // some 10,000 operators of one bucket

// Traces are long and asked for by people.
bool IsWorthKeeping(const pb::LookupRequest& request, const pb::LookupResponse& response) {
  if (request.on_miss() != pb::ON_MISS_NOT_FOUND || request.with_trace()) return false;
  for (const pb::LookupResult& result : response.results()) {
    if (result.match() != pb::MATCH_EXACT) return false;
  }
  return true;
}

}  // namespace

KnownAnswers::KnownAnswers(const Serving& serving) : serving_(serving), cache_(kCapacityBytes) {}

AnswerBasis KnownAnswers::Basis() const { return {serving_.cache.Changes(), serving_.machines.Changes()}; }

std::shared_ptr<const KnownAnswer> KnownAnswers::Recall(std::string_view request_bytes, const AnswerBasis& basis) {
  std::shared_ptr<const KnownAnswer> answer = cache_.Find(request_bytes, basis);
  if (answer == nullptr) return nullptr;
  serving_.cache.CountHits(answer->records);
  // Eviction goes by days; a second more or less is no matter.
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  if (answer->told_use_s.exchange(now, std::memory_order_relaxed) != now) serving_.cache.NoteUse(answer->binaries);
  return answer;
}

std::shared_ptr<const KnownAnswer> KnownAnswers::Write(std::string_view request_bytes, const AnswerBasis& basis,
                                                       const pb::LookupRequest& request,
                                                       const pb::LookupResponse& response) {
  auto answer = std::make_shared<KnownAnswer>();
  response.SerializeToString(&answer->bytes);
  if (!IsWorthKeeping(request, response)) return answer;
  for (const pb::LookupResult& result : response.results()) {
    answer->binaries.push_back(result.record().ranked(0).blob_sha256());
  }
  answer->records = response.results_size();
  cache_.Insert(request_bytes, basis, answer);
  return answer;
}

}  // namespace ladder
