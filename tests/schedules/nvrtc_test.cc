// Every kind of candidate through the real compiler for every architecture. Skipped, with the compiler's own words,
// where no NVRTC is installed.
#include "core/backend/cuda/nvrtc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "schedules/catalog.h"
#include "tests/emulator/emulator_device.h"
#include "tests/schedules/operators.h"

namespace ladder {
namespace {

const ScheduleCatalog& Catalog() {
  static const ScheduleCatalog& catalog = *new ScheduleCatalog(MakeCatalog());
  return catalog;
}

CudaCompiler& Nvrtc() {
  static CudaCompiler& compiler = *new CudaCompiler(Catalog().sources);
  return compiler;
}

struct Attempt {
  std::string name;
  CompileRequest request;
};

void Add(const Schedule& schedule, const NormalizedOperator& op, const Candidate& candidate, const Target& target,
         std::vector<Attempt>& attempts) {
  absl::StatusOr<LoweredKernel> lowered = schedule.Lower(op, candidate, target);
  ASSERT_TRUE(lowered.ok()) << candidate.ToString() << " for " << op.ToString() << ": " << lowered.status();
  attempts.push_back({absl::StrCat(candidate.ToString(), " for ", op.ToString()), {target.arch, lowered->source}});
}

std::vector<absl::StatusOr<CompiledKernel>> Compile(const std::vector<Attempt>& attempts) {
  std::vector<CompileRequest> requests;
  requests.reserve(attempts.size());
  for (const Attempt& attempt : attempts) requests.push_back(attempt.request);
  return Nvrtc().Compile(requests, nullptr);
}

class NvrtcTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!Nvrtc().Version().empty()) return;
    const CompileRequest nothing;
    GTEST_SKIP() << Nvrtc().Compile({&nothing, 1}, nullptr)[0].status().message();
  }
};

// One candidate of each schedule for each operator it serves, chosen so that parameters take all their values; a third
// of the operators on architectures that run the same kernels as a tested neighbour.
TEST_P(NvrtcTest, EveryKindOfCandidateCompiles) {
  const absl::StatusOr<Target> target = Target::FromName(GetParam());
  ASSERT_TRUE(target.ok()) << target.status();
  const size_t stride = GetParam() == "sm_80" || GetParam() == "sm_90a" ? 1 : 3;
  const int64_t kM[] = {1, 16, 64, 33, 512};
  std::vector<Attempt> attempts;
  for (const auto& schedule : Catalog().schedules) {
    PairCoverage coverage;
    size_t served = 0, turn = 0;
    for (const std::string file : {"quantised_operators.txt", "dense_operators.txt", "epilogue_operators.txt",
                                   "width_operators.txt", "byte_tile_operators.txt", "widened_operators.txt"}) {
      const std::vector<NormalizedOperator> operators = ReadOperators(file);
      // Of widened ones a fourth, of bytes a fifth, of the widths a seventh, the last (a table of 256 values) among
      // them: only their decode is new.
      const size_t step = file.starts_with("widened") ? 4 * stride
                          : file.starts_with("byte")  ? 5
                          : file.starts_with("width") ? 7 * stride
                                                      : stride;
      for (size_t i = 0; i < operators.size(); ++i) {
        const int64_t m = schedule->name() == "decode" ? kM[turn++ % 2] : kM[turn++ % 5];
        if ((operators.size() - 1 - i) % step != 0 || !schedule->Supports(operators[i], m, *target).ok()) continue;
        for (const Candidate& c : PickCandidates(schedule->Enumerate(operators[i], m, *target), 1, coverage)) {
          Add(*schedule, operators[i], c, *target, attempts);
          ++served;
        }
      }
    }
    // Every schedule runs here, or says that it needs what only one architecture has.
    EXPECT_TRUE(served > 0 ||
                (std::string(schedule->name()).find("wgmma") != std::string::npos && !target->has_wgmma()))
        << std::string(schedule->name()) << " serves nothing on " << GetParam();
  }
  const auto results = Compile(attempts);
  int spilled = 0;
  double ms = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_TRUE(results[i].ok()) << attempts[i].name << ": " << results[i].status();
    if (!results[i].ok()) continue;
    EXPECT_FALSE(results[i]->binary.empty()) << attempts[i].name;
    spilled += results[i]->spill_bytes > 0;
    ms += results[i]->compile_ms;
  }
  std::printf("%s: %zu kernels, %d spill, %.0f ms each\n", GetParam().c_str(), results.size(), spilled,
              ms / static_cast<double>(results.size()));
}

