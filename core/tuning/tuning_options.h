// What a caller may ask of tuning, and what it hears while tuning runs.
#ifndef LADDER_CORE_TUNING_TUNING_OPTIONS_H_
#define LADDER_CORE_TUNING_TUNING_OPTIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ladder {

struct TuningOptions {
  int candidates = 16;                        // measured at most, best predicted first
  int finalists = 4;                          // timed again, interleaved
  absl::Duration budget = absl::Seconds(10);  // wall time; what is not tried by then is kSkipped
  bool force = false;                         // tune although a current record exists
  bool share_gpu = false;                     // tune also where other processes use the GPU
  int share_duty_percent = 25;                // there: share of the time that verifying and timing may take
};

enum class TuningPhase : uint8_t { kQueued, kEnumerate, kCompile, kVerify, kWait, kProfile, kFinal, kStore, kDone };
// "queued", "enumerate", "compile", "verify", "wait" (for a quiet GPU), "profile", "final", "store", "done".
absl::string_view Name(TuningPhase phase);

struct TuningProgress {
  TuningPhase phase = TuningPhase::kQueued;
  int done = 0, failed = 0, total = 0;  // of the phase
  double best_us = 0;                   // 0: none yet
  std::string best;                     // the candidate
};
// Called from the tuning thread and, while compiling, from compile threads; one call at a time.
using ProgressCallback = std::function<void(const TuningProgress&)>;

// A caller's wish to stop. Thread-safe.
class CancelToken {
 public:
  void Cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }

 private:
  std::atomic<bool> cancelled_ = false;
};

}  // namespace ladder

#endif  // LADDER_CORE_TUNING_TUNING_OPTIONS_H_
