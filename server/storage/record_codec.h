// A record as the bytes of a row, and back with every check.
#ifndef LADDER_SERVER_STORAGE_RECORD_CODEC_H_
#define LADDER_SERVER_STORAGE_RECORD_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

struct RecordRow {
  std::string key;  // 32 bytes
  int64_t generation = 0;
  std::string record;  // tune.v1.TuningRecord without its trace
  std::string trace;   // tune.v1.TuningTrace
  std::string digest;  // SHA-256 over all of the above
};

// InvalidArgument naming the field if the record could not be read back.
absl::StatusOr<RecordRow> EncodeRecord(const TuningRecord& record, uint64_t generation);
// DataLoss saying what is wrong with the row.
absl::StatusOr<TuningRecord> DecodeRecord(const RecordRow& row);

// Where FindSeeds looks: records of equal operators share it (and the operators are compared again).
int64_t OperatorHash(const NormalizedOperator& op);

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_RECORD_CODEC_H_
