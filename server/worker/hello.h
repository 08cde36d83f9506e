// The first frame of a worker: is it of this build?
#ifndef LADDER_SERVER_WORKER_HELLO_H_
#define LADDER_SERVER_WORKER_HELLO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/worker/worker_process.h"

namespace ladder {
namespace worker {
class Hello;
}

// FailedPrecondition if the worker is of another build (its version or its sources differ), Unavailable if it ended
// without a word. An empty `sources_digest` accepts any.
absl::StatusOr<worker::Hello> ReceiveHello(WorkerProcess& process, absl::Duration deadline,
                                           const std::string& sources_digest, const FrameChannel::Watch& watch);

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_HELLO_H_
