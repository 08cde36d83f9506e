// The schedules Ladder has. An explicit list: nothing registers itself.
#ifndef LADDER_SCHEDULES_CATALOG_H_
#define LADDER_SCHEDULES_CATALOG_H_

#include "core/schedule/schedule.h"

namespace ladder {

// All schedules, with the embedded device sources and their digest.
ScheduleCatalog MakeCatalog();

}  // namespace ladder

#endif  // LADDER_SCHEDULES_CATALOG_H_
