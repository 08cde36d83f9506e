// The tools' own logic: reading what people write, and printing what was found.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/tools/cache_commands.h"
#include "client/tools/exit_status.h"
#include "client/tools/operator_input.h"
#include "client/tools/progress_line.h"
#include "client/tools/roofline.h"
#include "client/tools/text_table.h"
#include "client/tools/tune_report.h"

namespace ladder::tools {
namespace {

namespace pb = tune::v1;
using absl::StatusCode;

bool Contains(absl::string_view text, absl::string_view part) { return text.find(part) != absl::string_view::npos; }

TEST(ParseMList, ReadsNumbersAndRanges) {
  const std::vector<pb::MRange> ranges = ParseMList("1,16,1..4096").value();
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges[1].first(), 16);
  EXPECT_EQ(ranges[1].last(), 16);
  EXPECT_EQ(ranges[2].first(), 1);
  EXPECT_EQ(ranges[2].last(), 4096);
}

TEST(ParseMList, NamesThePieceThatIsWrong) {
  for (const char* text : {"", "1,,2", "1..", "..4", "4..x", "1-4", "one"}) {
    const auto ranges = ParseMList(text);
    EXPECT_EQ(ranges.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(Contains(ranges.status().message(), "m: ")) << ranges.status();
  }
}

class OperatorFile : public testing::Test {
 protected:
  absl::StatusOr<std::vector<pb::OperatorDescriptor>> Read(const std::string& text) {
    path_ = absl::StrCat(testing::TempDir(), "/ladder_operators_", getpid(), ".json");  // tests run side by side
    std::ofstream(path_) << text;
    return ReadOperators(path_);
  }
  ~OperatorFile() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(OperatorFile, ReadsAListOrOne) {
  const auto list = Read(R"([{"w": "nf4", "n": 64, "k": 128, "m": [1, "2..8"], "group": -1, "bias": true,
                              "act": "silu", "output_scale": true, "residual": true},
                             {"a": "int8", "a_scale": "row", "w": "int4", "n": 1, "k": 16, "m": 4}])");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].w(), "nf4");
  EXPECT_EQ((*list)[0].group(), -1);
  EXPECT_TRUE((*list)[0].bias());
  EXPECT_EQ((*list)[0].act(), "silu");
  EXPECT_TRUE((*list)[0].output_scale());
  EXPECT_TRUE((*list)[0].residual());
  EXPECT_EQ(tools::Describe((*list)[0]), "matmul w=nf4 group=-1 bias act=silu output_scale residual n=64 k=128");
  EXPECT_EQ((*list)[0].m(1).last(), 8);
  EXPECT_EQ((*list)[1].m(0).first(), 4);
  EXPECT_FALSE((*list)[1].has_group());
  EXPECT_EQ(tools::Describe((*list)[1]), "matmul a=int8 a_scale=row w=int4 n=1 k=16");
  EXPECT_EQ(Read(R"({"w": "nf4", "n": 64, "k": 128})")->size(), 1u);
}

TEST_F(OperatorFile, NamesFileOperatorAndKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"not json", "is not JSON"},
      {"[]", "lists no operator"},
      {"[1]", "operator 1 is not a JSON object"},
      {R"([{"n": 1}, {"nn": 2}])", "operator 2: nn: unknown key"},
      {R"({"n": "8"})", "n: must be a whole number"},
      {R"({"w": 4})", "w: must be a text"},
      {R"({"bias": 1})", "bias: must be true or false"},
      {R"({"residual": 1})", "residual: must be true or false"},
      {R"({"act": 1})", "act: must be a text"},
      {R"({"m": "x"})", "m: "},
      {R"({"m": {"first": 1}})", "m: "},
  };
  for (const auto& [text, expected] : cases) {
    const auto operators = Read(text);
    EXPECT_EQ(operators.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(Contains(operators.status().message(), expected)) << operators.status();
    EXPECT_TRUE(Contains(operators.status().message(), path_)) << operators.status();
  }
  EXPECT_TRUE(Contains(ReadOperators("/nonexistent.json").status().message(), "/nonexistent.json"));
}

