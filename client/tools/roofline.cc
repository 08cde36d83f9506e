#include "client/tools/roofline.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace ladder::tools {

absl::StatusOr<Roofline> Roofline::From(const std::string& target) {
  Roofline roofline;
  for (absl::string_view part : absl::StrSplit(target, ';')) {
    double* rate = absl::ConsumePrefix(&part, "launch_us=")           ? &roofline.launch_us
                   : absl::ConsumePrefix(&part, "read_gb_per_s=")     ? &roofline.read_gb_per_s
                   : absl::ConsumePrefix(&part, "dense_fp16_tflops=") ? &roofline.fp16_tflops
                                                                      : nullptr;
    if (rate != nullptr && !absl::SimpleAtod(part, rate)) {
      return absl::InvalidArgumentError(absl::StrCat("the target \"", target, "\" has a rate that is not a number"));
    }
  }
  if (roofline.read_gb_per_s <= 0 || roofline.fp16_tflops <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("the target \"", target, "\" doesn't tell its rates"));
  }
  return roofline;
}

double Roofline::FloorUs(double bytes, double operations) const {
  return launch_us + std::max(bytes / (read_gb_per_s * 1e3), operations / (fp16_tflops * 1e6));
}

double BytesMoved(const tune::v1::TuningRecord& record) {
  const tune::v1::OperatorDescriptor& op = record.op();
  const tune::v1::PackedWeight& packed = record.packed();
  const double m = static_cast<double>(record.m()), n = static_cast<double>(op.n()), k = static_cast<double>(op.k());
  const double weight = static_cast<double>(packed.weight_bytes() + packed.scale_bytes() + packed.zero_bytes());
  const double y = m * (op.act() == "swiglu" ? n / 2 : n) * (op.out() == "fp32" ? 4 : 2);
  return weight + m * k * 2 + y * (op.residual() ? 2 : 1) + (op.bias() ? n * 2 : 0);
}

double Operations(const tune::v1::TuningRecord& record) {
  return 2.0 * static_cast<double>(record.m()) * static_cast<double>(record.op().n()) *
         static_cast<double>(record.op().k());
}

std::string TargetName(const std::string& target) {
  const std::vector<std::string> parts = absl::StrSplit(target, ';');
  return parts.size() < 3 ? target : absl::StrCat(parts[2], " (", parts[1], ")");
}

}  // namespace ladder::tools
