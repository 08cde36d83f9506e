// What ladder-tune found, for people and for programs.
#ifndef LADDER_CLIENT_TOOLS_TUNE_REPORT_H_
#define LADDER_CLIENT_TOOLS_TUNE_REPORT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ladder/tune/v1/service.pb.h"

namespace ladder::tools {

struct TunedRow {
  tune::v1::TuningRecord record;
  bool cache_hit = false;
  std::map<std::string, tune::v1::CompareResponse::Entry> yardsticks;  // by name
};

struct TunedOperator {
  tune::v1::OperatorDescriptor asked;
  std::vector<TunedRow> rows;  // ascending by M
  absl::Status error;          // why it ended early, if it did
};

struct TuneReport {
  tune::v1::DescribeResponse machine;
  std::vector<TunedOperator> operators;
  double start_ms = 0;  // until the GPU, the compiler and their rates were known
  double wall_ms = 0;   // from then on
};

// How many candidates of a trace were compiled or run, and how many of those fell.
struct CandidateCount {
  int tried = 0;
  int rejected = 0;
};
CandidateCount CountCandidates(const tune::v1::TuningTrace& trace);

// The table of one operator. Figures that need a measurement are "-" where none was made.
std::string OperatorTable(const TunedOperator& tuned);
// A line for each row whose times something spoilt or made wait; empty if there is none.
std::string DisturbanceNotes(const TunedOperator& tuned);
// Every candidate of every row: its figures or why it fell.
std::string TraceTables(const TunedOperator& tuned);
// Whether any row is only ranked, not measured.
bool HasSeeds(const TunedOperator& tuned);
// The line at the end: wall time, compile time, tuned and found.
std::string Totals(const TuneReport& report);
// Operators, rows and traces.
std::string ToJson(const TuneReport& report);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_TUNE_REPORT_H_
