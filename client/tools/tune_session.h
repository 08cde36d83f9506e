// ladder-tune's work: asks the service to tune, shows progress, compares.
#ifndef LADDER_CLIENT_TOOLS_TUNE_SESSION_H_
#define LADDER_CLIENT_TOOLS_TUNE_SESSION_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tools/progress_line.h"
#include "client/tools/tune_report.h"
#include "ladder/tune/v1/service.grpc.pb.h"

namespace ladder::tools {

class TuneSession {
 public:
  TuneSession(const std::shared_ptr<grpc::Channel>& channel, ProgressLine& progress)
      : tuner_(tune::v1::Tuner::NewStub(channel)), progress_(progress) {}

  absl::StatusOr<tune::v1::DescribeResponse> Describe();
  // Runs to the end. What was tuned before an error is in the result, with the error.
  TunedOperator Tune(const tune::v1::TuneRequest& request);
  // Adds the vendor library's times to a tuned operator's rows. An error if none could be had at all.
  absl::Status Compare(TunedOperator& tuned, bool share_gpu);
  absl::StatusOr<tune::v1::PlanResponse> Plan(const tune::v1::OperatorDescriptor& op, const std::string& target);
  absl::StatusOr<tune::v1::ListTunesResponse> ListTunes();

 private:
  std::unique_ptr<tune::v1::Tuner::Stub> tuner_;
  ProgressLine& progress_;
};

// "nf4 8192x8192 M=16: verify 3/16, 1 rejected, best 8.41 us decode(...), 2 s left".
std::string ProgressText(const tune::v1::OperatorDescriptor& op, const tune::v1::TuneProgress& progress);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_TUNE_SESSION_H_
