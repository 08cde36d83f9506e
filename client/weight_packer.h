// Packing and unpacking a weight with the service's support kernels.
#ifndef LADDER_CLIENT_WEIGHT_PACKER_H_
#define LADDER_CLIENT_WEIGHT_PACKER_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "client/kernel_arguments.h"
#include "client/ladder.h"
#include "client/runtime.h"

namespace ladder::tune::v1 {
class TuningRecord;
}

namespace ladder::client {

// What the pack kernels need to know of a layout.
struct PackPlan {
  PackArguments arguments;  // the pointers unset
  WeightSizes natural;
  WeightSizes packed;
  std::string layout_id;
  std::string target;

  // Internal if the record's layout is one that this client doesn't know.
  static absl::StatusOr<PackPlan> From(const tune::v1::TuningRecord& record);
};

// Thread-safe. Fetches the support kernels at first use.
class WeightPacker {
 public:
  WeightPacker(std::shared_ptr<Runtime> runtime, PackPlan plan)
      : runtime_(std::move(runtime)), plan_(std::move(plan)) {}

  absl::Status Pack(const NaturalWeight& natural, const PackedWeight& packed, CuStream stream);
  absl::Status Unpack(const PackedWeight& packed, const PackedWeight& natural, CuStream stream);
  const PackPlan& plan() const { return plan_; }

 private:
  absl::Status Check(bool natural_complete, bool packed_complete) const;
  absl::Status Copy(void* to, const void* from, int64_t bytes, CuStream stream) const;
  absl::Status Run(const char* entry, const PackArguments& arguments, CuStream stream);

  std::shared_ptr<Runtime> runtime_;
  PackPlan plan_;
  std::mutex mutex_;
  std::shared_ptr<const Module> support_;
};

}  // namespace ladder::client

#endif  // LADDER_CLIENT_WEIGHT_PACKER_H_
