// The shared pieces of what schedules predict: how many blocks fit, how fast memory answers, what a decode costs.
// Figures are per multiprocessor and come from DeviceLimits; the few constants are properties of the architecture
// family.
#ifndef LADDER_CORE_SCHEDULE_COST_MODEL_H_
#define LADDER_CORE_SCHEDULE_COST_MODEL_H_

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/schedule.h"
#include "core/target/target.h"

namespace ladder {

// What a block asks of a multiprocessor.
struct BlockResources {
  int threads = 0;
  int registers = 0;  // per thread
  int64_t shared_bytes = 0;
};

// Blocks resident on one multiprocessor; 0 if not even one fits.
int BlocksPerMultiprocessor(const DeviceLimits& limits, const BlockResources& block);

// Bytes of the weight with its scales and zeros, and of x and y at m rows.
int64_t WeightBytes(const NormalizedOperator& op);
int64_t ActivationBytes(const NormalizedOperator& op, int64_t m);
double Flops(const NormalizedOperator& op, int64_t m);

// Microseconds.
double MemoryUs(const DeviceLimits& limits, double bytes);
double TensorUs(const DeviceLimits& limits, double flops);
// `instructions` of whole warps, spread evenly; the schedulers issue four per clock at best and about 80% of that.
double IssueUs(const DeviceLimits& limits, double instructions);
// Integer and logic operations have half the lanes.
double IntegerUs(const DeviceLimits& limits, double instructions);
// Wavefronts of shared memory, 128 bytes each.
double SharedUs(const DeviceLimits& limits, double wavefronts);
// Data that comes from the L2 cache, about 1.5 times as fast as memory.
double CacheUs(const DeviceLimits& limits, double bytes);

// Share of the memory rate reached with so many bytes in flight on each multiprocessor.
double LatencyEfficiency(const DeviceLimits& limits, double bytes_in_flight);

// Time of parts that run at the same time but hide each other only partly: their `norm`-norm, which is their sum at 1
// and the longest at infinity. Where two are alike, neither has slack to hide the other's hiccups.
double Overlap(std::initializer_list<double> parts, double norm);

// Last, partly filled round of blocks: time of whole rounds over time of the work, >= 1. Fewer blocks than places is
// one round.
double WaveQuantisation(double blocks, double places);

// Warp instructions to decode one 16 x 16 weight fragment, or of 16 x 32 with activations of 8 bits, of which so many
// integer ones and wavefronts of shared memory.
struct DecodeCost {
  double instructions = 0;
  double integer = 0;
  double wavefronts = 0;
};
DecodeCost FragmentDecodeCost(const NormalizedOperator& op, bool pair_table, bool scale_in_weights,
                              const Target& target);

// The `limit` candidates that `schedule` predicts to be fastest, fastest first; ties in the order given. Of a family -
// candidates that agree in the parameters `family` names (1 where a candidate has none of the name) - at most
// `per_family`: predictions differ least inside a family, and what they get wrong is found by measuring others.
struct KeepRule {
  size_t limit = 60;
  std::vector<absl::string_view> family;
  size_t per_family = 60;
};
std::vector<Candidate> KeepFastest(const Schedule& schedule, const NormalizedOperator& op, int64_t m,
                                   const Target& target, std::vector<Candidate> candidates, const KeepRule& rule);
// The same for one big family.
inline std::vector<Candidate> KeepFastest(const Schedule& schedule, const NormalizedOperator& op, int64_t m,
                                          const Target& target, std::vector<Candidate> candidates, size_t limit) {
  return KeepFastest(schedule, op, m, target, std::move(candidates), KeepRule{limit, {}, limit});
}

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_COST_MODEL_H_
