// Every schedule on the hardware: candidates spread over each one's space, on ordinary and odd shapes, every weight
// type, zero, group and output, each at several M.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/gpu/gpu_test.h"
#include "tests/gpu/natural_weight.h"

namespace ladder {

// Without it the list of tests shows a descriptor's bytes.
static void PrintTo(const OperatorDescriptor& op, std::ostream* out) {
  *out << op.a << " x " << op.w << ", N " << op.n << ", K " << op.k;
}
namespace {

size_t CandidatesPerSchedule() {
  const char* const text = std::getenv("LADDER_GPU_CANDIDATES");
  int count = 0;
  return text != nullptr && absl::SimpleAtoi(text, &count) && count > 0 ? count : 3;
}

// `count` of them, the first and the last included.
std::vector<Candidate> Spread(const std::vector<Candidate>& all, size_t count) {
  if (all.size() <= count) return all;
  std::vector<Candidate> out;
  for (size_t i = 0; i < count; i++) out.push_back(all[count == 1 ? 0 : i * (all.size() - 1) / (count - 1)]);
  return out;
}

struct Job {
  std::string name;
  LoweredKernel lowered;
  std::set<int64_t> ms;
};

class EverySchedule : public GpuTest, public testing::WithParamInterface<OperatorDescriptor> {};

TEST_P(EverySchedule, IsWithinTheBoundAtEveryM) {
  const NormalizedOperator op = MakeOperator(GetParam());
  std::map<std::string, Job> jobs;  // by source: some serve several M
  for (const int64_t m : {1, 16, 48, 600}) {
    for (const auto& schedule : gpu().catalog.schedules) {
      if (!schedule->Supports(op, m, gpu().target).ok()) continue;
      for (const Candidate& candidate : Spread(schedule->Enumerate(op, m, gpu().target), CandidatesPerSchedule())) {
        absl::StatusOr<LoweredKernel> lowered = schedule->Lower(op, candidate, gpu().target);
        ASSERT_TRUE(lowered.ok()) << candidate.ToString() << ": " << lowered.status();
        std::string key = lowered->source.text;
        for (const auto& [name, text] : lowered->source.extra_headers) absl::StrAppend(&key, name, text);
        Job& job = jobs[key];
        job.name = candidate.ToString();
        job.lowered = *std::move(lowered);
        // Its own M, one row, an odd number, and more rows than one launch takes where that is few.
        job.ms.insert({m, 1, 7});
        if (job.lowered.launch.max_m < 512) job.ms.insert(2 * job.lowered.launch.max_m + 3);
        if (m > 100) job.ms.insert(m - 75);
      }
    }
  }
  ASSERT_FALSE(jobs.empty()) << "no schedule serves " << op.ToString();
  std::vector<CompileRequest> requests;
  std::vector<const Job*> order;
  for (const auto& [key, job] : jobs) {
    requests.push_back({gpu().target.arch, job.lowered.source, job.lowered.launch.entry});
    order.push_back(&job);
  }
  const std::vector<absl::StatusOr<CompiledKernel>> compiled = gpu().compiler->Compile(requests, nullptr);
  // One M after the other, so that its reference serves all kernels.
  std::set<int64_t> ms;
  for (const Job* job : order) ms.insert(job->ms.begin(), job->ms.end());
  for (size_t i = 0; i < order.size(); i++) {
    EXPECT_TRUE(compiled[i].ok()) << order[i]->name << ": " << compiled[i].status();
  }
  int verified = 0;
  for (const int64_t m : ms) {
    for (size_t i = 0; i < order.size(); i++) {
      if (!compiled[i].ok() || !order[i]->ms.contains(m)) continue;
      const absl::StatusOr<Verification> result =
          gpu().device->Verify({op, m, 100 + static_cast<uint64_t>(m)},
                               {compiled[i]->binary, order[i]->lowered.launch, order[i]->lowered.numerics});
      ASSERT_TRUE(result.ok()) << op.ToString() << " m=" << m << " " << order[i]->name << ": " << result.status();
      EXPECT_TRUE(result->passed) << op.ToString() << " m=" << m << " " << order[i]->name << ": ratio "
                                  << result->worst_ratio << ", norm " << result->relative_norm << ": "
                                  << result->detail;
      verified++;
    }
  }
  RecordProperty("kernels", static_cast<int>(order.size()));
  RecordProperty("verified", verified);
}

// 128 values that no float has, of which bf16 rounds some.
ElementDefinition Table7() {
  ElementDefinition table = {.bits = 7, .table = {}, .layout = {}};
  for (int code = 0; code < 128; code++) table.table.push_back(static_cast<float>(code * 37 % 128) / 51.0f - 1.2f);
  return table;
}

std::vector<OperatorDescriptor> Cases() {
  return {
      {.w = "int4", .group = 128, .n = 1024, .k = 2048},
      {.a = "bf16", .w = "int4", .group = 64, .n = 576, .k = 1024},
      {.w = "int4", .out = "fp32", .group = -1, .bias = true, .n = 200, .k = 1000},
      {.w = "int4", .group = 16, .n = 72, .k = 176},
      {.w = "nf4", .group = 64, .n = 1024, .k = 1024},
      {.a = "bf16", .w = "nf4", .scale = "fp16", .group = 128, .bias = true, .n = 264, .k = 640},
      {.w = "nf4", .out = "bf16", .group = -1, .n = 97, .k = 328},
      {.w = "uint4", .zeros = "original", .group = 128, .n = 512, .k = 1024},
      {.a = "bf16", .w = "uint4", .zeros = "rescale", .group = 32, .n = 320, .k = 512},
      {.w = "uint4", .zeros = "quantized", .group = 128, .n = 512, .k = 1024},
      {.a = "bf16", .w = "uint4", .zeros = "quantized", .group = 16, .n = 130, .k = 272},
      {.w = "uint4", .scale = "bf16", .zeros = "rescale", .group = -1, .n = 64, .k = 64},
      {.w = "uint4", .n = 128, .k = 320},
      {.w = "int1", .group = 128, .n = 512, .k = 1024},
      {.a = "bf16", .w = "int2", .group = -1, .bias = true, .n = 200, .k = 328},
      {.w = "uint3", .zeros = "quantized", .group = 32, .n = 320, .k = 512},
      {.a = "bf16", .w = "uint5", .zeros = "rescale", .group = 64, .n = 264, .k = 640},
      {.w = "uint6", .zeros = "quantized", .group = 128, .n = 512, .k = 1024},
      {.a = "bf16", .w = "uint8", .zeros = "quantized", .group = 64, .n = 512, .k = 1024},
      {.a = "bf16", .w = "int8", .group = 128, .act = "swiglu", .n = 528, .k = 1024},
      {.w = "uint8", .group = 128, .act = "swiglu", .n = 528, .k = 4096},
      {.w = "int8", .scale = "e8m0", .act = "swiglu", .n = 272, .k = 2048},
      {.w = "uint6", .scale = "fp8_e4m3", .group = 32, .act = "swiglu", .n = 272, .k = 2048},
      {.w = "fp8_e4m3", .group = 128, .n = 512, .k = 1024},
      {.a = "bf16", .w = "fp8_e4m3", .group = 16, .n = 200, .k = 352},
      {.w = "fp8_e5m2", .out = "fp32", .group = -1, .n = 264, .k = 640},
      {.a = "bf16", .w = "mxfp6_e2m3", .n = 320, .k = 512},
      {.w = "fp6_e3m2", .group = 64, .n = 512, .k = 1024},
      {.a = "bf16", .w = "table7", .element = Table7(), .group = 64, .n = 320, .k = 1024},
      {.w = "int4", .n = 65, .k = 77},  // rows of x that no 16-byte load can read
      {.w = "fp16", .n = 1024, .k = 1024},
      {.a = "bf16", .w = "bf16", .out = "fp32", .bias = true, .n = 200, .k = 328},
      {.w = "fp16", .out = "bf16", .n = 67, .k = 51},
      {.w = "int4", .group = 64, .bias = true, .act = "silu", .residual = true, .n = 520, .k = 2048},
      {.a = "int8", .w = "int4", .a_scale = "row", .group = 128, .n = 576, .k = 2048},
      {.a = "int8", .w = "uint3", .zeros = "quantized", .group = 64, .n = 320, .k = 1024},
      {.a = "int8", .w = "int1", .a_scale = "tensor", .group = -1, .n = 200, .k = 1040},
      {.a = "fp8_e4m3", .w = "int4", .a_scale = "row", .group = 128, .n = 512, .k = 1024},
      {.a = "fp8_e5m2", .w = "mxfp6_e3m2", .out = "fp32", .n = 256, .k = 1024},
      {.a = "int8", .w = "int4", .a_scale = "row", .group = 128, .bias = true, .act = "swiglu", .n = 528, .k = 1024},
      {.a = "fp8_e4m3", .w = "mxfp4", .tensor_scale = true, .act = "swiglu", .n = 272, .k = 1024},
      {.a = "mxfp8", .w = "mxfp8", .n = 576, .k = 2048},
      {.a = "mxfp8_e5m2", .w = "mxfp4", .bias = true, .act = "silu", .n = 264, .k = 1056},
      {.a = "mxfp8", .w = "nvfp4", .out = "fp32", .n = 320, .k = 1024},
      {.a = "fp8_e4m3", .w = "nvfp4", .a_scale = "row", .n = 512, .k = 1024},
      {.a = "fp8_e5m2", .w = "nf4", .group = 64, .n = 320, .k = 640},
      {.a = "int8", .w = "uint4", .zeros = "original", .a_scale = "row", .group = 16, .n = 320, .k = 1024},
      {.a = "int8", .w = "int8", .a_scale = "group128", .group = -1, .n = 512, .k = 1024},
      {.a = "fp8_e4m3", .w = "fp8_e4m3", .a_scale = "group128", .out = "fp32", .group = 128, .n = 320, .k = 1152},
      {.w = "mxfp8", .n = 320, .k = 1056},
      {.w = "int4", .group = 128, .bias = true, .act = "swiglu", .n = 1040, .k = 2048},
      {.a = "bf16", .w = "nf4", .act = "swiglu", .output_scale = true, .residual = true, .n = 208, .k = 1024},
      {.w = "nf4", .out = "fp32", .act = "gelu", .output_scale = true, .n = 200, .k = 1024},
      {.a = "bf16", .w = "bf16", .act = "gelu_tanh", .output_scale = true, .residual = true, .n = 136, .k = 2048}};
}

INSTANTIATE_TEST_SUITE_P(Cases, EverySchedule, testing::ValuesIn(Cases()),
                         [](const auto& info) { return absl::StrCat(info.index, "_", CaseName(info.param)); });

}  // namespace
}  // namespace ladder
