// What tuning found out about one operator at one M on one machine, and the story of how.
#ifndef LADDER_CORE_TUNING_TUNING_RECORD_H_
#define LADDER_CORE_TUNING_TUNING_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/backend/device.h"
#include "core/schedule/candidate.h"
#include "core/schedule/launch_spec.h"
#include "core/store/keys.h"

namespace ladder {

enum class CandidateStatus : uint8_t {
  kRanked = 0,  // predicted only
  kCompileFailed = 1,
  kSpilled = 2,  // spills or serialised wgmma: not worth a measurement
  kWrong = 3,    // failed verification
  kCrashed = 4,  // killed the worker, or could not be launched
  kTimed = 5,
  kDenied = 6,   // killed the worker twice before
  kSkipped = 7,  // the budget ran out before it
};
absl::string_view Name(CandidateStatus status);

struct CandidateTrace {
  Candidate candidate;
  double predicted_us = 0;
  CandidateStatus status = CandidateStatus::kRanked;
  std::string reason;  // why it fell, or empty
  int registers = 0;
  int64_t spill_bytes = 0;
  double compile_ms = 0;
  double worst_ratio = 0;
  double relative_norm = 0;
  Measurement measurement;  // kTimed only
};

struct TuningTrace {
  std::vector<CandidateTrace> candidates;  // in the policy's order
  uint64_t seed = 0;
  double enumerate_ms = 0, compile_ms = 0, verify_ms = 0, profile_ms = 0, total_ms = 0;
  std::string disturbance;  // what was first seen to spoil times ("other processes keep the GPU 97% busy"), or empty
  bool disturbed = false;   // it did not end within the budget: the times are those of a disturbed GPU
  double waited_ms = 0;     // for the GPU to be quiet
  double rested_ms = 0;     // by the duty limit beside other processes
};

// A kernel one could run: how it came to be and how it did.
struct RankedKernel {
  Candidate candidate;
  int schedule_revision = 0;
  ArtifactKey artifact;     // empty for a candidate that was only predicted
  std::string blob_sha256;  // of the binary in the store, hex; empty without one
  LaunchSpec launch;
  NumericsSpec numerics;
  double predicted_us = 0;
  Measurement measurement;  // median_us == 0: not measured
  double worst_ratio = 0;
  double relative_norm = 0;
};

enum class RecordKind : uint8_t {
  kMeasured = 1,  // ranked[0] was verified and timed on the target; it has a binary
  kSeed = 2,      // compiled and ranked by the policy only: never served as a kernel
  kFast = 3,      // verified, but neither timed nor searched for: the answer while tuning goes on
};
absl::string_view Name(RecordKind kind);

struct Environment {
  std::string compiler;        // Compiler::Version()
  std::string sources_digest;  // ScheduleCatalog::sources_digest
  std::string driver;          // empty without a GPU
  std::string ladder_version;
  friend bool operator==(const Environment&, const Environment&) = default;
};

struct TuningRecord {
  CacheKey key;
  std::string key_text;  // canonical text of the key, for people and for `explain`
  RecordKind kind = RecordKind::kMeasured;
  NormalizedOperator op;
  int64_t m = 1;
  Target target;
  Environment environment;
  std::vector<RankedKernel> ranked;  // winner first; runners-up keep configurations, not binaries
  TuningTrace trace;
  int64_t created_unix = 0;
  uint64_t generation = 0;  // set by the store, rising with every Put

  const RankedKernel& winner() const { return ranked.front(); }
};

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_TUNING_RECORD_H_
