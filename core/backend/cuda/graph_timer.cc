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
  double ran_us;  // of the GPU's time, by then
  std::vector<std::pair<Event, Event>> replays;
};

// A graph that runs for about policy.replay_ms.
absl::StatusOr<Timed> Prepare(const EnqueueCall& enqueue, int rotation, const ProfilePolicy& policy,
                              const Stream& stream) {
  LADDER_ASSIGN_OR_RETURN(const Event start, Event::Create());
  LADDER_ASSIGN_OR_RETURN(const Event end, Event::Create());
  // Code is loaded at a kernel's first launch, which must not happen inside a capture.
  LADDER_RETURN_IF_ERROR(enqueue(0, stream));
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  LADDER_ASSIGN_OR_RETURN(Graph probe, CaptureCalls(enqueue, rotation, stream));
  // The first replay uploads the graph, so it takes longer; if it is long all the same it will do, and kernels that
  // take milliseconds are spared the second.
  LADDER_ASSIGN_OR_RETURN(const double first_us, TimeReplay(probe, start, end, stream));
  if (first_us >= 1.5e3 * policy.replay_ms) return Timed{std::move(probe), rotation, first_us, {}};
  LADDER_ASSIGN_OR_RETURN(const double probe_us, TimeReplay(probe, start, end, stream));
  const double per_call = std::max(probe_us / rotation, 0.1);
  const int wanted =
      static_cast<int>(std::min<double>(kMaxCallsPerGraph, std::ceil(policy.replay_ms * 1e3 / per_call)));
  const int calls = (std::max(wanted, rotation) + rotation - 1) / rotation * rotation;
  if (calls == rotation) return Timed{std::move(probe), calls, first_us + probe_us, {}};
  LADDER_ASSIGN_OR_RETURN(Graph graph, CaptureCalls(enqueue, calls, stream));
  LADDER_ASSIGN_OR_RETURN(const double graph_us, TimeReplay(graph, start, end, stream));
  return Timed{std::move(graph), calls, first_us + probe_us + graph_us, {}};
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
  double heated_us = 0;
  for (const Timed& t : timed) heated_us += t.ran_us;
  while (heated_us < policy.preheat_ms * 1e3) {
    LADDER_ASSIGN_OR_RETURN(const Event start, Event::Create());
    LADDER_ASSIGN_OR_RETURN(const Event end, Event::Create());
    LADDER_ASSIGN_OR_RETURN(const double us, TimeReplay(timed.front().graph, start, end, stream));
    heated_us += std::max(us, 1.0);
  }
  const int repeats = std::max(1, policy.repeats);
  // One replay that isn't timed keeps the GPU busy while the others are queued, and each keeps it busy for the next:
  // a start event on an idle GPU would wait for the host.
  LADDER_RETURN_IF_ERROR(timed.back().graph.Launch(stream));
  for (int repeat = 0; repeat < repeats; repeat++) {
    for (Timed& t : timed) {
      LADDER_ASSIGN_OR_RETURN(Event start, Event::Create());
      LADDER_ASSIGN_OR_RETURN(Event end, Event::Create());
      LADDER_RETURN_IF_ERROR(start.Record(stream));
      LADDER_RETURN_IF_ERROR(t.graph.Launch(stream));
      LADDER_RETURN_IF_ERROR(end.Record(stream));
      t.replays.emplace_back(std::move(start), std::move(end));
    }
  }
  const double clock_ghz = CurrentClockGhz(uuid);
  const bool throttled = IsThrottled(uuid);
  LADDER_RETURN_IF_ERROR(stream.Synchronize());
  std::vector<Measurement> results;
  for (const Timed& t : timed) {
    std::vector<double> times;
    times.reserve(t.replays.size());
    for (const auto& [start, end] : t.replays) {
      LADDER_ASSIGN_OR_RETURN(const double us, Event::ElapsedUs(start, end));
      times.push_back(us / t.calls);
    }
    Measurement measurement;
    measurement.median_us = Median(times);
    std::vector<double> deviations;
    deviations.reserve(times.size());
    for (const double us : times) deviations.push_back(std::fabs(us - measurement.median_us));
    measurement.spread_us = Median(deviations);
    measurement.repeats = repeats;
    measurement.clock_ghz = clock_ghz;
    measurement.throttled = throttled;
    results.push_back(measurement);
  }
  return results;
}

}  // namespace ladder::cuda
