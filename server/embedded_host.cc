#include "server/embedded_host.h"

#include <prometheus/registry.h>

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "server/grpc/servers.h"
#include "server/logging/log.h"
#include "server/monitoring/http_server.h"
#include "server/monitoring/metrics_text.h"
#include "server/monitoring/snapshot.h"
#include "server/monitoring/status_page.h"
#include "server/serving/executor.h"
#include "server/serving/gpu_health.h"
#include "server/serving/machines.h"
#include "server/serving/serving.h"
#include "server/serving/tune_registry.h"
#include "server/serving/watch_hub.h"
#include "server/storage/sqlite_kernel_store.h"
#include "server/worker/compile_pool.h"
#include "server/worker/worker_device.h"

namespace ladder {
namespace {

constexpr int kQuickThreads = 4;
constexpr size_t kQuickQueue = 1024;
constexpr absl::Duration kCancelPause = absl::Seconds(2);  // for a cancelled tune to end by itself
constexpr absl::Duration kCallPause = absl::Seconds(2);    // for calls to end by themselves

CompilePoolOptions CompileOptions(const Config& config, const ScheduleCatalog& catalog) {
  CompilePoolOptions options;
  options.command.program = WorkerProgram(config.compile_worker, "ladder-compile-worker");
  options.command.arguments = {"--memory-bytes", absl::StrCat(config.compile_memory_bytes)};
  for (const std::string& path : config.nvrtc_paths) {
    options.command.arguments.push_back("--nvrtc");
    options.command.arguments.push_back(path);
  }
  options.workers = config.compile_workers;
  options.deadline = config.compile_deadline;
  options.sources_digest = catalog.sources_digest;
  return options;
}

WorkerDeviceOptions DeviceOptions(const Config& config, const ScheduleCatalog& catalog, int gpu) {
  WorkerDeviceOptions options;
  options.command.program = WorkerProgram(config.profile_worker, "ladder-profile-worker");
  options.command.arguments = {"--gpu", absl::StrCat(gpu), "--memory-bytes", absl::StrCat(config.gpu_memory_bytes)};
  options.deadline = config.profile_deadline;
  options.resident_limit_bytes = config.profile_resident_bytes;
  options.sources_digest = catalog.sources_digest;
  return options;
}

}  // namespace

// In the order of construction: what comes later uses what comes before.
struct EmbeddedHost::Parts {
  Parts(const Config& given, std::unique_ptr<SqliteKernelStore> store)
      : config(given),
        catalog(MakeCatalog()),
        cache(std::move(store)),
        publishing(*cache, watches),
        compiler(CompileOptions(config, catalog)),
        devices(MakeDevices()),
        machines(catalog, publishing, compiler, Pointers(), "gpu.list in the configuration is empty"),
        quick("short requests", kQuickThreads, kQuickQueue),
        tuner("tuning", config.tuning_concurrent, static_cast<size_t>(config.tuning_queue)),
        tunes(machines, tuner),
        calls(registry),
        serving{config, catalog, publishing, *cache, compiler, machines, quick, tuner, tunes, watches, calls},
        snapshots(serving, calls, [this] { return GpuStates(); }) {}

  std::vector<std::unique_ptr<WorkerDevice>> MakeDevices() const {
    std::vector<std::unique_ptr<WorkerDevice>> made;
    for (const int gpu : config.gpus) {
      made.push_back(std::make_unique<WorkerDevice>(DeviceOptions(config, catalog, gpu)));
    }
    return made;
  }
  std::vector<Device*> Pointers() const {
    std::vector<Device*> pointers;
    for (const auto& device : devices) pointers.push_back(device.get());
    return pointers;
  }

  std::vector<GpuState> GpuStates() const {
    const std::vector<Machines::Known> known = machines.KnownGpus();
    std::vector<GpuState> states;
    for (size_t i = 0; i < known.size(); ++i) {
      const absl::Status in_service = devices[i]->InService();
      states.push_back({config.gpus[i], known[i].model, known[i].driver, health->Serving(i),
                        std::string((in_service.ok() ? known[i].status : in_service).message()), devices[i]->deaths()});
    }
    return states;
  }

