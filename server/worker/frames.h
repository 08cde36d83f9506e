// Core types to frames and back. Reading treats the other side as hostile: sizes are capped, numbers finite, codes
// known; an error means that the whole frame is worthless.
#ifndef LADDER_SERVER_WORKER_FRAMES_H_
#define LADDER_SERVER_WORKER_FRAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/backend/compiler.h"
#include "core/backend/device.h"

namespace ladder {
namespace worker {
class CompileJob;
class CompiledBinary;
class DeviceConditions;
class DeviceReply;
class KernelBinary;
class Outcome;
class ProfilePolicy;
class Verification;
class Workload;
}  // namespace worker

void ToFrame(const CompileRequest& request, worker::CompileJob& out);
void ToFrame(const CompiledKernel& kernel, worker::CompiledBinary& out);
void ToFrame(const Workload& workload, worker::Workload& out);
void ToFrame(const KernelBinary& kernel, worker::KernelBinary& out);
void ToFrame(const ProfilePolicy& policy, worker::ProfilePolicy& out);
void ToFrame(const DeviceConditions& conditions, worker::DeviceConditions& out);
void ToFrame(const Verification& verification, worker::Verification& out);
void ToFrame(const absl::Status& status, worker::Outcome& out);

CompileRequest FromFrame(const worker::CompileJob& frame);
absl::StatusOr<CompiledKernel> FromFrame(const worker::CompiledBinary& frame);
absl::StatusOr<Workload> FromFrame(const worker::Workload& frame);
absl::StatusOr<KernelBinary> FromFrame(const worker::KernelBinary& frame);
absl::StatusOr<ProfilePolicy> FromFrame(const worker::ProfilePolicy& frame);
absl::StatusOr<DeviceConditions> FromFrame(const worker::DeviceConditions& frame);
absl::StatusOr<Verification> FromFrame(const worker::Verification& frame);
// The status an outcome tells; a code that doesn't exist becomes Unknown, a long message is cut.
absl::Status OutcomeStatus(const worker::Outcome& frame);

}  // namespace ladder

#endif  // LADDER_SERVER_WORKER_FRAMES_H_
