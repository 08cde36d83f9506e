// Whether anything serves an operator, and what does where nothing serves it.
#ifndef LADDER_CORE_SCHEDULE_NEAREST_SERVED_H_
#define LADDER_CORE_SCHEDULE_NEAREST_SERVED_H_

#include <cstdint>
#include <optional>
#include <string>

#include "core/operator/operator.h"
#include "core/schedule/schedule.h"
#include "core/target/target.h"

namespace ladder {

// Some schedule of the catalog supports the operator at m rows.
bool IsServed(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m, const Target& target);

// What to change of an operator that nothing serves so that something does: "w=int4", "w=int4 scale=fp16"; fields as
// the descriptor names them. As few fields as can be, of those the least loss: what surrounds the weight before its
// element, an element of the same kind and the next width before another. Of at most three fields; nullopt if that
// isn't enough.
std::optional<std::string> NearestServed(const ScheduleCatalog& catalog, const NormalizedOperator& op, int64_t m,
                                         const Target& target);

}  // namespace ladder

#endif  // LADDER_CORE_SCHEDULE_NEAREST_SERVED_H_
