#include "client/tools/tune_report.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/tools/operator_input.h"
#include "client/tools/roofline.h"
#include "client/tools/text_table.h"

namespace ladder::tools {
namespace {

namespace pb = tune::v1;

bool IsMeasured(const pb::TuningRecord& record) {
  return record.kind() != pb::RECORD_KIND_SEED && record.ranked_size() > 0 &&
         record.ranked(0).measurement().median_us() > 0;
}

// Yardsticks with a figure in some row, in a steady order.
std::set<std::string> YardsticksOf(const TunedOperator& tuned) {
  std::set<std::string> names;
  for (const TunedRow& row : tuned.rows) {
    for (const auto& [name, entry] : row.yardsticks) {
      if (entry.measurement().median_us() > 0) names.insert(name);
    }
  }
  return names;
}

const char* StatusName(pb::CandidateStatus status) {
  switch (status) {
    case pb::CANDIDATE_STATUS_RANKED:
      return "ranked";
    case pb::CANDIDATE_STATUS_COMPILE_FAILED:
      return "compile failed";
    case pb::CANDIDATE_STATUS_SPILLED:
      return "spilled";
    case pb::CANDIDATE_STATUS_WRONG:
      return "wrong";
    case pb::CANDIDATE_STATUS_CRASHED:
      return "crashed";
    case pb::CANDIDATE_STATUS_TIMED:
      return "timed";
    case pb::CANDIDATE_STATUS_DENIED:
      return "denied";
    case pb::CANDIDATE_STATUS_SKIPPED:
      return "skipped";
    default:
      return "?";
  }
}

}  // namespace

CandidateCount CountCandidates(const pb::TuningTrace& trace) {
  CandidateCount count;
  for (const pb::CandidateTrace& candidate : trace.candidates()) {
    switch (candidate.status()) {
      case pb::CANDIDATE_STATUS_SKIPPED:
        break;
      case pb::CANDIDATE_STATUS_RANKED:  // tried only if it was compiled
        if (candidate.registers() > 0 || candidate.compile_ms() > 0) count.tried++;
        break;
      case pb::CANDIDATE_STATUS_TIMED:
        count.tried++;
        break;
      default:
        count.tried++;
        count.rejected++;
    }
  }
  return count;
}

bool HasSeeds(const TunedOperator& tuned) {
  for (const TunedRow& row : tuned.rows) {
    if (!IsMeasured(row.record)) return true;
  }
  return false;
}

std::string OperatorTable(const TunedOperator& tuned) {
  const std::set<std::string> yardsticks = YardsticksOf(tuned);
  const bool seeds = HasSeeds(tuned);
  TextTable table;
  table.Column("M").Column("time us");
  if (seeds) table.Column("predicted us");
  table.Column("TFLOP/s").Column("GB/s").Column("% roofline");
  for (const std::string& name : yardsticks) table.Column(absl::StrCat(name, " us")).Column("ratio");
  // The candidate's text is long and comes last.
  table.Column("tried").Column("rejected").Column("cache", TextTable::Align::kLeft);
  table.Column("schedule", TextTable::Align::kLeft);
  for (const TunedRow& row : tuned.rows) {
    const pb::TuningRecord& record = row.record;
    const double us = IsMeasured(record) ? record.ranked(0).measurement().median_us() : 0;
    const double predicted = record.ranked_size() > 0 ? record.ranked(0).predicted_us() : 0;
    const absl::StatusOr<Roofline> roofline = Roofline::From(record.target());
    const double floor_us = roofline.ok() ? roofline->FloorUs(BytesMoved(record), Operations(record)) : 0;
    std::vector<std::string> cells = {absl::StrCat(record.m()), Digits(us)};
    if (seeds) cells.push_back(Digits(predicted));
    cells.push_back(us > 0 ? Digits(Operations(record) / us * 1e-6) : "-");
    cells.push_back(us > 0 ? Digits(BytesMoved(record) / us * 1e-3) : "-");
    cells.push_back(us > 0 ? Digits(100 * floor_us / us) : "-");
    for (const std::string& name : yardsticks) {
      const auto entry = row.yardsticks.find(name);
      const double theirs = entry == row.yardsticks.end() ? 0 : entry->second.measurement().median_us();
      cells.push_back(Digits(theirs));
      cells.push_back(theirs > 0 && us > 0 ? absl::StrFormat("%.2f", us / theirs) : "-");
    }
    const CandidateCount count = CountCandidates(record.trace());
    cells.push_back(absl::StrCat(count.tried));
    cells.push_back(absl::StrCat(count.rejected));
    cells.push_back(row.cache_hit ? "hit" : "miss");
    cells.push_back(record.ranked_size() > 0 ? Describe(record.ranked(0).candidate()) : "none");
    table.Row(std::move(cells));
  }
  return table.ToString();
}

std::string TraceTables(const TunedOperator& tuned) {
  std::string text;
  for (const TunedRow& row : tuned.rows) {
    TextTable table;
    table.Column("predicted us")
        .Column("time us")
        .Column("+-")
        .Column("registers")
        .Column("compile ms")
        .Column("error");
    table.Column("status", TextTable::Align::kLeft).Column("candidate", TextTable::Align::kLeft);
    table.Column("reason", TextTable::Align::kLeft);
    for (const pb::CandidateTrace& candidate : row.record.trace().candidates()) {
      table.Row({Digits(candidate.predicted_us()), Digits(candidate.measurement().median_us()),
                 Digits(candidate.measurement().spread_us()), absl::StrCat(candidate.registers()),
                 absl::StrFormat("%.0f", candidate.compile_ms()), Digits(candidate.worst_ratio()),
                 StatusName(candidate.status()), Describe(candidate.candidate()), candidate.reason()});
    }
    absl::StrAppend(&text, "\nM = ", row.record.m(),
                    ", every candidate in the policy's order (error: worst |y - ref| over ", "its bound)\n",
                    table.ToString());
  }
  return text;
}

std::string DisturbanceNotes(const TunedOperator& tuned) {
  std::string text;
  for (const TunedRow& row : tuned.rows) {
    const pb::TuningTrace& trace = row.record.trace();
    // What was waited out concerns only who waited.
    if (trace.disturbance().empty() || (row.cache_hit && !trace.disturbed())) continue;
    absl::StrAppend(&text, "M = ", row.record.m(), ": ", trace.disturbance(), "; waited ",
                    HumanMilliseconds(trace.waited_ms()),
                    trace.disturbed() ? ", and it did not end: these times are of a disturbed GPU\n" : "\n");
  }
  return text.empty() ? text : absl::StrCat("\n", text);
}

std::string Totals(const TuneReport& report) {
  double compile_ms = 0, verify_ms = 0, profile_ms = 0;
  int tuned = 0, hits = 0, tried = 0;
  for (const TunedOperator& op : report.operators) {
    for (const TunedRow& row : op.rows) {
      (row.cache_hit ? hits : tuned)++;
      if (row.cache_hit) continue;
      const pb::TuningTrace& trace = row.record.trace();
      compile_ms += trace.compile_ms(), verify_ms += trace.verify_ms(), profile_ms += trace.profile_ms();
      tried += CountCandidates(trace).tried;
    }
  }
  return absl::StrCat(report.operators.size(), report.operators.size() == 1 ? " operator, " : " operators, ",
                      tuned + hits, " values of M: ", tuned, " tuned, ", hits, " found in the cache; wall time ",
                      HumanMilliseconds(report.wall_ms), " after ", HumanMilliseconds(report.start_ms),
                      " to start, of it waiting for compilers ", HumanMilliseconds(compile_ms), ", verifying ",
                      HumanMilliseconds(verify_ms), ", timing ", HumanMilliseconds(profile_ms), " (", tried,
                      " candidates)\n");
}

}  // namespace ladder::tools
