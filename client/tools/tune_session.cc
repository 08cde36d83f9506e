#include "client/tools/tune_session.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/grpc_status.h"
#include "client/tools/text_table.h"

namespace ladder::tools {

namespace pb = tune::v1;
using client::FromGrpc;

absl::StatusOr<pb::DescribeResponse> TuneSession::Describe() {
  grpc::ClientContext context;
  pb::DescribeResponse response;
  if (absl::Status status = FromGrpc(tuner_->Describe(&context, {}, &response)); !status.ok()) return status;
  return response;
}

TunedOperator TuneSession::Tune(const pb::TuneRequest& request) {
  TunedOperator tuned;
  tuned.asked = request.op();
  grpc::ClientContext context;
  const auto reader = tuner_->Tune(&context, request);
  pb::TuneProgress progress;
  while (reader->Read(&progress)) {
    if (progress.has_record()) {
      TunedRow row;
      row.record = std::move(*progress.mutable_record());
      row.cache_hit = progress.cache_hit();
      tuned.rows.push_back(std::move(row));
    } else {
      progress_.Show(ProgressText(request.op(), progress), absl::Now());
    }
  }
  progress_.Clear();
  tuned.error = FromGrpc(reader->Finish());
  if (tuned.error.ok() && tuned.rows.empty()) tuned.error = absl::InternalError("the service tuned nothing");
  std::sort(tuned.rows.begin(), tuned.rows.end(),
            [](const TunedRow& a, const TunedRow& b) { return a.record.m() < b.record.m(); });
  return tuned;
}

absl::Status TuneSession::Compare(TunedOperator& tuned, bool share_gpu) {
  pb::CompareRequest request;
  request.set_share_gpu(share_gpu);
  *request.mutable_op() = tuned.asked;
  for (const char* yardstick : {"cublaslt_fp16", "cublaslt_fp8", "cublaslt_int8"}) request.add_yardsticks(yardstick);
  progress_.Show(absl::StrCat("timing cuBLASLt on ", tuned.asked.n(), " x ", tuned.asked.k()), absl::Now());
  grpc::ClientContext context;
  pb::CompareResponse response;
  absl::Status status = FromGrpc(tuner_->Compare(&context, request, &response));
  progress_.Clear();
  if (!status.ok()) return status;
  bool any = false;
  std::string error;
  for (const pb::CompareResponse::Entry& entry : response.entries()) {
    any |= entry.error().empty();
    if (error.empty()) error = entry.error();
    for (TunedRow& row : tuned.rows) {
      if (row.record.m() == entry.m()) row.yardsticks[entry.yardstick()] = entry;
    }
  }
  return any || error.empty() ? absl::OkStatus() : absl::FailedPreconditionError(error);
}

absl::StatusOr<pb::PlanResponse> TuneSession::Plan(const pb::OperatorDescriptor& op, const std::string& target) {
  grpc::ClientContext context;
  pb::PlanRequest request;
  *request.mutable_op() = op;
  request.set_target(target);
  pb::PlanResponse response;
  if (absl::Status status = FromGrpc(tuner_->Plan(&context, request, &response)); !status.ok()) return status;
  return response;
}

absl::StatusOr<pb::ListTunesResponse> TuneSession::ListTunes() {
  grpc::ClientContext context;
  pb::ListTunesResponse response;
  if (absl::Status status = FromGrpc(tuner_->ListTunes(&context, {}, &response)); !status.ok()) return status;
  return response;
}

std::string ProgressText(const pb::OperatorDescriptor& op, const pb::TuneProgress& progress) {
  std::string text = absl::StrCat(op.w(), " ", op.n(), "x", op.k(), " M=", progress.m(), ": ", progress.phase());
  if (progress.total() > 0) absl::StrAppend(&text, " ", progress.done(), "/", progress.total());
  if (progress.failed() > 0) absl::StrAppend(&text, ", ", progress.failed(), " rejected");
  if (progress.best_us() > 0) absl::StrAppend(&text, ", best ", Digits(progress.best_us()), " us ", progress.best());
  if (progress.eta_ms() > 0) absl::StrAppend(&text, ", ", HumanMilliseconds(progress.eta_ms()), " left");
  return text;
}

}  // namespace ladder::tools
