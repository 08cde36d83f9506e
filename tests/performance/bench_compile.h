// Plans the problems of a benchmark and compiles their candidates ahead of the measuring thread.
#ifndef LADDER_TESTS_PERFORMANCE_BENCH_COMPILE_H_
#define LADDER_TESTS_PERFORMANCE_BENCH_COMPILE_H_

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"
#include "core/operator/operator.h"
#include "core/schedule/schedule.h"
#include "core/target/target.h"

namespace ladder {

struct BenchProblem {
  NormalizedOperator op;
  int64_t m = 1;
};

struct BenchSelection {
  int candidates = 24;
  std::set<std::string> schedules;  // empty: all
  std::vector<std::string> only;    // candidates by their text; empty: what the policy ranks best
  std::string arch;                 // what the compiler is told; empty: the target's
  std::set<std::string> denied;     // DenyKey of candidates that broke the GPU before
};

struct BenchCandidate {
  Candidate candidate;
  double predicted_us = 0;
  LoweredKernel lowered;
  std::shared_ptr<const CompiledKernel> kernel;  // null: see reason
  std::string reason;
};

struct BenchJob {
  size_t index = 0;
  BenchProblem problem;
  std::vector<BenchCandidate> candidates;
  std::string error;  // nothing serves it, or nothing compiled
  double compile_ms = 0;
};

std::string DenyKey(const BenchProblem& problem, const Candidate& candidate);

// One thread plans and compiles (in parallel, through the compiler) while the caller measures what is ready.
class CompileAhead {
 public:
  CompileAhead(const ScheduleCatalog& catalog, Compiler& compiler, Target target, BenchSelection selection,
               std::vector<BenchProblem> problems, size_t first);
  ~CompileAhead();
  // The next job in order, or null after the last.
  std::unique_ptr<BenchJob> Next();

 private:
  void Run(size_t first);
  std::unique_ptr<BenchJob> MakeJob(size_t index);
  void Compile(BenchJob& job);

  const ScheduleCatalog& catalog_;
  Compiler& compiler_;
  const Target target_;
  const BenchSelection selection_;
  const std::vector<BenchProblem> problems_;
  std::map<std::string, std::shared_ptr<const CompiledKernel>> compiled_;  // by source: M values share kernels
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<BenchJob>> ready_;
  bool finished_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_BENCH_COMPILE_H_
