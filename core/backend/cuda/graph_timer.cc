#include "core/backend/cuda/graph_timer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/backend/cuda/nvml.h"
#include "core/backend/cuda/status_macros.h"

namespace ladder::cuda {
namespace {

constexpr int kMaxCallsPerGraph = 2000;

absl::StatusOr<Graph> CaptureCalls(const EnqueueCall& enqueue, int calls, const Stream& stream) {
  return Graph::Capture(stream, [&]() -> absl::Status {
    for (int i = 0; i < calls; i++) LADDER_RETURN_IF_ERROR(enqueue(i, stream));
    return absl::OkStatus();
  });
}

absl::StatusOr<double> TimeReplay(const Graph& graph, const Event& start, const Event& end, const Stream& stream) {
  LADDER_RETURN_IF_ERROR(start.Record(stream));
  LADDER_RETURN_IF_ERROR(graph.Launch(stream));
  LADDER_RETURN_IF_ERROR(end.Record(stream));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  return Event::ElapsedUs(start, end);
}

double Median(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(middle));
  const double upper = values[middle];
  if (values.size() % 2 == 1) return upper;
  return (upper + *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle))) / 2;
}

struct Timed {
  Graph graph;
  int calls;
  Event start, end;
  std::vector<double> us;
};

// A graph that runs for about policy.replay_ms.
absl::StatusOr<Timed> Prepare(const EnqueueCall& enqueue, int rotation, const ProfilePolicy& policy,
                              const Stream& stream) {
  LADDER_ASSIGN_OR_RETURN(Event start, Event::Create());
  LADDER_ASSIGN_OR_RETURN(Event end, Event::Create());
  // Code is loaded at a kernel's first launch, which must not happen inside a capture.
  LADDER_RETURN_IF_ERROR(enqueue(0, stream));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  const int probe_calls = std::max(rotation, 2);
  LADDER_ASSIGN_OR_RETURN(Graph probe, CaptureCalls(enqueue, probe_calls, stream));
  LADDER_RETURN_IF_ERROR(probe.Launch(stream));  // the first replay uploads the graph
  LADDER_ASSIGN_OR_RETURN(const double probe_us, TimeReplay(probe, start, end, stream));
  const double per_call = std::max(probe_us / probe_calls, 0.1);
  const int wanted =
      static_cast<int>(std::min<double>(kMaxCallsPerGraph, std::ceil(policy.replay_ms * 1e3 / per_call)));
  const int calls = (std::max(wanted, probe_calls) + rotation - 1) / rotation * rotation;
  if (calls == probe_calls) return Timed{std::move(probe), calls, std::move(start), std::move(end), {}};
  LADDER_ASSIGN_OR_RETURN(Graph graph, CaptureCalls(enqueue, calls, stream));
  LADDER_RETURN_IF_ERROR(graph.Launch(stream));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  return Timed{std::move(graph), calls, std::move(start), std::move(end), {}};
}

}  // namespace

absl::StatusOr<std::vector<Measurement>> TimeInterleaved(const std::vector<EnqueueCall>& kernels, int rotation,
                                                         const ProfilePolicy& policy, const std::string& uuid,
                                                         const Stream& stream) {
  if (kernels.empty()) return std::vector<Measurement>();
  std::vector<Timed> timed;
  timed.reserve(kernels.size());
  for (const EnqueueCall& kernel : kernels) {
    LADDER_ASSIGN_OR_RETURN(Timed prepared, Prepare(kernel, std::max(1, rotation), policy, stream));
    timed.push_back(std::move(prepared));
  }
  for (double heated_us = 0; heated_us < policy.preheat_ms * 1e3;) {
    LADDER_ASSIGN_OR_RETURN(const double us,
                            TimeReplay(timed.front().graph, timed.front().start, timed.front().end, stream));
    heated_us += std::max(us, 1.0);
  }
  double clock_ghz = 0;
  bool throttled = false;
  const int repeats = std::max(1, policy.repeats);
  for (int repeat = 0; repeat < repeats; repeat++) {
    // One replay that isn't timed keeps the GPU busy while the others are queued: otherwise the first start event
    // would wait for the host.
    LADDER_RETURN_IF_ERROR(timed.back().graph.Launch(stream));
    for (Timed& t : timed) {
      LADDER_RETURN_IF_ERROR(t.start.Record(stream));
      LADDER_RETURN_IF_ERROR(t.graph.Launch(stream));
      LADDER_RETURN_IF_ERROR(t.end.Record(stream));
    }
    if (repeat == repeats / 2) {
      clock_ghz = CurrentClockGhz(uuid);
      throttled = IsThrottled(uuid);
    }
    LADDER_RETURN_IF_ERROR(stream.Synchronize());
    for (Timed& t : timed) {
      LADDER_ASSIGN_OR_RETURN(const double us, Event::ElapsedUs(t.start, t.end));
      t.us.push_back(us / t.calls);
    }
  }
  std::vector<Measurement> results;
  for (const Timed& t : timed) {
    Measurement measurement;
    measurement.median_us = Median(t.us);
    std::vector<double> deviations;
    for (const double us : t.us) deviations.push_back(std::fabs(us - measurement.median_us));
    measurement.spread_us = Median(deviations);
    measurement.repeats = repeats;
    measurement.clock_ghz = clock_ghz;
    measurement.throttled = throttled;
    results.push_back(measurement);
  }
  return results;
}

}  // namespace ladder::cuda
