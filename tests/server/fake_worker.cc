// A worker program that behaves as the request says: tests of everything that goes wrong between the service and its
// workers. Sources and binaries that name no misbehaviour are "compiled", "verified" and "timed" without being looked
// at.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "core/store/keys.h"
#include "schedules/embedded_sources.h"
#include "server/worker/worker_main.h"
#include "tests/server/ordered_fault.h"

namespace ladder {
namespace {

void WriteRaw(const void* data, size_t size) {
  if (::write(3, data, size) < 0) std::abort();
}

// Milliseconds that each verification takes, so that a test can come in between.
int Delay() {
  const char* delay = std::getenv("LADDER_FAKE_DELAY_MS");
  return delay == nullptr ? 0 : std::atoi(delay);
}

void Misbehave(const std::string& text) {
  const auto says = [&](const char* word) { return text.find(word) != std::string::npos; };
  if (const size_t at = text.find("crash-once:"); at != std::string::npos) {
    const std::string marker = text.substr(at + 11, text.find('\n', at) - at - 11);
    if (!std::ifstream(marker)) {
      std::ofstream(marker) << "crashed";
      std::abort();
    }
    return;
  }
  if (says("!segfault")) {
    ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has a handler of its own, which exits
    ::raise(SIGSEGV);
  }
  if (says("!abort")) std::abort();
  if (says("!exit")) ::_exit(7);
  if (says("!hang")) std::this_thread::sleep_for(std::chrono::hours(1));
  if (says("!garbage")) WriteRaw("\x05\x00\x00\x00\xff\xff\xff\xff\xff", 9);
  if (says("!oversize")) WriteRaw("\xff\xff\xff\xff", 4);
  if (says("!half")) {  // promises more than it sends
    WriteRaw("\x64\x00\x00\x00half", 8);
    ::_exit(0);
  }
  if (says("!memory")) {
    constexpr size_t kBytes = size_t{256} << 20;
    auto* block =
        static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (block == MAP_FAILED) std::abort();  // as compilers end that meet their limit
    std::memset(block, 1, kBytes);
    std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

// What the faults of a GPU's kernel look like from here.
std::string OrderedMisbehaviour(const std::string& fault) {
  if (fault.empty()) return "";
  return fault == "loop" ? "!hang" : "!illegal " + fault;
}

class FakeCompiler final : public Compiler {
 public:
  std::string Version() const override { return "fake compiler 1"; }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>&) override {
    std::vector<absl::StatusOr<CompiledKernel>> results;
    for (const CompileRequest& request : requests) {
      Misbehave(request.source.text);
      if (request.source.text.find("!error") != std::string::npos) {
        results.push_back(absl::InvalidArgumentError("error: expected ';'"));
        continue;
      }
      CompiledKernel kernel;
      kernel.binary = "binary of " + request.arch + " " + request.source.text;
      // The support kernels have no single entry.
      if (!request.entry.empty()) kernel.binary += OrderedMisbehaviour(TakeOrderedFault());
      kernel.registers = 64;
      results.push_back(kernel);
    }
    return results;
  }
};

class FakeDevice final : public Device {
 public:
  absl::StatusOr<Target> GetTarget() override { return Target::FromName("h200"); }
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override { return DeviceEnvironment{"fake driver 1", "gpu-fake"}; }
  // "PROCESSES BUSY_PERCENT" in a file; nothing is known without.
  absl::StatusOr<DeviceConditions> GetConditions() override {
    DeviceConditions conditions;
    const char* const path = std::getenv("LADDER_FAKE_CONDITIONS_FILE");
    int processes = 0, busy = 0;
    if (path == nullptr || !(std::ifstream(path) >> processes >> busy)) return conditions;
    conditions.other_processes = processes;
    conditions.busy_percent = busy;
    return conditions;
  }
  absl::Status LoadSupport(const CompiledKernel&) override {
    loaded_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<Verification> Verify(const Workload&, const KernelBinary& kernel) override {
    if (!loaded_) return absl::FailedPreconditionError("the support kernels are not loaded");
    if (const char* fault = std::getenv("LADDER_FAKE_FAULT"); fault != nullptr) Misbehave(fault);
    Misbehave(kernel.binary);
    if (kernel.binary.find("!illegal misaligned") != std::string::npos) {
      return absl::InternalError("CUDA_ERROR_MISALIGNED_ADDRESS");
    }
    if (kernel.binary.find("!illegal") != std::string::npos) return absl::InternalError("CUDA_ERROR_ILLEGAL_ADDRESS");
    std::this_thread::sleep_for(std::chrono::milliseconds(Delay()));
    Verification verification;
    verification.passed = true;
    verification.worst_ratio = 0.5;
    if (kernel.binary.find("!lie") != std::string::npos) verification.wrong_elements = 3;
    return verification;
  }
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload&, std::span<const KernelBinary> kernels,
                                                   const ProfilePolicy&) override {
    std::vector<Measurement> measurements;
    for (const KernelBinary& kernel : kernels) {
      Misbehave(kernel.binary);
      if (kernel.binary.find("!fewer") != std::string::npos) break;
      // Any order will do, as long as it is the same each time.
      const double us = 1.0 + std::strtol(Sha256Hex(kernel.binary).substr(0, 4).c_str(), nullptr, 16) / 1000.0;
      measurements.push_back({kernel.binary.find("!negative") != std::string::npos ? -us : us, 0.01, 7, 1.5});
    }
    return measurements;
  }
  absl::StatusOr<Measurement> ProfileYardstick(const Workload&, absl::string_view yardstick,
                                               const ProfilePolicy&) override {
    if (yardstick == "empty") return Measurement{2.0, 0.1, 7, 1.5};
    return absl::UnimplementedError("this device has no such library");
  }

 private:
  bool loaded_ = false;
};

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) {
  const std::string sources = ladder::EmbeddedSourcesDigest();
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--foreign") == 0) {
      ladder::FakeCompiler compiler;
      return ladder::RunCompileWorker(compiler, "other sources");
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their shadows are address space, too
    if (std::strcmp(argv[i], "--memory-bytes") == 0 && i + 1 < argc) {
      ladder::LimitAddressSpace(std::atoll(argv[i + 1]));
    }
#endif
    if (std::strcmp(argv[i], "--mute") == 0) std::this_thread::sleep_for(std::chrono::hours(1));
    if (std::strcmp(argv[i], "--gpu") == 0) {
      ladder::FakeDevice device;
      return ladder::RunProfileWorker(device, sources);
    }
  }
  ladder::FakeCompiler compiler;
  return ladder::RunCompileWorker(compiler, sources);
}
