// Look-ups: which record, if any, answers an operator at each of its M buckets.
#ifndef LADDER_SERVER_SERVING_LOOKUP_H_
#define LADDER_SERVER_SERVING_LOOKUP_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/operator/operator.h"
#include "server/serving/machines.h"
#include "server/serving/serving.h"

namespace ladder {

namespace tune::v1 {
class LookupRequest;
class LookupResponse;
class LookupResult;
class OperatorDescriptor;
}  // namespace tune::v1

// A request understood: errors name its field ("op.k: ...").
struct OperatorRequest {
  NormalizedOperator op;
  std::vector<int64_t> m;
};
absl::StatusOr<OperatorRequest> ReadOperator(const tune::v1::OperatorDescriptor& message);

// Answers without compiling or waiting. Nothing where the target can only be told by asking the GPU first.
absl::StatusOr<std::optional<tune::v1::LookupResponse>> LookUpKnown(const Serving& serving,
                                                                    const tune::v1::LookupRequest& request);
// The same, asking the GPU first if need be, and doing what on_miss says: FAST makes the first and the last missing
// bucket now, and both FAST and TUNE start a tune in the background unless every bucket has its winner. May take
// seconds.
absl::StatusOr<tune::v1::LookupResponse> LookUpOrMake(const Serving& serving, const tune::v1::LookupRequest& request);

// The result for one record, as a look-up tells it.
void FillResult(const TuningRecord& record, bool with_trace, tune::v1::LookupResult& out);

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_LOOKUP_H_
