// The machine a kernel is for.
#ifndef LADDER_CORE_TARGET_TARGET_H_
#define LADDER_CORE_TARGET_TARGET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ladder {

enum class Vendor : uint8_t { kNvidia = 1, kAmd = 2 };

// What enumeration may use. Read from the driver where a GPU is (the rates then measured once), from published figures
// for a target named without one.
struct DeviceLimits {
  int multiprocessors = 0;
  int64_t shared_bytes_per_block = 0;  // the opt-in limit
  int64_t shared_bytes_per_multiprocessor = 0;
  int registers_per_multiprocessor = 0;
  int threads_per_multiprocessor = 0;
  int blocks_per_multiprocessor = 0;
  int64_t l2_bytes = 0;
  int64_t memory_bytes = 0;
  double clock_ghz = 0;          // boost
  double read_gb_per_s = 0;      // device memory
  double dense_fp16_tflops = 0;  // tensor cores, sustained
  double launch_us = 0;          // an empty kernel in a graph

  friend bool operator==(const DeviceLimits&, const DeviceLimits&) = default;
};

struct Target {
  Vendor vendor = Vendor::kNvidia;
  std::string arch;   // what the compiler is told: "sm_90a", "gfx90a"
  std::string model;  // the device model that keys are made of: "NVIDIA H200"
  DeviceLimits limits;

  // 80 for sm_80, 90 for sm_90a, 120 for sm_120a; 0 for AMD.
  int capability() const;
  bool has_wgmma() const { return arch == "sm_90a"; }
  bool has_tma() const { return capability() >= 90; }

  // "nvidia;sm_90a;NVIDIA H200;multiprocessors=132;...". Parse(ToString()) == *this.
  std::string ToString() const;
  static absl::StatusOr<Target> Parse(absl::string_view text);
  // A table of published figures: "h200", "h100", "a100-80g", "rtx4090", ...; an architecture ("sm_90a") means its
  // flagship. InvalidArgument listing the names otherwise.
  static absl::StatusOr<Target> FromName(absl::string_view name);
  static std::vector<std::string> Names();

  friend bool operator==(const Target&, const Target&) = default;
};

}  // namespace ladder

#endif  // LADDER_CORE_TARGET_TARGET_H_
