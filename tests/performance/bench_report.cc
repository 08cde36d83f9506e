#include "tests/performance/bench_report.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/layout/packed_layout.h"

namespace ladder {
namespace {

constexpr int kFields = 18;

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

std::string Ratio(double us, double other) {
  return other > 0 ? absl::StrFormat("%.2f (%.2fx)", other, us / other) : "-";
}

double Yardstick(const BenchResult& result, const std::string& name) {
  const auto found = result.yardstick_us.find(name);
  return found == result.yardstick_us.end() ? 0 : found->second;
}

}  // namespace

BenchRow MakeRow(const BenchResult& result) {
  const NormalizedOperator& op = result.problem.op;
  const PackedLayout layout = PackedLayout::For(op);
  BenchRow row;
  row.op_text = op.ToString();
  row.w = op.weight().element.name;
  row.zeros = std::string(Name(op.weight().zeros));
  row.a = op.activation_name();
  row.group = op.weight().has_scale ? op.weight().group : 0;
  row.m = result.problem.m;
  row.n = op.n();
  row.k = op.k();
  row.bytes =
      static_cast<double>(NaturalWeightBytes(layout) + NaturalScaleBytes(layout) + NaturalZeroBytes(layout)) +
      static_cast<double>(row.m) * static_cast<double>(row.k * Bytes(op.activation()) + row.n * Bytes(op.out()));
  row.us = result.us;
  row.error = result.error;
  row.cublaslt_fp16_us = Yardstick(result, "cublaslt_fp16");
  row.cublaslt_fp8_us = Yardstick(result, "cublaslt_fp8");
  row.cublaslt_int8_us = Yardstick(result, "cublaslt_int8");
  row.tried = result.tried;
  row.rejected = result.rejected;
  row.schedule = result.best;
  return row;
}

double FloorUs(const BenchRow& row, const BenchRun& run) {
  const double operations = 2.0 * static_cast<double>(row.m) * static_cast<double>(row.n) * static_cast<double>(row.k);
  const double memory_us = run.read_gb_per_s > 0 ? row.bytes / run.read_gb_per_s * 1e-3 : 0;
  // The run's rate is that of fp16; tensor cores multiply 8-bit operands at twice it.
  const bool bytes = row.a == "int8" || row.a == "fp8_e4m3" || row.a == "fp8_e5m2";
  const double rate_tflops = bytes ? 2 * run.rate_tflops : run.rate_tflops;
  const double math_us = rate_tflops > 0 ? operations / rate_tflops * 1e-6 : 0;
  return run.launch_us + std::max(memory_us, math_us);
}

std::string FormatRow(const BenchRow& row, const BenchRun& run) {
  // What is usual (fp16 activations, no zero points) is not named.
  const std::string type = absl::StrCat(row.a == "fp16" || row.a == row.w ? "" : row.a + " ", row.w,
                                        row.zeros == "none" ? "" : " " + row.zeros);
  const std::string group = row.group == row.k ? "channel" : absl::StrCat("g", row.group);
  const std::string problem = absl::StrFormat("%-15s %-7s %5d x %5d  M %5d", type, group, row.n, row.k, row.m);
  const std::string counts = absl::StrFormat("%d tried, %d rejected", row.tried, row.rejected);
  if (row.us == 0) return absl::StrCat(problem, "  no correct candidate; ", counts);
  return absl::StrFormat("%s  %9.2f us  floor %s  cublas16 %s  fp8 %s  int8 %s  error %.3f  %s  %s", problem, row.us,
                         Ratio(row.us, FloorUs(row, run)), Ratio(row.us, row.cublaslt_fp16_us),
                         Ratio(row.us, row.cublaslt_fp8_us), Ratio(row.us, row.cublaslt_int8_us), row.error, counts,
                         row.schedule);
}

std::string SerializeRow(const BenchRow& r) {
  return absl::StrFormat("%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%d\t%d\t%s\tend",
                         r.op_text, r.w, r.zeros, r.a, r.group, r.m, r.n, r.k, r.bytes, r.us, r.cublaslt_fp16_us,
                         r.cublaslt_fp8_us, r.cublaslt_int8_us, r.error, r.tried, r.rejected, r.schedule);
}

std::vector<BenchRow> ReadRows(const std::string& path) {
  std::vector<BenchRow> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> f = absl::StrSplit(line, '\t');
    if (f.size() != kFields || f.back() != "end") continue;
    BenchRow r;
    r.op_text = f[0], r.w = f[1], r.zeros = f[2], r.a = f[3], r.schedule = f[16];
    const bool parsed = absl::SimpleAtoi(f[4], &r.group) && absl::SimpleAtoi(f[5], &r.m) &&
                        absl::SimpleAtoi(f[6], &r.n) && absl::SimpleAtoi(f[7], &r.k) &&
                        absl::SimpleAtod(f[8], &r.bytes) && absl::SimpleAtod(f[9], &r.us) &&
                        absl::SimpleAtod(f[10], &r.cublaslt_fp16_us) && absl::SimpleAtod(f[11], &r.cublaslt_fp8_us) &&
                        absl::SimpleAtod(f[12], &r.cublaslt_int8_us) && absl::SimpleAtod(f[13], &r.error) &&
                        absl::SimpleAtoi(f[14], &r.tried) && absl::SimpleAtoi(f[15], &r.rejected);
    if (parsed) rows.push_back(std::move(r));
  }
  return rows;
}

absl::Status AppendRow(const std::string& path, const BenchRow& row) {
  std::ofstream file(path, std::ios::app);
  file << SerializeRow(row) << "\n";
  file.flush();
  return file ? absl::OkStatus() : absl::InternalError(absl::StrCat("cannot write ", path));
}

absl::Status WriteJson(const std::string& path, const BenchRun& run, const std::vector<BenchRow>& rows) {
  std::string out = absl::StrFormat(
      "{\"gpu\": %s, \"driver\": %s, \"date\": %s, \"commit\": %s, \"schedules_digest\": %s, \"compiler\": %s,\n"
      " \"read_gbs\": %.1f, \"launch_floor_us\": %.3f, \"rate_tflops\": %.1f,\n \"rows\": [",
      Quote(run.gpu), Quote(run.driver), Quote(run.date), Quote(run.commit), Quote(run.schedules_digest),
      Quote(run.compiler), run.read_gb_per_s, run.launch_us, run.rate_tflops);
  const char* separator = "\n";
  for (const BenchRow& r : rows) {
    absl::StrAppendFormat(
        &out,
        "%s  {\"op\": %s, \"a\": %s, \"w\": %s, \"group\": %d, \"zeros\": %s, \"m\": %d, \"n\": %d, \"k\": %d, \"us\": "
        "%.3f, "
        "\"floor_us\": %.3f, \"cublaslt_fp16_us\": %.3f, \"cublaslt_fp8_us\": %.3f, \"cublaslt_int8_us\": %.3f, "
        "\"error\": %.4f, \"tried\": %d, \"rejected\": %d, \"schedule\": %s}",
        separator, Quote(r.op_text), Quote(r.a), Quote(r.w), r.group, Quote(r.zeros), r.m, r.n, r.k, r.us,
        FloorUs(r, run), r.cublaslt_fp16_us, r.cublaslt_fp8_us, r.cublaslt_int8_us, r.error, r.tried, r.rejected,
        Quote(r.schedule));
    separator = ",\n";
  }
  absl::StrAppend(&out, "\n]}\n");
  std::ofstream file(path, std::ios::trunc);
  file << out;
  file.flush();
  return file ? absl::OkStatus() : absl::InternalError(absl::StrCat("cannot write ", path));
}

}  // namespace ladder
