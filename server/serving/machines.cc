#include "server/serving/machines.h"

#include <future>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

constexpr absl::Duration kRetryPause = absl::Seconds(5);

absl::StatusOr<Target> ParseTarget(const std::string& text) {
  absl::StatusOr<Target> target = absl::StrContains(text, ';') ? Target::Parse(text) : Target::FromName(text);
  if (target.ok() || absl::StartsWith(target.status().message(), "target")) return target;
  return absl::Status(target.status().code(), absl::StrCat("target: ", target.status().message()));
}

// The device's target with its rates measured, which takes the support kernels; what can't be measured (no compiler) is
// taken from the published figures of its architecture, since the cost model divides by it.
absl::StatusOr<Target> AskTarget(Device& device, KernelService& service) {
  absl::StatusOr<Target> target = device.GetTarget();
  if (!target.ok()) return target;
  if (absl::StatusOr<CompiledKernel> support = service.Support(*target); support.ok()) {
    if (device.LoadSupport(*support).ok()) {
      if (absl::StatusOr<Target> measured = device.GetTarget(); measured.ok()) target = std::move(measured);
    }
  }
  if (const absl::StatusOr<Target> published = Target::FromName(target->arch); published.ok()) {
    const auto fill = [](double& rate, double figure) { rate = rate > 0 ? rate : figure; };
    fill(target->limits.clock_ghz, published->limits.clock_ghz);
    fill(target->limits.read_gb_per_s, published->limits.read_gb_per_s);
    fill(target->limits.dense_fp16_tflops, published->limits.dense_fp16_tflops);
    fill(target->limits.launch_us, published->limits.launch_us);
  }
  return target;
}

// Facts of the machine and of the installation; a worker that was killed is neither.
bool IsLasting(const absl::Status& status) {
  return status.ok() || absl::IsFailedPrecondition(status) || absl::IsNotFound(status);
}

}  // namespace

// Tells the version once it is known and never starts anything to learn it.
class Machines::PassiveCompiler final : public Compiler {
 public:
  std::string Version() const override { return ""; }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>&) override {
    return std::vector<absl::StatusOr<CompiledKernel>>(requests.size(),
                                                       absl::FailedPreconditionError("a look-up never compiles"));
  }
};

Machines::Machines(const ScheduleCatalog& catalog, KernelStore& store, Compiler& compiler,
                   const std::vector<Device*>& devices, std::string no_gpu)
    : no_gpu_(std::move(no_gpu)),
      passive_compiler_(std::make_unique<PassiveCompiler>()),
      lookup_(catalog, store, *passive_compiler_, nullptr),
      seeds_(catalog, store, compiler, nullptr),
      compiler_(compiler) {
  for (Device* device : devices) {
    gpus_.push_back({device, std::make_unique<KernelService>(catalog, store, compiler, device),
                     absl::UnavailableError("the GPU was not asked yet"), ""});
  }
}

Machines::~Machines() = default;

void Machines::OnDiscovered(std::function<void(size_t, bool)> callback) {
  const std::lock_guard lock(mutex_);
  callback_ = std::move(callback);
}

void Machines::Discover() {
  const std::lock_guard discovery(discovery_);
  {
    const std::lock_guard lock(mutex_);
    if (discovered_ || absl::Now() < retry_at_) return;
  }
  // A compiler and a GPU take their time to start.
  std::future<std::string> compiler = std::async(std::launch::async, [this] { return compiler_.Version(); });
  bool lasting = true;
  for (size_t i = 0; i < gpus_.size(); ++i) {
    {
      // What one GPU told stands while another is asked again.
      const std::lock_guard lock(mutex_);
      if (gpus_[i].target.ok()) continue;
    }
    absl::StatusOr<Target> target = AskTarget(*gpus_[i].device, *gpus_[i].service);
    std::string driver;
    if (target.ok()) {
      if (absl::StatusOr<DeviceEnvironment> found = gpus_[i].device->GetEnvironment(); found.ok()) {
        driver = found->driver;
      }
    }
    lasting = lasting && IsLasting(target.status());
    const bool usable = target.ok();
    std::function<void(size_t, bool)> callback;
    {
      const std::lock_guard lock(mutex_);
      gpus_[i].target = std::move(target);
      gpus_[i].driver = driver;
      ++changes_;
      callback = callback_;
    }
    if (callback) callback(i, usable);
  }
  std::string version = compiler.get();
  const std::lock_guard lock(mutex_);
  compiler_version_ = std::move(version);
  ++changes_;
  discovered_ = lasting;
  retry_at_ = absl::Now() + kRetryPause;
}

