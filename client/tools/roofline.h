// The least time an operator can take on a machine: what a measured time is held against.
#ifndef LADDER_CLIENT_TOOLS_ROOFLINE_H_
#define LADDER_CLIENT_TOOLS_ROOFLINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::tools {

struct Roofline {
  double launch_us = 0;
  double read_gb_per_s = 0;
  double fp16_tflops = 0;

  // From a Target's text ("nvidia;sm_90a;NVIDIA H200;...;read_gb_per_s=4380;..."). InvalidArgument if a rate is
  // missing.
  static absl::StatusOr<Roofline> From(const std::string& target);

  double FloorUs(double bytes, double operations) const;
};

// Bytes a product must move at m rows: the packed weight, X, Y, the residual and the bias, once each.
double BytesMoved(const tune::v1::TuningRecord& record);
// 2 m n k.
double Operations(const tune::v1::TuningRecord& record);

// "NVIDIA H200 (sm_90a)" of a Target's text.
std::string TargetName(const std::string& target);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_ROOFLINE_H_
