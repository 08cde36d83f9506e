#include "server/worker/hello.h"

#include "absl/strings/str_cat.h"
#include "server/worker/frames.pb.h"

namespace ladder {

absl::StatusOr<worker::Hello> ReceiveHello(WorkerProcess& process, absl::Duration deadline,
                                           const std::string& sources_digest, const FrameChannel::Watch& watch) {
  absl::StatusOr<std::string> frame = process.Receive(deadline, watch);
  if (!frame.ok()) return frame.status();
  worker::Hello hello;
  if (!hello.ParseFromString(*frame)) return absl::UnavailableError("the worker's first frame makes no sense");
  if (hello.ladder_version() != LADDER_VERSION) {
    return absl::FailedPreconditionError(absl::StrCat("the worker program is of version ", hello.ladder_version(),
                                                      ", this one of " LADDER_VERSION "; install both from one build"));
  }
  if (!sources_digest.empty() && hello.sources_digest() != sources_digest) {
    return absl::FailedPreconditionError(
        "the worker program knows other kernel sources than this one; install both from one build");
  }
  return hello;
}

}  // namespace ladder
