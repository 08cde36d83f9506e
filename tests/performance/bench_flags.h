// The command line of ladder-bench.
#ifndef LADDER_TESTS_PERFORMANCE_BENCH_FLAGS_H_
#define LADDER_TESTS_PERFORMANCE_BENCH_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/performance/bench_compile.h"

namespace ladder {

struct BenchFlags {
  std::string shapes = "4096x4096,28672x4096,8192x8192,8192x28672";
  std::string m = "1,16,64,256,4096";
  std::string w = "int4,nf4";
  std::string a = "fp16";
  std::string a_scale, zeros, scale, out;
  int64_t group = 128;
  bool bias = false, output_scale = false, residual = false;
  std::string act;
  std::string schedules, only;  // only: candidates separated by ';'
  int candidates = 24;
  int finalists = 4;
  std::string yardsticks = "fp16";
  bool all = false, dry_run = false, keep_rejected = false;
  std::string dump;
  std::string target = "h200";  // of a dry run
  int device = 0;
  int64_t memory_mib = 16384;
  int threads = 0;
  double timeout_s = 20;  // of one step on the GPU
  double budget_s = 540;  // of the whole run
  int repeats = 7;
  double replay_ms = 2;
  std::string json, commit;
  std::string traces;        // file for the times of every candidate (policy_trace.h)
  int repeat_selection = 0;  // tune each operator so often instead
  bool record = false;       // the operators of the record, whatever the flags above say
  bool m_sweep = false;      // time every M with the kernel that the service chooses for it
  std::string kernels_for;   // architecture whose kernels are timed, compiled to PTX; empty: the GPU's own
  bool mix = false;          // one weight element a problem, by turns
  // Set by the program when it starts itself again after a lost GPU.
  size_t first = 0;
  std::string rows;
  std::vector<std::string> deny;
  double started_unix = 0;

  // Where the operators of `traces` are kept, a line each, until the run ends.
  std::string trace_rows() const { return rows + ".traces"; }
};

// InvalidArgument naming the flag. `--help` gives Cancelled, the help as its message.
absl::StatusOr<BenchFlags> ParseBenchFlags(const std::vector<std::string>& arguments);
absl::StatusOr<std::vector<BenchProblem>> MakeProblems(const BenchFlags& flags);
// Of a sweep: the operators, and every value of the list and of its ranges, ascending.
absl::StatusOr<std::vector<NormalizedOperator>> MakeOperators(const BenchFlags& flags);
absl::StatusOr<std::vector<int64_t>> EveryM(const BenchFlags& flags);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_BENCH_FLAGS_H_
