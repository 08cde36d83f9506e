#include "server/offline/support_matrix.h"

#include "core/schedule/support_matrix.h"
#include "schedules/catalog.h"

namespace ladder {

absl::StatusOr<std::string> SupportMatrixOf(const std::string& target) {
  if (target.empty()) return SupportMatrix(MakeCatalog(), EveryArchitecture());
  const absl::StatusOr<Target> named = Target::FromName(target);
  if (!named.ok()) return named.status();
  return SupportMatrix(MakeCatalog(), {*named});
}

}  // namespace ladder