const Machines::Gpu* Machines::FirstGpu() const {
  for (const Gpu& gpu : gpus_) {
    if (gpu.target.ok()) return &gpu;
  }
  return nullptr;
}

absl::StatusOr<Place> Machines::Find(const std::string& text) {
  if (text.empty()) {
    const std::lock_guard lock(mutex_);
    if (const Gpu* gpu = FirstGpu()) return Place{*gpu->target, gpu->service.get(), gpu->device};
    return absl::FailedPreconditionError(absl::StrCat("target: this machine has no usable GPU (",
                                                      gpus_.empty() ? no_gpu_ : gpus_[0].target.status().message(),
                                                      "); name a target such as sm_90a to compile and rank for it"));
  }
  absl::StatusOr<Target> target = ParseTarget(text);
  if (!target.ok()) return target.status();
  const std::lock_guard lock(mutex_);
  for (const Gpu& gpu : gpus_) {
    // Keys hold the model and the limits; a GPU that is here is asked for what the name's table only tells roughly.
    if (gpu.target.ok() && gpu.target->arch == target->arch && gpu.target->model == target->model) {
      return Place{*gpu.target, gpu.service.get(), gpu.device};
    }
  }
  return Place{*std::move(target), &seeds_, nullptr};
}

absl::StatusOr<Place> Machines::Resolve(const std::string& target) {
  Discover();
  return Find(target);
}

bool Machines::IsKnown() const {
  // One GPU that can't be asked must not make look-ups for another wait.
  return discovered_ || absl::Now() < retry_at_ || FirstGpu() != nullptr;
}

uint64_t Machines::Changes() {
  const std::lock_guard lock(mutex_);
  const bool known = IsKnown();
  // Once a discovery has asked for it, asking again starts nothing.
  std::string compiler = known ? compiler_.Version() : "";
  if (known != seen_known_ || compiler != seen_compiler_) {
    ++changes_;
    seen_known_ = known;
    seen_compiler_ = std::move(compiler);
  }
  return changes_;
}

absl::StatusOr<std::optional<Place>> Machines::ResolveKnown(const std::string& target) {
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    known = IsKnown();
  }
  if (!known && target.empty()) return std::nullopt;
  absl::StatusOr<Place> place = Find(target);
  if (!place.ok()) return place.status();
  if (!known) place->service = &lookup_;
  return *std::move(place);
}

std::vector<Machines::Known> Machines::KnownGpus() const {
  const std::lock_guard lock(mutex_);
  std::vector<Known> known;
  for (const Gpu& gpu : gpus_)
    known.push_back({gpu.target.ok() ? gpu.target->model : "", gpu.driver, gpu.target.status()});
  return known;
}

std::string Machines::KnownCompiler() const {
  const std::lock_guard lock(mutex_);
  return compiler_version_;
}

absl::Status Machines::InService(const Place& place) const {
  if (place.device == nullptr || in_service_ == nullptr) return absl::OkStatus();
  // The list of GPUs never changes, only what is known of them.
  for (size_t i = 0; i < gpus_.size(); ++i) {
    if (gpus_[i].device == place.device) return in_service_(i);
  }
  return absl::OkStatus();
}

Machines::Summary Machines::Describe() {
  Discover();
  const std::lock_guard lock(mutex_);
  const Gpu* gpu = FirstGpu();
  if (gpu != nullptr) return {*gpu->target, gpu->driver, ""};
  return {std::nullopt, "", gpus_.empty() ? no_gpu_ : std::string(gpus_[0].target.status().message())};
}

}  // namespace ladder
