// One point of a schedule's space: the schedule's name and its ordered, named integers.
#ifndef LADDER_CORE_SCHEDULE_CANDIDATE_H_
#define LADDER_CORE_SCHEDULE_CANDIDATE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

struct Candidate {
  std::string schedule;  // "decode"
  std::vector<std::pair<std::string, int64_t>> parameters;

  // Value of a parameter. REQUIRES: it is there.
  int64_t operator[](absl::string_view name) const;
  // Value of a parameter that candidates have only where it is not `otherwise`.
  int64_t Get(absl::string_view name, int64_t otherwise) const;
  // "decode(row_tiles=2,warps=16)". Parse(ToString()) == *this.
  std::string ToString() const;
  static absl::StatusOr<Candidate> Parse(absl::string_view text);

  friend bool operator==(const Candidate&, const Candidate&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Candidate& c) {
    return H::combine(std::move(h), c.schedule, c.parameters);
  }
};

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_CANDIDATE_H_
