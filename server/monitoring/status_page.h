// The page an operator looks at: /statusz.
#ifndef LADDER_SERVER_MONITORING_STATUS_PAGE_H_
#define LADDER_SERVER_MONITORING_STATUS_PAGE_H_

#include <string>

#include "server/monitoring/snapshot.h"

namespace ladder {

// A page of HTML that needs nothing else, and loads itself anew every few seconds. Whatever callers said is escaped.
std::string StatusPage(const Snapshot& snapshot);

}  // namespace ladder

#endif  // LADDER_SERVER_MONITORING_STATUS_PAGE_H_
