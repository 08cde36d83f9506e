#include "core/backend/compile_log.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace ladder {
namespace {

// The number right before `phrase` in `line` ("40" before " registers"), or 0.
int64_t NumberBefore(absl::string_view line, absl::string_view phrase) {
  const size_t at = line.find(phrase);
  if (at == absl::string_view::npos) return 0;
  size_t first = at;
  while (first > 0 && line[first - 1] >= '0' && line[first - 1] <= '9') first--;
  int64_t value = 0;
  return absl::SimpleAtoi(line.substr(first, at - first), &value) ? value : 0;
}

void Merge(const CompileResources& from, CompileResources& into) {
  into.registers = std::max(into.registers, from.registers);
  into.spill_bytes = std::max(into.spill_bytes, from.spill_bytes);
  into.local_bytes = std::max(into.local_bytes, from.local_bytes);
  into.static_shared_bytes = std::max(into.static_shared_bytes, from.static_shared_bytes);
}

}  // namespace

CompileResources ParsePtxasLog(absl::string_view log, absl::string_view entry) {
  CompileResources wanted, all;
  bool found = false, in_wanted = false;
  const std::string heading = absl::StrCat("Compiling entry function '", entry, "'");
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    if (absl::StrContains(line, "Compiling entry function")) {
      in_wanted = absl::StrContains(line, heading);
      found |= in_wanted;
    }
    CompileResources here;
    here.registers = static_cast<int>(NumberBefore(line, " registers"));
    here.spill_bytes = NumberBefore(line, " bytes spill stores") + NumberBefore(line, " bytes spill loads");
    here.local_bytes = NumberBefore(line, " bytes stack frame");
    here.static_shared_bytes = NumberBefore(line, " bytes smem");
    Merge(here, all);
    if (in_wanted) Merge(here, wanted);
  }
  return found ? wanted : all;
}

bool HasSerialisedWgmma(absl::string_view log) {
  for (size_t at = log.find("C75"); at != absl::string_view::npos; at = log.find("C75", at + 1)) {
    int number = 0;
    if (absl::SimpleAtoi(log.substr(at + 1, 4), &number) && (number == 7504 || (number >= 7508 && number <= 7519))) {
      return true;
    }
  }
  return false;
}

std::string ErrorExcerpt(absl::string_view log, size_t bytes) {
  std::string excerpt;
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    if (!absl::StrContains(line, "error") && !absl::StrContains(line, "fatal")) continue;
    if (excerpt.size() + line.size() + 2 > bytes) break;
    absl::StrAppend(&excerpt, excerpt.empty() ? "" : "; ", absl::StripAsciiWhitespace(line));
  }
  if (!excerpt.empty()) return excerpt;
  const absl::string_view trimmed = absl::StripAsciiWhitespace(log);
  return std::string(trimmed.substr(trimmed.size() > bytes ? trimmed.size() - bytes : 0));
}

}  // namespace ladder
