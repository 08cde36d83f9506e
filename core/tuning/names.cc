#include "core/tuning/tuning_options.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

absl::string_view Name(CandidateStatus status) {
  switch (status) {
    case CandidateStatus::kRanked:
      return "ranked";
    case CandidateStatus::kCompileFailed:
      return "compile failed";
    case CandidateStatus::kSpilled:
      return "spilled";
    case CandidateStatus::kWrong:
      return "wrong";
    case CandidateStatus::kCrashed:
      return "crashed";
    case CandidateStatus::kTimed:
      return "timed";
    case CandidateStatus::kDenied:
      return "denied";
    case CandidateStatus::kSkipped:
      return "skipped";
  }
  return "?";
}

absl::string_view Name(RecordKind kind) {
  switch (kind) {
    case RecordKind::kMeasured:
      return "measured";
    case RecordKind::kSeed:
      return "seed";
    case RecordKind::kFast:
      return "fast";
  }
  return "?";
}

absl::string_view Name(TuningPhase phase) {
  switch (phase) {
    case TuningPhase::kQueued:
      return "queued";
    case TuningPhase::kEnumerate:
      return "enumerate";
    case TuningPhase::kCompile:
      return "compile";
    case TuningPhase::kVerify:
      return "verify";
    case TuningPhase::kWait:
      return "wait";
    case TuningPhase::kProfile:
      return "profile";
    case TuningPhase::kFinal:
      return "final";
    case TuningPhase::kStore:
      return "store";
    case TuningPhase::kDone:
      return "done";
  }
  return "?";
}

}  // namespace ladder
