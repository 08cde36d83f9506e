// Why a look-up hits or misses: the key, its canonical text, and what differs from the nearest record.
#ifndef LADDER_SERVER_SERVING_EXPLAIN_H_
#define LADDER_SERVER_SERVING_EXPLAIN_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/serving/serving.h"

namespace ladder {

namespace tune::v1 {
class ExplainRequest;
class ExplainResponse;
}  // namespace tune::v1

// May ask the GPU first.
absl::StatusOr<tune::v1::ExplainResponse> Explain(const Serving& serving, const tune::v1::ExplainRequest& request);

// The fields in which two canonical texts differ: "arch: sm_90a, stored is sm_80".
std::string DifferingFields(const std::string& wanted, const std::string& stored);

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_EXPLAIN_H_