TEST_F(OperatorFile, ReadsWeightTypesOfTheUser) {
  const auto inline_type = Read(R"({"w": {"name": "mine", "bits": 2, "table": [-1, 0, 0.5, 1e-3], "scale": "bf16",
                                          "group": 32}, "n": 64, "k": 128, "group": 64})");
  ASSERT_TRUE(inline_type.ok()) << inline_type.status();
  const pb::OperatorDescriptor& op = inline_type->front();
  EXPECT_EQ(op.w(), "mine");
  EXPECT_EQ(op.element().bits(), 2);
  ASSERT_EQ(op.element().table_size(), 4);
  EXPECT_EQ(op.element().table(3), 1e-3f);
  EXPECT_EQ(op.scale(), "bf16");
  EXPECT_EQ(op.group(), 64);  // the operator's own wins
  EXPECT_FALSE(op.element().has_layout());

  const auto layout = Read(R"({"w": {"float": {"exponent_bits": 3, "mantissa_bits": 2, "bias": -1, "unsigned": true,
                                               "specials": "nan"}, "tensor_scale": true, "zeros": "none"}})");
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->front().element().layout().exponent_bits(), 3);
  EXPECT_EQ(layout->front().element().layout().mantissa_bits(), 2);
  EXPECT_EQ(layout->front().element().layout().bias(), -1);
  EXPECT_EQ(layout->front().element().layout().specials(), "nan");
  EXPECT_TRUE(layout->front().element().layout().is_unsigned());
  EXPECT_TRUE(layout->front().tensor_scale());

  const auto built_in = Read(R"({"w": {"name": "mine", "element": "int4", "group": 32}})");
  ASSERT_TRUE(built_in.ok()) << built_in.status();
  EXPECT_EQ(built_in->front().w(), "int4");
  EXPECT_EQ(built_in->front().group(), 32);
  EXPECT_FALSE(built_in->front().has_element());
}

TEST_F(OperatorFile, WeightTypesNameTheKey) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"name": "x"})", "w: element: exactly one of"},
      {R"({"element": "int4", "bits": 4})", "w: bits: given beside element"},
      {R"({"table": [1, 2]})", "w: bits: missing"},
      {R"({"table": [1, 2], "bits": "1"})", "w: bits: must be a whole number"},
      {R"({"table": [1, 2], "bits": 1e30})", "w: bits: must be a whole number"},
      {R"({"table": [1, 2], "bits": 9999999999})", "w: bits: 9999999999 is too large"},
      {R"({"table": 1, "bits": 1})", "w: table: must be a list"},
      {R"({"table": [1, "2"], "bits": 1})", "w: table[1]: must be a number"},
      {R"({"table": [1, 1e39], "bits": 1})", "w: table[1]: 1e+39 is beyond fp32"},
      {R"({"float": 3})", "w: float: must be an object"},
      {R"({"float": {"exponent": 3}})", "w: float.exponent: unknown key"},
      {R"({"float": {"specials": 3}})", "w: float.specials: must be a text"},
      {R"({"float": {"unsigned": 3}})", "w: float.unsigned: must be true or false"},
      {R"({"element": "int4", "scales": "fp16"})", "w: scales: unknown key"},
      {R"({"element": "int4", "tensor_scale": 1})", "w: tensor_scale: must be true or false"},
      {R"({"element": "int4", "group": 0.5})", "w: group: must be a whole number"},
      {R"("@/nonexistent.json")", "w: /nonexistent.json can't be read"},
  };
  for (const auto& [text, expected] : cases) {
    const auto operators = Read(absl::StrCat("{\"w\": ", text, "}"));
    EXPECT_EQ(operators.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(Contains(operators.status().message(), expected)) << operators.status();
  }
}

TEST(ParseTime, ReadsTimes) {
  EXPECT_EQ(ParseTime("--budget", "10s").value(), absl::Seconds(10));
  EXPECT_EQ(ParseTime("--budget", "500ms").value(), absl::Milliseconds(500));
  EXPECT_EQ(ParseTime("--budget", "2").value(), absl::Seconds(2));
  for (const char* text : {"", "soon", "-1s", "0", "30h"}) {
    EXPECT_TRUE(Contains(ParseTime("--budget", text).status().message(), "--budget")) << text;
  }
}

