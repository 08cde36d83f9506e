// Records as JSON, the same for every tool.
#ifndef LADDER_CLIENT_TOOLS_RECORD_JSON_H_
#define LADDER_CLIENT_TOOLS_RECORD_JSON_H_

#include <nlohmann/json_fwd.hpp>

#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::tools {

nlohmann::json MeasurementToJson(const tune::v1::Measurement& measurement);
nlohmann::json RecordToJson(const tune::v1::TuningRecord& record, bool with_trace);
// "measured", "seed", "fast".
const char* KindName(tune::v1::RecordKind kind);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_RECORD_JSON_H_
