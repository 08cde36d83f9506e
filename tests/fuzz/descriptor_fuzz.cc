// Operators and records as they come over the wire.
#include "absl/strings/str_cat.h"
#include "core/operator/operator.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"
#include "tests/server/storage/sample_records.h"

namespace ladder {

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (const char* w : {"nf4", "int4", "uint4", "fp16", "bf16"}) {
    OperatorDescriptor descriptor = SampleDescriptor(8192, w);
    descriptor.m = {{1, 4096}};
    seeds.push_back(absl::StrCat("d", ToProto(descriptor).SerializeAsString()));
  }
  const TuningRecord record = SampleRecord(8192, 16, SampleBinary(1, 100));
  seeds.push_back(absl::StrCat("r", ToProto(record, TraceMode::kWithTrace).SerializeAsString()));
  return seeds;
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  if (size == 0) return 0;
  if (data[0] == 'r') {
    tune::v1::TuningRecord message;
    if (!message.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
    const absl::StatusOr<TuningRecord> record = FromProto(message);
    if (!record.ok()) return 0;
    // What was understood is told, and understood again, the same.
    const absl::StatusOr<TuningRecord> again = FromProto(ToProto(*record, TraceMode::kWithTrace));
    FUZZ_CHECK(again.ok());
    FUZZ_CHECK(again->op.ToString() == record->op.ToString());
    FUZZ_CHECK(again->ranked.size() == record->ranked.size());
    return 0;
  }
  tune::v1::OperatorDescriptor message;
  if (!message.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
  const absl::StatusOr<OperatorDescriptor> descriptor = FromProto(message);
  if (!descriptor.ok()) return 0;
  const absl::StatusOr<NormalizedOperator> op = Normalize(*descriptor);
  const absl::StatusOr<std::vector<int64_t>> m = NormalizeM(descriptor->m);
  if (!op.ok() || !m.ok()) return 0;
  // Normalizing is idempotent, and what is the same has the same key.
  const absl::StatusOr<NormalizedOperator> again = NormalizeProto(ToProto(*op));
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->ToString() == op->ToString());
  static const Target target = *Target::FromName("h200");
  FUZZ_CHECK(MakeCacheKey(*op, m->front(), target) == MakeCacheKey(*again, m->front(), target));
  return 0;
}
