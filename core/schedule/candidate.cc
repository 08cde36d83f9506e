#include "core/schedule/candidate.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ladder {

int64_t Candidate::Get(absl::string_view name, int64_t otherwise) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return otherwise;
}

int64_t Candidate::operator[](absl::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  std::abort();  // a schedule asked for a parameter that it never enumerates
}

std::string Candidate::ToString() const {
  return absl::StrCat(schedule, "(", absl::StrJoin(parameters, ",", absl::PairFormatter("=")), ")");
}

absl::StatusOr<Candidate> Candidate::Parse(absl::string_view text) {
  const auto bad = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("candidate: \"", text.substr(0, 80), "\" is not of the form schedule(name=1,...)"));
  };
  const size_t open = text.find('(');
  if (open == absl::string_view::npos || open == 0 || text.back() != ')') return bad();
  Candidate candidate;
  candidate.schedule = std::string(text.substr(0, open));
  const absl::string_view inside = text.substr(open + 1, text.size() - open - 2);
  if (inside.empty()) return candidate;
  for (absl::string_view piece : absl::StrSplit(inside, ',')) {
    const std::vector<absl::string_view> pair = absl::StrSplit(piece, absl::MaxSplits('=', 1));
    int64_t value = 0;
    if (pair.size() != 2 || pair[0].empty() || !absl::SimpleAtoi(pair[1], &value)) return bad();
    candidate.parameters.emplace_back(pair[0], value);
  }
  return candidate;
}

}  // namespace ladder
