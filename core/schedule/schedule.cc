#include "core/schedule/schedule.h"

namespace ladder {

const Schedule* ScheduleCatalog::Find(absl::string_view name) const {
  for (const std::unique_ptr<const Schedule>& schedule : schedules) {
    if (schedule->name() == name) return schedule.get();
  }
  return nullptr;
}

}  // namespace ladder
