// What the tools' exit statuses mean, and how errors are put to people.
#ifndef LADDER_CLIENT_TOOLS_EXIT_STATUS_H_
#define LADDER_CLIENT_TOOLS_EXIT_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace ladder::tools {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;    // tried, and failed
inline constexpr int kExitBadInput = 2;  // an option, a file or an operator that makes no sense or that nothing serves
inline constexpr int kExitMissing =
    3;  // something is missing or taken: a compiler, a GPU, the service, the cache, space

// For --help.
inline constexpr char kExitStatusHelp[] =
    "Exit status: 0 done; 1 tried and failed; 2 bad input (an option, a file or an operator that nothing serves); 3 "
    "something "
    "is missing or taken (a compiler, a GPU, the service, the cache, space on the disk).";

int ExitStatus(const absl::Status& status);

// "ladder-tune: --group: must be ...": the message with the field that it blames as the option that sets it.
std::string ErrorText(const std::string& program, const absl::Status& status);

// Prints ErrorText to stderr and returns ExitStatus.
int Fail(const std::string& program, const absl::Status& status);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_EXIT_STATUS_H_
