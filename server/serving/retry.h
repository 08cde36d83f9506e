// A time to retry, carried along with a status.
#ifndef LADDER_SERVER_SERVING_RETRY_H_
#define LADDER_SERVER_SERVING_RETRY_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace ladder {

absl::Status WithRetry(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_RETRY_H_