  const Config config;
  const ScheduleCatalog catalog;
  const std::unique_ptr<SqliteKernelStore> cache;
  WatchHub watches;
  PublishingStore publishing;
  WorkerCompiler compiler;
  const std::vector<std::unique_ptr<WorkerDevice>> devices;
  Machines machines;
  Executor quick;
  Executor tuner;
  TuneRegistry tunes;
  prometheus::Registry registry;
  CallMetrics calls;
  const Serving serving;
  SnapshotTaker snapshots;
  std::unique_ptr<Servers> servers;
  std::unique_ptr<GpuHealth> health;
  std::unique_ptr<HttpServer> http;
  std::once_flag shut_down;
};

absl::StatusOr<std::unique_ptr<EmbeddedHost>> EmbeddedHost::Start(const Config& config) {
  if (absl::Status status = ValidateConfig(config); !status.ok()) return status;
  SqliteStoreOptions options;
  options.path = config.cache_path + "/cache.db";
  options.limit_bytes = config.cache_limit_bytes;
  absl::StatusOr<std::unique_ptr<SqliteKernelStore>> store = SqliteKernelStore::Open(options);
  if (!store.ok()) return store.status();
  auto parts = std::make_unique<Parts>(config, *std::move(store));
  Parts& p = *parts;

  absl::StatusOr<std::unique_ptr<Servers>> servers = Servers::Make(p.serving);
  if (!servers.ok()) return servers.status();
  p.servers = *std::move(servers);
  for (const char* name : {"ladder.tune.v1.KernelCache", "ladder.tune.v1.Tuner", "ladder.tune.v1.CacheAdmin"}) {
    p.servers->SetHealth(name, true);
  }
  const auto name = [&p](size_t gpu) { return absl::StrCat("gpu:", p.config.gpus[gpu]); };
  const auto in_service = [&p](size_t gpu) { return p.devices[gpu]->InService(); };
  for (size_t gpu = 0; gpu < p.devices.size(); ++gpu) p.servers->SetHealth(name(gpu), false);
  p.health =
      std::make_unique<GpuHealth>(p.devices.size(), in_service, [&p, name, in_service](size_t gpu, bool serving) {
        p.servers->SetHealth(name(gpu), serving);
        const absl::Status status = in_service(gpu);
        if (serving) LogInfo(name(gpu), ": in service");
        if (!status.ok()) LogWarning(name(gpu), ": ", status.message());
      });
  p.machines.SetInService(in_service);
  p.machines.OnDiscovered([&p](size_t gpu, bool usable) { p.health->SetUsable(gpu, usable); });
  if (!p.config.http_listen.empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> http =
        HttpServer::Start(p.config.http_listen, {[&p] { return StatusPage(p.snapshots.Take()); },
                                                 [&p] { return MetricsText(p.registry, p.snapshots.Take()); }});
    if (!http.ok()) return http.status();
    p.http = *std::move(http);
  }
  // Last: a caller must find everything in its place.
  if (absl::Status status = p.servers->Listen(); !status.ok()) return status;
  LogInfo("cache ", p.cache->path(), " opened, generation ", p.cache->Generation());
  for (const std::string& address : p.servers->addresses()) LogInfo("serving on ", address);
  return std::unique_ptr<EmbeddedHost>(new EmbeddedHost(std::move(parts)));
}

EmbeddedHost::EmbeddedHost(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

EmbeddedHost::~EmbeddedHost() { Shutdown(absl::ZeroDuration()); }

std::shared_ptr<grpc::Channel> EmbeddedHost::InProcessChannel() { return parts_->servers->InProcessChannel(); }

const std::vector<std::string>& EmbeddedHost::addresses() const { return parts_->servers->addresses(); }

std::string EmbeddedHost::http_address() const { return parts_->http == nullptr ? "" : parts_->http->address(); }

void EmbeddedHost::WarmUp() {
  const absl::Status submitted = parts_->quick.Submit([parts = parts_.get()] {
    const Machines::Summary machine = parts->machines.Describe();
    const std::string compiler = parts->compiler.Version();
    LogInfo("GPU: ", machine.target.has_value() ? machine.target->model : machine.no_gpu_reason);
    LogInfo("compiler: ", compiler.empty() ? "none found" : compiler);
  });
  if (!submitted.ok()) LogWarning("not warmed up: ", submitted.message());
}

void EmbeddedHost::Shutdown(absl::Duration grace) {
  std::call_once(parts_->shut_down, [this, grace] {
    Parts& p = *parts_;
    p.servers->EndHealth();
    p.tunes.Close();
    if (!p.tunes.WaitIdle(absl::Now() + grace)) {
      LogInfo("cancelling tunes that still run");
      p.tunes.CancelAll();
      p.tunes.WaitIdle(absl::Now() + kCancelPause);
    }
    // What runs in workers now has had its time.
    p.compiler.Stop();
    for (const auto& device : p.devices) device->Stop();
    p.tunes.WaitIdle(absl::InfiniteFuture());
    p.watches.Close();
    p.servers->Shutdown(absl::Now() + kCallPause);
    p.quick.Stop();
    p.tuner.Stop();
    p.http.reset();
    p.health.reset();  // what it reports goes to the servers
    p.servers.reset();
    if (absl::Status status = p.cache->FlushUses(); !status.ok()) LogWarning("cache: ", status.message());
    LogInfo("shut down");
  });
}

}  // namespace ladder
