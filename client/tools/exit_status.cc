#include "client/tools/exit_status.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ladder::tools {

int ExitStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitBadInput;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitMissing;
    default:
      return kExitFailed;
  }
}

std::string ErrorText(const std::string& program, const absl::Status& status) {
  // Fields of a request whose option has another name.
  constexpr std::pair<absl::string_view, absl::string_view> kRenamed[] = {{"options.share_gpu:", "--share-gpu:"},
                                                                          {"share_gpu:", "--share-gpu:"},
                                                                          {"options.share_duty_percent:", "--duty:"}};
  for (const auto& [field, option] : kRenamed) {
    absl::string_view rest = status.message();
    if (absl::ConsumePrefix(&rest, field)) return absl::StrCat(program, ": ", option, rest);
  }
  constexpr absl::string_view kOptions[] = {"op", "a", "w", "scale",  "zeros", "out",      "bias",  "act",
                                            "n",  "k", "m", "target", "group", "quantize", "output"};
  const absl::string_view message = status.message();
  const bool names_option = std::any_of(std::begin(kOptions), std::end(kOptions), [&](absl::string_view option) {
    return absl::StartsWith(message, absl::StrCat(option, ":"));
  });
  return absl::StrCat(program, ": ", names_option ? "--" : "",
                      message.empty() ? absl::StatusCodeToString(status.code()) : std::string(message));
}

int Fail(const std::string& program, const absl::Status& status) {
  std::fprintf(stderr, "%s\n", ErrorText(program, status).c_str());
  return ExitStatus(status);
}

}  // namespace ladder::tools
