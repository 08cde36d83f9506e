// The database's tables and the way from one version of them to the next.
#ifndef LADDER_SERVER_STORAGE_SCHEMA_H_
#define LADDER_SERVER_STORAGE_SCHEMA_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "server/storage/sqlite.h"

namespace ladder {

inline constexpr int64_t kApplicationId = 0x4c616472;  // "Ladr", in the file's header
inline constexpr int kSchemaVersion = 1;

struct Migration {
  int to = 0;       // from the version before
  std::string sql;  // in one transaction with the others
};

// Those of this program, ascending, the last one leading to kSchemaVersion. Version 1 is the first, so there are none
// yet.
std::span<const Migration> Migrations();

// Makes the tables of an empty database, or brings an older one to version `wanted` after a backup by VACUUM INTO
// "<path>.backup-v<old>". FailedPrecondition if the file is another program's database or of a newer version; DataLoss
// if it is damaged.
absl::Status PrepareSchema(sqlite::Connection& connection, int wanted, std::span<const Migration> migrations);

// DataLoss unless the tables are described as this program makes them, which SQLite's own check doesn't compare: with a
// column of another name no statement makes sense. A migration must end at the very text of a new database.
absl::Status CheckSchema(sqlite::Connection& connection);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_SCHEMA_H_
