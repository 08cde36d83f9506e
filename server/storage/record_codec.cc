#include "server/storage/record_codec.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "server/storage/digest.h"

namespace ladder {
namespace {

std::string RowDigest(const RecordRow& row) {
  return Sha256OfParts({"ladder row 1", row.key, absl::StrCat(row.generation), row.record, row.trace});
}

}  // namespace

absl::StatusOr<RecordRow> EncodeRecord(const TuningRecord& record, uint64_t generation) {
  tune::v1::TuningRecord message = ToProto(record, TraceMode::kWithTrace);
  message.set_generation(generation);
  if (absl::StatusOr<TuningRecord> back = FromProto(message); !back.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("record.", back.status().message()));
  }
  RecordRow row;
  row.key = *FromHex(record.key.digest);
  row.generation = static_cast<int64_t>(generation);
  row.trace = message.trace().SerializeAsString();
  message.clear_trace();
  row.record = message.SerializeAsString();
  row.digest = RowDigest(row);
  return row;
}

absl::StatusOr<TuningRecord> DecodeRecord(const RecordRow& row) {
  if (RowDigest(row) != row.digest) return absl::DataLossError("its bytes do not match their digest");
  tune::v1::TuningRecord message;
  if (!message.ParseFromString(row.record) || !message.mutable_trace()->ParseFromString(row.trace)) {
    return absl::DataLossError("its bytes are no record");
  }
  absl::StatusOr<TuningRecord> record = FromProto(message);
  if (!record.ok()) return absl::DataLossError(record.status().message());
  if (record->key.digest != ToHex(row.key) || record->generation != static_cast<uint64_t>(row.generation)) {
    return absl::DataLossError("it is stored under another record's key");
  }
  return record;
}

int64_t OperatorHash(const NormalizedOperator& op) {
  const std::string digest = Sha256(op.ToString());
  int64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof(hash));
  return hash;
}

}  // namespace ladder
