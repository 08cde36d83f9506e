#include <nlohmann/json.hpp>

#include "client/tools/operator_input.h"
#include "client/tools/record_json.h"
#include "client/tools/roofline.h"
#include "client/tools/tune_report.h"

namespace ladder::tools {

using nlohmann::json;

std::string ToJson(const TuneReport& report) {
  double compile_ms = 0;
  int tuned_rows = 0, hits = 0;
  json operators = json::array();
  for (const TunedOperator& tuned : report.operators) {
    json rows = json::array();
    for (const TunedRow& row : tuned.rows) {
      (row.cache_hit ? hits : tuned_rows)++;
      if (!row.cache_hit) compile_ms += row.record.trace().compile_ms();
      json object = RecordToJson(row.record, /*with_trace=*/true);
      object["cache_hit"] = row.cache_hit;
      const CandidateCount count = CountCandidates(row.record.trace());
      object["candidates_tried"] = count.tried;
      object["candidates_rejected"] = count.rejected;
      object["bytes_moved"] = BytesMoved(row.record);
      object["operations"] = Operations(row.record);
      const absl::StatusOr<Roofline> roofline = Roofline::From(row.record.target());
      if (roofline.ok()) object["floor_us"] = roofline->FloorUs(BytesMoved(row.record), Operations(row.record));
      for (const auto& [name, entry] : row.yardsticks) {
        object["yardsticks"][name] =
            entry.error().empty() ? MeasurementToJson(entry.measurement()) : json{{"error", entry.error()}};
      }
      rows.push_back(std::move(object));
    }
    json object = {{"asked", Describe(tuned.asked)}, {"rows", std::move(rows)}};
    if (!tuned.error.ok()) object["error"] = std::string(tuned.error.message());
    operators.push_back(std::move(object));
  }
  const tune::v1::DescribeResponse& machine = report.machine;
  const json document = {{"ladder_version", machine.version()},
                         {"compiler", machine.compiler()},
                         {"driver", machine.driver()},
                         {"gpu", machine.target()},
                         {"no_gpu_reason", machine.no_gpu_reason()},
                         {"operators", std::move(operators)},
                         {"totals",
                          {{"tuned", tuned_rows},
                           {"hits", hits},
                           {"start_ms", report.start_ms},
                           {"wall_ms", report.wall_ms},
                           {"compile_ms", compile_ms}}}};
  // Texts come from the service: bytes that are not UTF-8 are replaced rather than fatal.
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace ladder::tools
