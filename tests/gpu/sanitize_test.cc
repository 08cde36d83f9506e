// Each schedule's kernels once, at the corners of its parameters and small shapes, so that compute-sanitizer ends
// within a minute. Without a sanitizer it is one more verification. The command is in tests/README.md.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "tests/gpu/gpu_test.h"

namespace ladder {
namespace {

// The first candidates that have the least and the greatest value of each parameter: with and without splits, clusters
// and pair tables, the fewest and the most stages, warps and loads.
std::vector<Candidate> Corners(const std::vector<Candidate>& all) {
  std::map<std::string, std::pair<const Candidate*, const Candidate*>> extremes;
  for (const Candidate& candidate : all) {
    for (const auto& [name, value] : candidate.parameters) {
      auto& [least, most] = extremes[name];
      if (least == nullptr || value < (*least)[name]) least = &candidate;
      if (most == nullptr || value > (*most)[name]) most = &candidate;
    }
  }
  std::set<const Candidate*> corners;
  for (const auto& [name, ends] : extremes) corners.insert({ends.first, ends.second});
  std::vector<Candidate> out;
  for (const Candidate* corner : corners) out.push_back(*corner);
  return out;
}

struct Job {
  std::string name;
  NormalizedOperator op;
  int64_t m;
  LoweredKernel lowered;
};

TEST(Corners, HaveTheExtremesOfEveryParameter) {
  std::vector<Candidate> all;
  for (int64_t a = 1; a <= 4; a++) {
    for (int64_t b = 0; b <= 1; b++) all.push_back({"s", {{"a", a}, {"b", b}}});
  }
  const std::vector<Candidate> corners = Corners(all);
  EXPECT_LE(corners.size(), 4u);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, int64_t>>{{"a", 1}, {"a", 4}, {"b", 0}, {"b", 1}}) {
    bool found = false;
    for (const Candidate& corner : corners) found = found || corner[name] == value;
    EXPECT_TRUE(found) << name << "=" << value;
  }
  EXPECT_TRUE(Corners({}).empty());
}

// By operator, M and source, so that one reference serves neighbours; `schedules` gets the names of those that have
// one.
std::map<std::string, Job> Jobs(const ScheduleCatalog& catalog, const Target& target,
                                std::set<std::string>& schedules) {
  // N and K with and without tails of the blocks, scale groups and zeros of every kind, the epilogues that add loads.
  const std::vector<OperatorDescriptor> descriptors = {
      {.w = "int4", .group = 128, .n = 256, .k = 1024},
      {.w = "nf4", .group = 64, .n = 192, .k = 512},
      {.w = "uint4", .zeros = "original", .group = 64, .n = 128, .k = 512},
      {.a = "bf16", .w = "uint4", .zeros = "rescale", .group = 32, .n = 128, .k = 320},
      {.w = "uint4", .zeros = "quantized", .group = 128, .n = 128, .k = 512},
      {.w = "int4", .group = -1, .bias = true, .residual = true, .n = 72, .k = 200},
      {.w = "int4", .group = 128, .act = "swiglu", .n = 256, .k = 512},
      {.a = "int8", .w = "int4", .a_scale = "row", .group = 128, .n = 256, .k = 1024},
      {.a = "fp8_e4m3", .w = "fp4_e2m1", .group = 64, .n = 128, .k = 512},
      {.w = "int3", .group = 128, .n = 128, .k = 512},
      {.w = "fp8_e4m3", .group = 64, .n = 128, .k = 320},
      {.a = "int8", .w = "int4", .a_scale = "row", .group = 128, .n = 128, .k = 1024},
      {.a = "fp8_e4m3", .w = "int2", .group = 64, .n = 72, .k = 640},
      {.w = "fp16", .n = 136, .k = 256}};
  std::map<std::string, Job> jobs;
  for (const OperatorDescriptor& descriptor : descriptors) {
    const NormalizedOperator op = MakeOperator(descriptor);
    for (const int64_t m : {3, 130}) {
      for (const auto& schedule : catalog.schedules) {
        if (!schedule->Supports(op, m, target).ok()) continue;
        for (const Candidate& candidate : Corners(schedule->Enumerate(op, m, target))) {
          absl::StatusOr<LoweredKernel> lowered = schedule->Lower(op, candidate, target);
          EXPECT_TRUE(lowered.ok()) << candidate.ToString() << ": " << lowered.status();
          if (!lowered.ok()) continue;
          std::string key = absl::StrCat(op.ToString(), m, lowered->source.text);
          for (const auto& [name, text] : lowered->source.extra_headers) absl::StrAppend(&key, name, text);
          schedules.insert(std::string(schedule->name()));
          jobs.insert({key, {candidate.ToString(), op, m, *std::move(lowered)}});
        }
      }
    }
  }
  return jobs;
}

TEST(Corners, OfEveryScheduleAreFewEnoughForASanitizer) {
  const ScheduleCatalog catalog = MakeCatalog();
  std::set<std::string> schedules;
  const std::map<std::string, Job> jobs = Jobs(catalog, *Target::FromName("h100"), schedules);
  EXPECT_EQ(schedules.size(), catalog.schedules.size());
  EXPECT_LE(jobs.size(), 450u);  // 407 take 118 s, memcheck and racecheck beside each other
}

class Sanitize : public GpuTest {};

TEST_F(Sanitize, EveryScheduleAtTheCornersOfItsParameters) {
  std::set<std::string> schedules;
  const std::map<std::string, Job> jobs = Jobs(gpu().catalog, gpu().target, schedules);
  ASSERT_FALSE(schedules.empty());
  std::vector<CompileRequest> requests;
  for (const auto& [key, job] : jobs) {
    requests.push_back({gpu().target.arch, job.lowered.source, job.lowered.launch.entry});
    // Orders of memory that racecheck doesn't see in the instructions (schedules/matmul/wgmma.cuh).
    requests.back().source.text.insert(0, "#define LADDER_EVERY_LANE_RELEASES\n");
  }
  const std::vector<absl::StatusOr<CompiledKernel>> compiled = gpu().compiler->Compile(requests, nullptr);
  size_t i = 0;
  for (const auto& [key, job] : jobs) {
    const absl::StatusOr<CompiledKernel>& kernel = compiled[i++];
    ASSERT_TRUE(kernel.ok()) << job.name << ": " << kernel.status();
    // A sanitizer knows every kernel by the same name: what it finds is of the last one named before.
    std::printf("%s m=%d %s\n", job.op.ToString().c_str(), static_cast<int>(job.m), job.name.c_str());
    std::fflush(stdout);
    const absl::StatusOr<Verification> result =
        gpu().device->Verify({job.op, job.m, 1}, {kernel->binary, job.lowered.launch, job.lowered.numerics});
    ASSERT_TRUE(result.ok()) << job.op.ToString() << " m=" << job.m << " " << job.name << ": " << result.status();
    EXPECT_TRUE(result->passed) << job.op.ToString() << " m=" << job.m << " " << job.name << ": " << result->detail;
  }
  RecordProperty("kernels", static_cast<int>(jobs.size()));
  std::printf("%zu kernels of %zu schedules\n", jobs.size(), schedules.size());
}

}  // namespace
}  // namespace ladder
