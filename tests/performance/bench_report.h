// A benchmark's figures: one printed line a problem, and one JSON file for the run.
#ifndef LADDER_TESTS_PERFORMANCE_BENCH_REPORT_H_
#define LADDER_TESTS_PERFORMANCE_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/target/target.h"
#include "tests/performance/bench_measure.h"

namespace ladder {

// Facts of a run that all rows share.
struct BenchRun {
  std::string gpu, driver, date, commit, schedules_digest, compiler;
  double read_gb_per_s = 0, launch_us = 0, rate_tflops = 0;
};

// What a row keeps, also across a restart of the program after a lost GPU.
struct BenchRow {
  std::string op_text, w, zeros, a;
  int64_t group = 0, m = 0, n = 0, k = 0;
  double bytes = 0, us = 0, cublaslt_fp16_us = 0, cublaslt_fp8_us = 0, cublaslt_int8_us = 0, error = 0;
  int tried = 0, rejected = 0;
  std::string schedule;
};

BenchRow MakeRow(const BenchResult& result);
// Launch + max(bytes / bandwidth, operations / rate), in microseconds.
double FloorUs(const BenchRow& row, const BenchRun& run);
std::string FormatRow(const BenchRow& row, const BenchRun& run);

// Rows travel between runs of the program as tab-separated lines.
std::string SerializeRow(const BenchRow& row);
std::vector<BenchRow> ReadRows(const std::string& path);
absl::Status AppendRow(const std::string& path, const BenchRow& row);

absl::Status WriteJson(const std::string& path, const BenchRun& run, const std::vector<BenchRow>& rows);

}  // namespace ladder

#endif  // LADDER_TESTS_PERFORMANCE_BENCH_REPORT_H_
