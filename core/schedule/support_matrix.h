// The table of what a catalog serves, made by asking its schedules about every number format there is.
#ifndef LADDER_CORE_SCHEDULE_SUPPORT_MATRIX_H_
#define LADDER_CORE_SCHEDULE_SUPPORT_MATRIX_H_

#include <string>
#include <vector>

#include "core/schedule/schedule.h"
#include "core/target/target.h"

namespace ladder {

// Markdown that reads well as text: rows of weight types, equal ones together, by columns of activations; a number in a
// cell names a line below it that says which scales, groups and zeros are served. Targets of equal tables share one.
std::string SupportMatrix(const ScheduleCatalog& catalog, const std::vector<Target>& targets);

// The flagship of every architecture that Target names.
std::vector<Target> EveryArchitecture();

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_SUPPORT_MATRIX_H_
