#include "client/weight_packer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ladder/tune/v1/kernel.pb.h"

namespace ladder::client {
namespace {

absl::StatusOr<int> ZeroMode(const std::string& zeros) {
  constexpr const char* kNames[] = {"none", "original", "rescale", "quantized"};
  if (zeros.empty()) return 0;
  for (int mode = 0; mode < 4; mode++) {
    if (zeros == kNames[mode]) return mode;
  }
  return absl::InternalError(absl::StrCat("this client doesn't know the zero points \"", zeros,
                                          "\"; use the client of the service's version"));
}

CuDevicePtr Address(const void* pointer) { return reinterpret_cast<CuDevicePtr>(pointer); }

}  // namespace

absl::StatusOr<PackPlan> PackPlan::From(const tune::v1::TuningRecord& record) {
  const tune::v1::PackedWeight& packed = record.packed();
  PackPlan plan;
  plan.layout_id = packed.layout_id();
  plan.target = record.target();
  plan.natural = {packed.natural_weight_bytes(), packed.natural_scale_bytes(), packed.natural_zero_bytes()};
  plan.packed = {packed.weight_bytes(), packed.scale_bytes(), packed.zero_bytes()};
  absl::StatusOr<int> zero_mode = ZeroMode(record.op().zeros());
  if (!zero_mode.ok()) return zero_mode.status();
  plan.arguments.n = record.op().n();
  plan.arguments.k = record.op().k();
  plan.arguments.zero_mode = *zero_mode;
  const bool plain = record.op().w() == "fp16" || record.op().w() == "bf16";
  if (plain || absl::StartsWith(plan.layout_id, "natural.")) return plan;
  bool class_known = false, bytes = false;
  for (absl::string_view part : absl::StrSplit(plan.layout_id, '.')) {
    if (part == "k16" || part == "k32") class_known = true;
    if (part == "k32") bytes = true;
    if (part == "integer" && !bytes) plan.arguments.placement = 1;
    if (part == "table") plan.arguments.placement = bytes ? 4 : 2;
    if (part == "offset") plan.arguments.offset_binary = 1;
    if (part == "gate_up8") plan.arguments.gated = 1;
    if (part == "e4m3_fp16") plan.arguments.scale_type = 4;
    if (part == "e8m0_bf16") plan.arguments.scale_type = 5;
    int bits = 0;
    if (absl::ConsumePrefix(&part, "b") && absl::SimpleAtoi(part, &bits)) plan.arguments.bits = bits;
  }
  // A packing that this client doesn't know of must not pass for one that it does.
  const bool gated = record.op().act() == "swiglu";
  if (gated != (plan.arguments.gated != 0)) class_known = false;
  const bool narrow_scales = record.op().scale() == "fp8_e4m3" || record.op().scale() == "e8m0";
  if (narrow_scales != (plan.arguments.scale_type != 0)) class_known = false;
  // What the id doesn't name: the one placement of widths above 4, and the usual one for activations of 8 bits.
  if (plan.arguments.bits > 4) plan.arguments.placement = bytes ? 3 : 1;
  if (bytes && plan.arguments.placement == 0) plan.arguments.placement = 3;
  if (!class_known || plan.arguments.placement == 0 || plan.arguments.bits < 1 || plan.arguments.bits > 8) {
    return absl::InternalError(absl::StrCat("this client can't pack the layout \"", plan.layout_id,
                                            "\"; use the client of the service's version"));
  }
  // Scales, one per row and group, are 16 bits wide unless the layout says otherwise.
  const int64_t scale_bytes = plan.arguments.scale_type == 0 ? 2 : 1;
  plan.arguments.groups = plan.arguments.n > 0 ? packed.natural_scale_bytes() / scale_bytes / plan.arguments.n : 0;
  return plan;
}

absl::Status WeightPacker::Check(bool natural_complete, bool packed_complete) const {
  if (!natural_complete) return absl::InvalidArgumentError("the natural weight: codes, scales or zeros are missing");
  if (!packed_complete) return absl::InvalidArgumentError("the packed weight: weight, scale or zero is missing");
  return absl::OkStatus();
}

absl::Status WeightPacker::Run(const char* entry, const PackArguments& arguments, CuStream stream) {
  std::lock_guard lock(mutex_);
  if (support_ == nullptr) {
    absl::StatusOr<std::shared_ptr<const Module>> support = runtime_->GetSupport(plan_.target);
    if (!support.ok()) return support.status();
    support_ = *std::move(support);
  }
  absl::StatusOr<CuFunction> function = support_->Function(entry);
  if (!function.ok()) return function.status();
  CuLaunchConfig config;
  // The kernels stride over their work; one thread per 16 packed bytes, at most a few waves.
  const int64_t items = plan_.packed.weight / 16;
  config.grid_x = static_cast<unsigned>(std::clamp<int64_t>(items / kSupportThreads, 1, 4096));
  config.block_x = kSupportThreads;
  config.stream = stream;
  PackArguments copy = arguments;
  void* parameters[1] = {&copy};
  return runtime_->driver().Check(runtime_->driver().cuLaunchKernelEx(&config, *function, parameters, nullptr),
                                  "launching the packing kernel");
}

absl::Status WeightPacker::Copy(void* to, const void* from, int64_t bytes, CuStream stream) const {
  if (to == from || bytes == 0) return absl::OkStatus();
  return runtime_->driver().Check(
      runtime_->driver().cuMemcpyDtoDAsync(Address(to), Address(from), static_cast<size_t>(bytes), stream),
      "copying the weight");
}

absl::Status WeightPacker::Pack(const NaturalWeight& natural, const PackedWeight& packed, CuStream stream) {
  absl::Status status = Check(natural.codes != nullptr && (plan_.natural.scale == 0 || natural.scales != nullptr) &&
                                  (plan_.natural.zero == 0 || natural.zeros != nullptr),
                              packed.weight != nullptr && (plan_.packed.scale == 0 || packed.scale != nullptr) &&
                                  (plan_.packed.zero == 0 || packed.zero != nullptr));
  if (!status.ok()) return status;
  const CudaDriver& driver = runtime_->driver();
  if (plan_.arguments.placement == 0) {
    status = Copy(packed.weight, natural.codes, plan_.packed.weight, stream);
    if (status.ok()) status = Copy(packed.scale, natural.scales, plan_.packed.scale, stream);
  } else {
    PackArguments arguments = plan_.arguments;
    arguments.codes = const_cast<void*>(natural.codes);
    arguments.scales = const_cast<void*>(natural.scales);
    arguments.zeros = const_cast<void*>(natural.zeros);
    arguments.packed = packed.weight;
    arguments.packed_scales = packed.scale;
    arguments.packed_zeros = packed.zero;
    status = Run("ladder_pack", arguments, stream);
  }
  if (!status.ok()) return status;
  return driver.Check(driver.cuStreamSynchronize(stream), "packing the weight");
}

absl::Status WeightPacker::Unpack(const PackedWeight& packed, const PackedWeight& natural, CuStream stream) {
  absl::Status status = Check(natural.weight != nullptr && (plan_.natural.scale == 0 || natural.scale != nullptr) &&
                                  (plan_.natural.zero == 0 || natural.zero != nullptr),
                              packed.weight != nullptr && (plan_.packed.scale == 0 || packed.scale != nullptr) &&
                                  (plan_.packed.zero == 0 || packed.zero != nullptr));
  if (!status.ok()) return status;
  if (plan_.arguments.placement == 0) {
    const absl::Status copied = Copy(natural.weight, packed.weight, plan_.packed.weight, stream);
    return copied.ok() ? Copy(natural.scale, packed.scale, plan_.packed.scale, stream) : copied;
  }
  PackArguments arguments = plan_.arguments;
  arguments.codes = natural.weight;
  arguments.scales = natural.scale;
  arguments.zeros = natural.zero;
  arguments.packed = packed.weight;
  arguments.packed_scales = packed.scale;
  arguments.packed_zeros = packed.zero;
  return Run("ladder_unpack", arguments, stream);
}

}  // namespace ladder::client
