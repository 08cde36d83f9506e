// A family of kernels: what it serves, the candidates worth trying on a machine, and the source of each.
#ifndef LADDER_CORE_SCHEDULE_SCHEDULE_H_
#define LADDER_CORE_SCHEDULE_SCHEDULE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/launch_spec.h"
#include "core/target/target.h"

namespace ladder {

// What the compiler gets. The text includes embedded files by their path from the repository root
// ("schedules/matmul/decode.cuh") and instantiates one kernel named LaunchSpec::entry.
struct KernelSource {
  std::string text;
  std::map<std::string, std::string> extra_headers;  // generated headers, by include name
};

// Where the two error terms of a kernel come from: whether weights are rounded to the compute type after scaling, and
// how the reduction is ordered. See core/tuning/error_bound.h.
struct NumericsSpec {
  bool scale_in_weights = false;  // w * s rounded once to the compute type (else s multiplies fp32 partial sums)
};

struct LoweredKernel {
  KernelSource source;
  LaunchSpec launch;
  NumericsSpec numerics;
};

// Stateless and thread-safe.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual absl::string_view name() const = 0;
  // Raised when parameters are added or change meaning: older records become seeds.
  virtual int revision() const = 0;
  // Ok, or Unimplemented saying why not.
  virtual absl::Status Supports(const NormalizedOperator& op, int64_t m, const Target& target) const = 0;
  // Every candidate worth measuring for this m: fits the target's limits, correct for any m up to its max_m. May be
  // long; the policy ranks by Predict and keeps the best.
  virtual std::vector<Candidate> Enumerate(const NormalizedOperator& op, int64_t m, const Target& target) const = 0;
  // REQUIRES: Supports() is ok and the candidate is one of this schedule's; InvalidArgument for parameters that don't
  // fit.
  virtual absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator& op, const Candidate& candidate,
                                              const Target& target) const = 0;
  // Predicted microseconds at m rows, by the cost model's constants in target.limits.
  virtual double Predict(const NormalizedOperator& op, int64_t m, const Candidate& candidate,
                         const Target& target) const = 0;
};

// An explicit list of schedules, and the embedded device sources they include. schedules/catalog.cc makes the real one.
struct ScheduleCatalog {
  std::vector<std::unique_ptr<const Schedule>> schedules;
  std::map<std::string, std::string> sources;  // include name -> text
  std::string sources_digest;                  // SHA-256 over sources, hex
  KernelSource support;                        // pack, unpack, reference, ...: one module per architecture

  const Schedule* Find(absl::string_view name) const;
};

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_SCHEDULE_H_
