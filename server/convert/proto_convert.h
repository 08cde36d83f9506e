// Core types to messages and back. ToProto cannot fail. FromProto treats its input as hostile: counts and lengths are
// capped, enums known, numbers finite and in range, hex digests well-formed, and operators and targets go through
// Normalize and Target::Parse again. Its errors are InvalidArgument (or what Normalize said) with a message that starts
// with the path of the field to blame: "ranked[3].launch.threads: 4096 is not in 1..1024".
#ifndef LADDER_SERVER_CONVERT_PROTO_CONVERT_H_
#define LADDER_SERVER_CONVERT_PROTO_CONVERT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "core/operator/operator.h"
#include "core/schedule/candidate.h"
#include "core/schedule/launch_spec.h"
#include "core/tuning/tuning_record.h"

namespace ladder {
namespace tune::v1 {
class ElementDefinition;
class OperatorDescriptor;
class Candidate;
class LaunchSpec;
class Measurement;
class RankedKernel;
class TuningTrace;
class Environment;
class PackedWeight;
class TuningRecord;
}  // namespace tune::v1

// What FromProto accepts at most.
inline constexpr size_t kMaxNameLength = 128;        // names of types, schedules, parameters, entries
inline constexpr size_t kMaxTextLength = 16 * 1024;  // key texts, targets, reasons, versions
inline constexpr int kMaxTableValues = 256;
inline constexpr int kMaxMRanges = 1024;
inline constexpr int kMaxCandidateParameters = 64;
inline constexpr int kMaxTensorMaps = 8;
inline constexpr int kMaxRankedKernels = 1024;
inline constexpr int kMaxTracedCandidates = 1 << 16;

// kToLaunch: what a caller needs to run the winner, without runners-up, environment, the texts for people and the
// trace.
enum class TraceMode : uint8_t { kWithTrace, kWithoutTrace, kToLaunch };

tune::v1::ElementDefinition ToProto(const ElementDefinition& definition);
tune::v1::OperatorDescriptor ToProto(const OperatorDescriptor& descriptor);
// As the descriptor that normalizes to it, m unset.
tune::v1::OperatorDescriptor ToProto(const NormalizedOperator& op);
tune::v1::Candidate ToProto(const Candidate& candidate);
tune::v1::LaunchSpec ToProto(const LaunchSpec& launch);
tune::v1::Measurement ToProto(const Measurement& measurement);
tune::v1::RankedKernel ToProto(const RankedKernel& kernel);
// Reasons longer than kMaxTextLength (a compiler's log) lose their end.
tune::v1::TuningTrace ToProto(const TuningTrace& trace);
tune::v1::Environment ToProto(const Environment& environment);
// The sizes of the operator's weight, natural and packed.
tune::v1::PackedWeight PackedWeightProto(const NormalizedOperator& op);
tune::v1::TuningRecord ToProto(const TuningRecord& record, TraceMode mode);

absl::StatusOr<ElementDefinition> FromProto(const tune::v1::ElementDefinition& message);
absl::StatusOr<OperatorDescriptor> FromProto(const tune::v1::OperatorDescriptor& message);
absl::StatusOr<NormalizedOperator> NormalizeProto(const tune::v1::OperatorDescriptor& message);
absl::StatusOr<Candidate> FromProto(const tune::v1::Candidate& message);
absl::StatusOr<LaunchSpec> FromProto(const tune::v1::LaunchSpec& message);
absl::StatusOr<Measurement> FromProto(const tune::v1::Measurement& message);
// A kernel without a binary (blob_sha256 empty) may come without launch.
absl::StatusOr<RankedKernel> FromProto(const tune::v1::RankedKernel& message);
absl::StatusOr<TuningTrace> FromProto(const tune::v1::TuningTrace& message);
absl::StatusOr<Environment> FromProto(const tune::v1::Environment& message);
// `packed` is derived, so it is not read. That `key` is the key of (op, m, target) is the caller's to check where it
// matters: records outlive a change of what keys are made of.
absl::StatusOr<TuningRecord> FromProto(const tune::v1::TuningRecord& message);

}  // namespace ladder

#endif  // LADDER_SERVER_CONVERT_PROTO_CONVERT_H_
