// A schedule, a compiler and a device of a few lines each, whose behaviour a test chooses per candidate. They test the
// tuning logic; kernels are tested by the emulator and on the GPU.
#ifndef LADDER_TESTS_CORE_FAKES_H_
#define LADDER_TESTS_CORE_FAKES_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"
#include "core/schedule/schedule.h"

namespace ladder {

// Candidates name(x=1) .. name(x=count), predicted to take x * predicted_us.
class FakeSchedule : public Schedule {
 public:
  FakeSchedule(std::string name, int count, double predicted_us)
      : count_(count), name_(std::move(name)), predicted_us_(predicted_us) {}
  absl::string_view name() const override { return name_; }
  int revision() const override { return revision_; }
  absl::Status Supports(const NormalizedOperator&, int64_t, const Target&) const override {
    return count_ > 0 ? absl::OkStatus() : absl::UnimplementedError("never");
  }
  std::vector<Candidate> Enumerate(const NormalizedOperator&, int64_t, const Target&) const override {
    std::vector<Candidate> candidates;
    for (int x = count_; x >= 1; x--) candidates.push_back({name_, {{"x", x}}});
    return candidates;
  }
  absl::StatusOr<LoweredKernel> Lower(const NormalizedOperator&, const Candidate& c, const Target&) const override {
    LoweredKernel lowered;
    lowered.source.text = c.ToString();
    lowered.launch.threads = 128;
    lowered.launch.max_m = max_m_;
    return lowered;
  }
  double Predict(const NormalizedOperator&, int64_t, const Candidate& c, const Target&) const override {
    return static_cast<double>(c["x"]) * predicted_us_;
  }
  int revision_ = 1;
  int64_t max_m_ = kMaxDimension;
  int count_;

 private:
  std::string name_;
  double predicted_us_;
};

// The binary is the text; candidates named in `fails` do not compile, those in `spills` spill.
class FakeCompiler : public Compiler {
 public:
  std::string Version() const override { return version; }
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override {
    std::vector<absl::StatusOr<CompiledKernel>> results;
    for (size_t i = 0; i < requests.size(); i++) {
      compiled++;
      const std::string& text = requests[i].source.text;
      CompiledKernel kernel;
      kernel.binary = "binary of " + text;
      kernel.registers = 32;
      if (text == spills) kernel.spill_bytes = 8;
      if (version.empty()) {
        results.push_back(absl::FailedPreconditionError("no compiler was found"));
      } else if (text == fails) {
        results.push_back(absl::InvalidArgumentError("error: expected ';'"));
      } else {
        results.push_back(kernel);
      }
      if (done) done(i);
    }
    return results;
  }
  std::string version = "fake 1";
  std::string fails, spills;
  std::atomic<int> compiled = 0;
};

// Times come from `time_us(candidate text)`, or from `time_us_at`.
class FakeDevice : public Device {
 public:
  absl::StatusOr<Target> GetTarget() override {
    if (!down.ok()) return down;
    return *Target::FromName("h200");
  }
  absl::StatusOr<DeviceEnvironment> GetEnvironment() override { return DeviceEnvironment{driver, "fake"}; }
  absl::StatusOr<DeviceConditions> GetConditions() override {
    return conditions ? conditions() : DeviceConditions{.other_processes = 0};
  }
  absl::Status LoadSupport(const CompiledKernel&) override { return absl::OkStatus(); }
  void PrepareVerify(const Workload& workload) override {
    const std::lock_guard lock(mutex);
    prepared.push_back(workload.m);
  }
  absl::StatusOr<Verification> Verify(const Workload& workload, const KernelBinary& kernel) override {
    if (on_verify) on_verify();
    verified++;
    const std::string text = Text(kernel);
    {
      const std::lock_guard lock(mutex);
      verified_at.emplace(text, workload.m);
    }
    if (text == crashes) return absl::InternalError("an illegal memory access was encountered");
    if (text == denied) return absl::PermissionDeniedError("this kernel killed two profile workers");
    if (text == greedy || greedy == "all") return absl::ResourceExhaustedError("no memory");
    Verification v;
    v.passed = text != wrong && workload.m != wrong_at;
    v.wrong_elements = v.passed ? 0 : 3;
    v.detail = v.passed ? "" : "y[0, 0] = 1";
    return v;
  }
  absl::StatusOr<std::vector<Measurement>> Profile(const Workload& workload, std::span<const KernelBinary> kernels,
                                                   const ProfilePolicy&) override {
    std::vector<Measurement> results;
    if (kernels.size() > 1 && !final_error.ok()) return final_error;
    for (const KernelBinary& kernel : kernels) {
      const std::string text = Text(kernel);
      results.push_back({time_us_at ? time_us_at(text, workload.m) : time_us(text), 0.01, 3, 1.9});
    }
    if (on_profile) on_profile(results);
    return results;
  }
  absl::StatusOr<Measurement> ProfileYardstick(const Workload&, absl::string_view, const ProfilePolicy&) override {
    return absl::UnimplementedError("none");
  }
  static std::string Text(const KernelBinary& kernel) { return kernel.binary.substr(std::string("binary of ").size()); }

  std::function<double(const std::string&)> time_us = [](const std::string&) { return 1.0; };
  std::function<double(const std::string&, int64_t)> time_us_at;  // by M too, in the place of time_us
  std::function<void()> on_verify;
  std::function<void(std::vector<Measurement>&)> on_profile;  // may change the results
  std::function<DeviceConditions()> conditions;               // without it: nobody else is here
  absl::Status down;
  std::string driver = "580.1";
  std::string crashes, wrong, denied, greedy;
  int64_t wrong_at = 0;      // rows at which every kernel is
  absl::Status final_error;  // of timing several
  std::atomic<int> verified = 0;
  std::mutex mutex;
  std::vector<int64_t> prepared;                          // rows
  std::set<std::pair<std::string, int64_t>> verified_at;  // candidate and rows
};

// A catalog of one FakeSchedule, "near", with so many candidates.
inline ScheduleCatalog NearCatalog(int count) {
  ScheduleCatalog catalog;
  catalog.schedules.push_back(std::make_unique<FakeSchedule>("near", count, 1.0));
  catalog.sources_digest = "sources 1";
  catalog.support.text = "support";
  return catalog;
}

inline NormalizedOperator SmallOperator() {
  OperatorDescriptor d;
  d.n = d.k = 256;
  return *Normalize(d);
}

}  // namespace ladder

#endif  // LADDER_TESTS_CORE_FAKES_H_
