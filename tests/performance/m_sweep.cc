#include "tests/performance/m_sweep.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/kernel_service.h"
#include "core/store/in_memory_kernel_store.h"

namespace ladder {
namespace {

// As long a replay as a final's, so that launches and graphs weigh alike at every M; the GPU is warm from the M before.
constexpr ProfilePolicy kSteady = {.repeats = 7, .replay_ms = 2.0, .preheat_ms = 1};

struct Tuned {
  int64_t bucket = 1;
  double us = 0;  // as its tune told
  std::string candidate;
  KernelBinary kernel;
};

}  // namespace

Cliff WorstCliff(const std::vector<SweepPoint>& points) {
  Cliff worst;
  const SweepPoint* least = nullptr;  // of the larger M
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (least != nullptr && point->us / least->us > worst.ratio) worst = {point->us / least->us, point->m, least->m};
    if (least == nullptr || point->us < least->us) least = &*point;
  }
  return worst;
}

absl::StatusOr<MSweep> SweepM(const ScheduleCatalog& catalog, Compiler& compiler, Device& device,
                              const NormalizedOperator& op, const std::vector<int64_t>& ms) {
  const absl::StatusOr<Target> target = device.GetTarget();
  if (!target.ok()) return target.status();
  const absl::StatusOr<std::vector<int64_t>> buckets = NormalizeM({{ms.front(), ms.back()}});
  if (!buckets.ok()) return buckets.status();

  InMemoryKernelStore store;
  KernelService service(catalog, store, compiler, &device);  // which remembers what it compiled
  const TuningOptions options;
  MSweep sweep;
  std::vector<Tuned> tuned;
  const absl::Time begin = absl::Now();
  // Most rows first, the next bucket's kernels compiled meanwhile: as TuneRegistry does.
  for (auto bucket = buckets->rbegin(); bucket != buckets->rend(); ++bucket) {
    std::future<void> ahead;
    if (const auto next = std::next(bucket); next != buckets->rend()) {
      ahead = std::async(std::launch::async, [&, m = *next] { service.CompileAhead(op, m, *target, options); });
    }
    const absl::StatusOr<Acquired> acquired = service.Acquire(op, *bucket, *target, options, nullptr, nullptr);
    if (!acquired.ok()) return acquired.status();
    const RankedKernel& winner = acquired->record.winner();
    absl::StatusOr<std::string> binary = store.ReadBlob(winner.blob_sha256);
    if (!binary.ok()) return binary.status();
    const double us = winner.measurement.median_us;
    // As a client does (KernelTable in client): where more rows took less time, their kernel serves these too.
    if (!tuned.empty() && tuned.back().us < us) {
      tuned.push_back(tuned.back());
      tuned.back().bucket = *bucket;
      continue;
    }
    tuned.push_back({*bucket, us, winner.candidate.ToString(), {*std::move(binary), winner.launch, winner.numerics}});
  }
  sweep.tune_seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  std::ranges::reverse(tuned);

  // From the most rows down: the device keeps their inputs and their reference for fewer.
  for (auto m = ms.rbegin(); m != ms.rend(); ++m) {
    const auto at_least = std::ranges::lower_bound(tuned, *m, {}, &Tuned::bucket);
    const Tuned& kernel = at_least == tuned.end() ? tuned.back() : *at_least;
    const Workload workload = {op, *m, 1};
    const absl::StatusOr<Verification> verified = device.Verify(workload, kernel.kernel);
    if (!verified.ok()) return verified.status();
    if (!verified->passed) {
      return absl::InternalError(absl::StrCat(kernel.candidate, " is wrong at m=", *m, ": ", verified->detail));
    }
    const absl::StatusOr<std::vector<Measurement>> measured = device.Profile(workload, {&kernel.kernel, 1}, kSteady);
    if (!measured.ok()) return measured.status();
    sweep.points.push_back({*m, measured->front().median_us, kernel.candidate});
  }
  std::ranges::reverse(sweep.points);
  return sweep;
}

}  // namespace ladder
