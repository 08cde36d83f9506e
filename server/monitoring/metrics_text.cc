#include "server/monitoring/metrics_text.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily Family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void Add(MetricFamily& family, double value, Labels labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily One(std::string name, std::string help, MetricType type, double value) {
  MetricFamily family = Family(std::move(name), std::move(help), type);
  Add(family, value);
  return family;
}

void AddCache(const StoreStats& cache, std::vector<MetricFamily>& out) {
  const auto gauge = [&](const char* name, const char* help, int64_t value) {
    out.push_back(One(name, help, MetricType::Gauge, static_cast<double>(value)));
  };
  const auto counter = [&](const char* name, const char* help, int64_t value) {
    out.push_back(One(name, help, MetricType::Counter, static_cast<double>(value)));
  };
  counter("ladder_cache_lookups_total", "Keys looked up since the start", cache.lookups);
  counter("ladder_cache_hits_total", "Keys of them that were found", cache.hits);
  gauge("ladder_cache_records", "Current records", cache.totals.records);
  gauge("ladder_cache_seeds", "Records of them that are rankings without a measurement", cache.totals.seeds);
  gauge("ladder_cache_binaries", "Binaries", cache.totals.binaries);
  gauge("ladder_cache_binary_bytes", "Bytes of the binaries, which the limit is for", cache.totals.binary_bytes);
  gauge("ladder_cache_limit_bytes", "Limit of that", cache.limit_bytes);
  gauge("ladder_cache_file_bytes", "Bytes of the database and its log on disk", cache.file_bytes);
  gauge("ladder_cache_quarantined", "Damaged or reported pieces that were set aside", cache.totals.quarantined);
}

void AddGpus(const std::vector<GpuState>& gpus, std::vector<MetricFamily>& out) {
  MetricFamily serving = Family("ladder_gpu_serving", "1 if the GPU can be tuned on", MetricType::Gauge);
  MetricFamily deaths = Family("ladder_gpu_worker_deaths_total", "Profile workers that died", MetricType::Counter);
  for (const GpuState& gpu : gpus) {
    const Labels labels = {{"gpu", absl::StrCat(gpu.number)}};
    Add(serving, gpu.serving ? 1 : 0, labels);
    Add(deaths, static_cast<double>(gpu.worker_deaths), labels);
  }
  out.push_back(std::move(serving));
  out.push_back(std::move(deaths));
}

void AddTunes(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
  out.push_back(One("ladder_tunes_running", "Tunes running or waiting", MetricType::Gauge,
                    static_cast<double>(snapshot.tunes.size())));
  MetricFamily ended = Family("ladder_tunes_total", "Tunes that ended, by outcome", MetricType::Counter);
  Add(ended, static_cast<double>(snapshot.totals.done), {{"outcome", "done"}});
  Add(ended, static_cast<double>(snapshot.totals.failed), {{"outcome", "failed"}});
  Add(ended, static_cast<double>(snapshot.totals.cancelled), {{"outcome", "cancelled"}});
  out.push_back(std::move(ended));
}

}  // namespace

std::string MetricsText(const prometheus::Registry& registry, const Snapshot& snapshot) {
  std::vector<MetricFamily> families = registry.Collect();
  AddCache(snapshot.cache, families);
  AddGpus(snapshot.gpus, families);
  AddTunes(snapshot, families);
  MetricFamily build = Family("ladder_build_info", "Always 1; the labels tell the version", MetricType::Gauge);
  Add(build, 1, {{"version", snapshot.version}, {"compiler", snapshot.compiler}});
  families.push_back(std::move(build));
  families.push_back(One("process_resident_memory_bytes", "Resident memory of the daemon", MetricType::Gauge,
                         static_cast<double>(snapshot.resident_bytes)));
  families.push_back(One("process_start_time_seconds", "When the daemon started, in seconds since 1970",
                         MetricType::Gauge, absl::ToDoubleSeconds(snapshot.started - absl::UnixEpoch())));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace ladder
