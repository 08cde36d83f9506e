#include "server/grpc/call_status.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/serving/retry.h"

namespace ladder {

namespace {

// gRPC clients refuse metadata beyond 8 KiB and then tell neither code nor message; the message and the detail travel
// there, encoded.
constexpr size_t kMaxMessage = 2048;
constexpr size_t kMaxReason = 1024;

std::string Shortened(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;  // whole characters only
  return absl::StrCat(text.substr(0, limit), " ...");
}

}  // namespace

std::string BlamedField(const std::string& message) {
  const size_t colon = message.find(": ");
  if (colon == std::string::npos || colon == 0 || colon > 64) return "";
  const std::string field = message.substr(0, colon);
  const bool is_name = std::all_of(field.begin(), field.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '[' || c == ']';
  });
  return is_name ? field : "";
}

grpc::Status ToCallStatus(const absl::Status& status, grpc::CallbackServerContext& context) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = Shortened(status.message(), kMaxMessage);
  tune::v1::ErrorDetail detail;
  detail.set_field(BlamedField(message));
  detail.set_reason(
      Shortened(detail.field().empty() ? message : message.substr(detail.field().size() + 2), kMaxReason));
  if (const auto delay = RetryDelay(status)) {
    detail.set_retry_after_ms(absl::ToInt64Milliseconds(*delay));
  } else if (absl::IsResourceExhausted(status) || absl::IsUnavailable(status)) {
    detail.set_retry_after_ms(1000);
  }
  context.AddTrailingMetadata("ladder-error-detail-bin", detail.SerializeAsString());
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

}  // namespace ladder
