// Ranks the candidates of a trace again by today's cost model: what would its first choice have cost?
#ifndef LADDER_TESTS_SCHEDULES_POLICY_REPLAY_H_
#define LADDER_TESTS_SCHEDULES_POLICY_REPLAY_H_

#include <string>
#include <vector>

#include "core/schedule/schedule.h"
#include "core/tuning/tuning_options.h"
#include "tests/performance/policy_trace.h"

namespace ladder {

struct OperatorReplay {
  std::string op_text;
  int64_t m = 1;
  int candidates = 0;  // ranked
  int unknown = 0;     // of schedules or parameters that no longer exist: left out
  // The model prefers a candidate of its own enumeration that the search did not measure.
  bool prefers_unmeasured = false;
  Candidate first, best;
  double first_us = 0, best_us = 0;
  double searched_us = 0;  // the best of those that a search over fewer would have tried
  double search_regret() const { return best_us > 0 ? searched_us / best_us - 1 : 0; }
  double regret() const { return best_us > 0 ? first_us / best_us - 1 : 0; }
};

struct PolicyReplay {
  std::vector<OperatorReplay> operators;  // those with a candidate to rank
  int lost = 0;                           // operators of which no candidate is known any more
  // Share of the operators whose first choice is within `regret` of the best; 0 without operators.
  double ShareWithin(double regret) const;
  // The same of what the shorter search finds.
  double ShareFoundWithin(double regret) const;
  double MedianRegret() const;
};

// `candidates`: of the shorter search.
PolicyReplay Replay(const PolicyTrace& trace, const ScheduleCatalog& catalog,
                    int candidates = TuningOptions{}.candidates);

}  // namespace ladder

#endif  // LADDER_TESTS_SCHEDULES_POLICY_REPLAY_H_
