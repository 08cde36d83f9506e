// What a compiler's log says about a kernel.
#ifndef LADDER_CORE_BACKEND_COMPILE_LOG_H_
#define LADDER_CORE_BACKEND_COMPILE_LOG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ladder {

struct CompileResources {
  int registers = 0;
  int64_t spill_bytes = 0;  // stores + loads
  int64_t local_bytes = 0;
  int64_t static_shared_bytes = 0;
};

// Figures of `ptxas -v` for one entry; the largest of all entries if the log has no such entry.
CompileResources ParsePtxasLog(absl::string_view log, absl::string_view entry);

// True if ptxas ignored setmaxnreg (C7504, C7508) or serialised wgmma (C7509 .. C7519): the kernel runs, far too
// slowly.
bool HasSerialisedWgmma(absl::string_view log);

// The lines of a log that say "error", at most `bytes` of them; the log's end if none does.
std::string ErrorExcerpt(absl::string_view log, size_t bytes);

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_COMPILE_LOG_H_