INSTANTIATE_TEST_SUITE_P(Architectures, NvrtcTest,
                         testing::Values("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

// What the policy ranks first must be worth running: no spills, no serialised warp group products.
TEST_F(NvrtcTest, FirstChoicesOfTheMainShapesDoNotSpill) {
  const absl::StatusOr<Target> target = Target::FromName("h200");
  ASSERT_TRUE(target.ok());
  std::vector<Attempt> attempts;
  struct Shape {
    const char* w;
    std::vector<int64_t> m;
    const char* act = "";
    bool residual = false;
    const char* a = "fp16";
  };
  for (const Shape& shape : {Shape{"int4", {1, 16, 64, 256, 4096}},
                             Shape{"nf4", {1, 16, 64, 256, 4096}},
                             Shape{"fp16", {1, 16, 64, 256, 4096}},
                             Shape{"int4", {1, 256, 4096}, "swiglu"},
                             Shape{"nf4", {16, 4096}, "gelu", true},
                             Shape{"fp16", {4096}, "silu", true},
                             Shape{"int8", {64, 4096}},
                             Shape{"fp8_e4m3", {1, 64, 4096}},
                             Shape{"fp8_e4m3", {64}, "", false, "bf16"},
                             Shape{"int8", {16}, "", false, "bf16"},
                             Shape{"int8", {1, 16, 64, 256, 4096}, "", false, "int8"},
                             Shape{"fp8_e4m3", {1, 16, 64, 256, 4096}, "", true, "fp8_e4m3"},
                             Shape{"fp8_e5m2", {4096}, "", false, "fp8_e4m3"},
                             Shape{"int4", {1, 64, 4096}, "", false, "int8"},
                             Shape{"int1", {1}, "", false, "int8"},
                             Shape{"int4", {1, 4096}, "", false, "fp8_e4m3"},
                             Shape{"mxfp8", {1, 16, 64, 256, 4096}, "", false, "mxfp8"},
                             Shape{"mxfp4", {64, 4096}, "", false, "mxfp8"},
                             Shape{"nvfp4", {64}, "", false, "fp8_e4m3"},
                             Shape{"mxfp8", {64, 4096}}}) {
    for (const int64_t m : shape.m) {
      OperatorDescriptor d;
      d.a = shape.a;
      d.w = shape.w;
      if (d.a == "int8" || d.a.starts_with("fp8")) d.a_scale = "row";
      d.act = shape.act;
      d.residual = d.output_scale = d.bias = shape.residual;
      d.n = 8192;
      d.k = 8192;
      const absl::StatusOr<NormalizedOperator> op = Normalize(d);
      ASSERT_TRUE(op.ok()) << op.status();
      const Schedule* best_schedule = nullptr;
      Candidate best;
      double best_us = 0;
      for (const auto& schedule : Catalog().schedules) {
        if (!schedule->Supports(*op, m, *target).ok()) continue;
        for (const Candidate& candidate : schedule->Enumerate(*op, m, *target)) {
          const double us = schedule->Predict(*op, m, candidate, *target);
          if (best_schedule == nullptr || us < best_us) best_schedule = schedule.get(), best = candidate, best_us = us;
        }
      }
      ASSERT_NE(best_schedule, nullptr);
      Add(*best_schedule, *op, best, *target, attempts);
    }
  }
  const auto results = Compile(attempts);
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].ok()) << attempts[i].name << ": " << results[i].status();
    EXPECT_EQ(results[i]->spill_bytes, 0) << attempts[i].name;
    std::printf("%3d registers, %4.0f ms: %s\n", results[i]->registers, results[i]->compile_ms,
                attempts[i].name.c_str());
  }
}

}  // namespace
}  // namespace ladder