TEST(ParseBytes, ReadsSizes) {
  EXPECT_EQ(ParseBytes("--down-to", "1024").value(), 1024);
  EXPECT_EQ(ParseBytes("--down-to", "10GiB").value(), int64_t{10} << 30);
  EXPECT_EQ(ParseBytes("--down-to", "1.5kb").value(), 1500);
  EXPECT_EQ(ParseBytes("--down-to", "0").value(), 0);
  for (const char* text : {"", "GiB", "-1", "x", "1e30"}) {
    EXPECT_EQ(ParseBytes("--down-to", text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(TextTable, AlignsColumns) {
  TextTable table;
  table.Column("M").Column("schedule", TextTable::Align::kLeft).Column("us");
  table.Row({"1", "decode", "8.41"});
  table.Row({"4096", "wgmma"});
  EXPECT_EQ(table.ToString(),
            "   M  schedule    us\n"
            "--------------------\n"
            "   1  decode    8.41\n"
            "4096  wgmma\n");
}

TEST(Digits, ShowsThreeOrMoreAndDashForNothing) {
  EXPECT_EQ(Digits(8.414), "8.41");
  EXPECT_EQ(Digits(28.16), "28.2");
  EXPECT_EQ(Digits(2566.04), "2566");
  EXPECT_EQ(Digits(0), "-");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanMilliseconds(125'000), "2 min 5 s");
}

TEST(Roofline, IsTheLargerOfMovingAndComputing) {
  const Roofline roofline =
      Roofline::From("nvidia;sm_90a;NVIDIA H200;read_gb_per_s=4000;dense_fp16_tflops=500;launch_us=0.5").value();
  EXPECT_DOUBLE_EQ(roofline.FloorUs(4e6, 1), 0.5 + 1);
  EXPECT_DOUBLE_EQ(roofline.FloorUs(1, 5e9), 0.5 + 10);
  EXPECT_FALSE(Roofline::From("nvidia;sm_90a;NVIDIA H200").ok());
  EXPECT_FALSE(Roofline::From("read_gb_per_s=fast;dense_fp16_tflops=500").ok());
  EXPECT_EQ(TargetName("nvidia;sm_90a;NVIDIA H200;x=1"), "NVIDIA H200 (sm_90a)");
}

pb::TuningRecord Record(bool measured) {
  pb::TuningRecord record;
  record.set_kind(measured ? pb::RECORD_KIND_MEASURED : pb::RECORD_KIND_SEED);
  record.set_m(16);
  record.set_target("nvidia;sm_90a;NVIDIA H200;read_gb_per_s=4000;dense_fp16_tflops=500;launch_us=0.5");
  record.mutable_op()->set_n(8192);
  record.mutable_op()->set_k(8192);
  record.mutable_op()->set_out("fp16");
  record.mutable_packed()->set_weight_bytes(8192 * 4096);
  pb::RankedKernel& kernel = *record.add_ranked();
  kernel.mutable_candidate()->set_schedule("decode");
  pb::Candidate::Parameter& parameter = *kernel.mutable_candidate()->add_parameters();
  parameter.set_name("warps");
  parameter.set_value(16);
  kernel.set_predicted_us(9.5);
  if (measured) kernel.mutable_measurement()->set_median_us(10);
  for (const auto status : {pb::CANDIDATE_STATUS_TIMED, pb::CANDIDATE_STATUS_WRONG, pb::CANDIDATE_STATUS_SPILLED,
                            pb::CANDIDATE_STATUS_SKIPPED, pb::CANDIDATE_STATUS_RANKED}) {
    record.mutable_trace()->add_candidates()->set_status(status);
  }
  return record;
}

TEST(TuneReport, CountsCandidates) {
  pb::TuningRecord record = Record(true);
  EXPECT_EQ(CountCandidates(record.trace()).tried, 3);
  EXPECT_EQ(CountCandidates(record.trace()).rejected, 2);
  record.mutable_trace()->mutable_candidates(4)->set_compile_ms(30);  // ranked after compiling
  EXPECT_EQ(CountCandidates(record.trace()).tried, 4);
}

TEST(TuneReport, ShowsFiguresOfAMeasurement) {
  TunedOperator tuned;
  tuned.rows.push_back({Record(true), /*cache_hit=*/true, {}});
  pb::CompareResponse::Entry& entry = tuned.rows[0].yardsticks["cublaslt_fp16"];
  entry.mutable_measurement()->set_median_us(40);
  const std::string table = OperatorTable(tuned);
  // 2 * 16 * 8192^2 / 10 us = 215 TFLOP/s; (33.55 + 0.52) MB / 10 us = 3408 GB/s; (0.5 + 8.52) / 10 = 90.2%.
  for (const char* part : {"10.0", "215", "3408", "90.2", "decode(warps=16)", "40.0", "0.25", "hit"}) {
    EXPECT_TRUE(Contains(table, part)) << part << "\n" << table;
  }
  EXPECT_FALSE(HasSeeds(tuned));
  EXPECT_FALSE(Contains(table, "predicted"));
}

TEST(TuneReport, ClaimsNothingForASeed) {
  TunedOperator tuned;
  tuned.rows.push_back({Record(false), /*cache_hit=*/false, {}});
  EXPECT_TRUE(HasSeeds(tuned));
  const std::string table = OperatorTable(tuned);
  EXPECT_TRUE(Contains(table, "predicted us")) << table;
  EXPECT_TRUE(Contains(table, "9.50"));
  EXPECT_TRUE(Contains(table, "miss"));
  EXPECT_FALSE(Contains(table, "215"));
}

TEST(TuneReport, SaysWhatSpoiltTimes) {
  TunedOperator tuned;
  tuned.rows.push_back({Record(true), /*cache_hit=*/false, {}});
  EXPECT_EQ(DisturbanceNotes(tuned), "");
  pb::TuningTrace& trace = *tuned.rows[0].record.mutable_trace();
  trace.set_disturbance("other processes keep the GPU 97% busy");
  trace.set_waited_ms(2300);
  EXPECT_EQ(DisturbanceNotes(tuned), "\nM = 16: other processes keep the GPU 97% busy; waited 2.30 s\n");
  tuned.rows[0].cache_hit = true;  // waited out by somebody else
  EXPECT_EQ(DisturbanceNotes(tuned), "");
  trace.set_disturbed(true);
  EXPECT_TRUE(Contains(DisturbanceNotes(tuned), "these times are of a disturbed GPU"));
}

TEST(TuneReport, WritesJson) {
  TuneReport report;
  report.machine.set_no_gpu_reason("no \xff driver");  // not UTF-8: must not be fatal
  report.operators.emplace_back();
  report.operators[0].rows.push_back({Record(true), false, {}});
  const std::string text = ToJson(report);
  for (const char* part : {"\"median_us\": 10.0", "\"cache_hit\": false", "\"status\": \"wrong\"", "\"tuned\": 1"}) {
    EXPECT_TRUE(Contains(text, part)) << part << "\n" << text;
  }
}

TEST(ErrorText, PutsFieldsAsOptions) {
  EXPECT_EQ(ErrorText("ladder-tune", absl::InvalidArgumentError("k: must be positive")),
            "ladder-tune: --k: must be positive");
  EXPECT_EQ(ErrorText("ladder-tune", absl::InternalError("it broke")), "ladder-tune: it broke");
  EXPECT_EQ(ErrorText("ladder-tune", absl::FailedPreconditionError("options.share_gpu: this GPU is in use")),
            "ladder-tune: --share-gpu: this GPU is in use");
  EXPECT_EQ(ExitStatus(absl::InvalidArgumentError("")), kExitBadInput);
  EXPECT_EQ(ExitStatus(absl::FailedPreconditionError("")), kExitMissing);
  EXPECT_EQ(ExitStatus(absl::InternalError("")), kExitFailed);
  EXPECT_EQ(ExitStatus(absl::OkStatus()), kExitDone);
}

TEST(ProgressLine, IsPlainAndSeldomWithoutATerminal) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    ProgressLine line(file, /*terminal=*/false);
    const absl::Time begin = absl::FromUnixSeconds(1000);
    line.Show("a", begin);
    line.Show("b", begin + absl::Seconds(1));
    line.Show("c", begin + absl::Seconds(2));
    line.Show("d", begin + absl::Seconds(3));
    line.Show("e", begin + absl::Seconds(5));
  }
  std::rewind(file);
  char text[64] = {};
  EXPECT_EQ(std::fread(text, 1, sizeof(text) - 1, file), 4u);
  EXPECT_STREQ(text, "c\ne\n");
  std::fclose(file);
}

}  // namespace
}  // namespace ladder::tools
