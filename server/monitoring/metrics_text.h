// A snapshot and the counters of calls in Prometheus's text format.
#ifndef LADDER_SERVER_MONITORING_METRICS_TEXT_H_
#define LADDER_SERVER_MONITORING_METRICS_TEXT_H_

#include <string>

#include "server/monitoring/snapshot.h"

namespace ladder {

std::string MetricsText(const prometheus::Registry& registry, const Snapshot& snapshot);

}  // namespace ladder

#endif  // LADDER_SERVER_MONITORING_METRICS_TEXT_H_
