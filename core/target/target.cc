#include "core/target/target.h"

#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ladder {
namespace {

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;
constexpr int64_t kGiB = 1024 * kMiB;

struct NamedTarget {
  absl::string_view name;
  bool flagship;  // what its architecture's name means
  Target target;
};

// Published figures (vendors' data sheets, the CUDA programming guide's table of technical specifications); rates at
// about 90% of the sheet, which is what kernels see. A machine that has the GPU measures its own.
const std::vector<NamedTarget>& Table() {
  static const std::vector<NamedTarget> table = {
      {"a100-80g",
       true,
       {Vendor::kNvidia,
        "sm_80",
        "NVIDIA A100-SXM4-80GB",
        {108, 163 * kKiB, 164 * kKiB, 65536, 2048, 32, 40 * kMiB, 80 * kGiB, 1.41, 1800, 270, 1.0}}},
      {"a100-40g",
       false,
       {Vendor::kNvidia,
        "sm_80",
        "NVIDIA A100-SXM4-40GB",
        {108, 163 * kKiB, 164 * kKiB, 65536, 2048, 32, 40 * kMiB, 40 * kGiB, 1.41, 1400, 270, 1.0}}},
      {"rtx3090",
       true,
       {Vendor::kNvidia,
        "sm_86",
        "NVIDIA GeForce RTX 3090",
        {82, 99 * kKiB, 100 * kKiB, 65536, 1536, 16, 6 * kMiB, 24 * kGiB, 1.70, 850, 65, 1.0}}},
      {"a10",
       false,
       {Vendor::kNvidia,
        "sm_86",
        "NVIDIA A10",
        {72, 99 * kKiB, 100 * kKiB, 65536, 1536, 16, 6 * kMiB, 24 * kGiB, 1.70, 540, 110, 1.0}}},
      {"l40s",
       false,
       {Vendor::kNvidia,
        "sm_89",
        "NVIDIA L40S",
        {142, 99 * kKiB, 100 * kKiB, 65536, 1536, 24, 96 * kMiB, 48 * kGiB, 2.52, 780, 320, 0.8}}},
      {"rtx4090",
       true,
       {Vendor::kNvidia,
        "sm_89",
        "NVIDIA GeForce RTX 4090",
        {128, 99 * kKiB, 100 * kKiB, 65536, 1536, 24, 72 * kMiB, 24 * kGiB, 2.52, 920, 160, 0.8}}},
      {"h100",
       false,
       {Vendor::kNvidia,
        "sm_90a",
        "NVIDIA H100 80GB HBM3",
        {132, 227 * kKiB, 228 * kKiB, 65536, 2048, 32, 50 * kMiB, 80 * kGiB, 1.98, 3000, 700, 0.5}}},
      {"h200",
       true,
       {Vendor::kNvidia,
        "sm_90a",
        "NVIDIA H200",
        {132, 227 * kKiB, 228 * kKiB, 65536, 2048, 32, 60 * kMiB, 141 * kGiB, 1.98, 4380, 750, 0.5}}},
      {"b200",
       true,
       {Vendor::kNvidia,
        "sm_100a",
        "NVIDIA B200",
        {148, 227 * kKiB, 228 * kKiB, 65536, 2048, 32, 126 * kMiB, 180 * kGiB, 1.96, 7200, 1700, 0.5}}},
      {"rtx5090",
       true,
       {Vendor::kNvidia,
        "sm_120a",
        "NVIDIA GeForce RTX 5090",
        {170, 99 * kKiB, 100 * kKiB, 65536, 1536, 24, 96 * kMiB, 32 * kGiB, 2.41, 1600, 200, 0.8}}},
      // One of the two dies of an MI250, which programs see as a GPU each. Per compute unit: 64 KiB of LDS, 4 x 512
      // vector registers of 64 lanes, 32 waves of 64 threads. No kernel of ours was timed on either: rates are 90% of
      // the sheet, the launch is a guess.
      {"mi250",
       true,
       {Vendor::kAmd,
        "gfx90a",
        "AMD Instinct MI250",
        {104, 64 * kKiB, 64 * kKiB, 131072, 2048, 32, 8 * kMiB, 64 * kGiB, 1.70, 1470, 160, 2.0}}},
      {"mi300x",
       true,
       {Vendor::kAmd,
        "gfx942",
        "AMD Instinct MI300X",
        {304, 64 * kKiB, 64 * kKiB, 131072, 2048, 32, 4 * kMiB, 192 * kGiB, 2.10, 4770, 1170, 2.0}}},
  };
  return table;
}

struct IntegerField {
  absl::string_view name;
  int64_t (*get)(const DeviceLimits&);
  void (*set)(DeviceLimits&, int64_t);
};

#define LADDER_LIMIT(field)                                                                                     \
  IntegerField {                                                                                                \
#field, [](const DeviceLimits& l)                                                                           \
                 -> int64_t { return l.field; }, [](DeviceLimits & l,                                           \
                                                    int64_t v) { l.field = static_cast<decltype(l.field)>(v); } \
  }
constexpr std::array kIntegerFields = {
    LADDER_LIMIT(multiprocessors),
    LADDER_LIMIT(shared_bytes_per_block),
    LADDER_LIMIT(shared_bytes_per_multiprocessor),
    LADDER_LIMIT(registers_per_multiprocessor),
    LADDER_LIMIT(threads_per_multiprocessor),
    LADDER_LIMIT(blocks_per_multiprocessor),
    LADDER_LIMIT(l2_bytes),
    LADDER_LIMIT(memory_bytes),
};
#undef LADDER_LIMIT

struct RealField {
  absl::string_view name;
  double DeviceLimits::*member;
};
constexpr std::array kRealFields = {
    RealField{"clock_ghz", &DeviceLimits::clock_ghz},
    RealField{"read_gb_per_s", &DeviceLimits::read_gb_per_s},
    RealField{"dense_fp16_tflops", &DeviceLimits::dense_fp16_tflops},
    RealField{"launch_us", &DeviceLimits::launch_us},
};

absl::Status BadTarget(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("target: cannot read \"", text.substr(0, 80), "\": ", why));
}

}  // namespace

int Target::capability() const {
  if (vendor != Vendor::kNvidia) return 0;
  int value = 0;
  for (char c : arch) {
    if (std::isdigit(static_cast<unsigned char>(c))) value = value * 10 + (c - '0');
  }
  return value;
}

std::string Target::ToString() const {
  std::string text = absl::StrCat(vendor == Vendor::kNvidia ? "nvidia" : "amd", ";", arch, ";", model);
  for (const IntegerField& field : kIntegerFields) absl::StrAppend(&text, ";", field.name, "=", field.get(limits));
  for (const RealField& field : kRealFields)
    absl::StrAppendFormat(&text, ";%s=%.17g", field.name, limits.*field.member);
  return text;
}

absl::StatusOr<Target> Target::Parse(absl::string_view text) {
  const std::vector<absl::string_view> pieces = absl::StrSplit(text, ';');
  if (pieces.size() != 3 + kIntegerFields.size() + kRealFields.size()) return BadTarget(text, "wrong number of fields");
  Target target;
  if (pieces[0] != "nvidia" && pieces[0] != "amd") return BadTarget(text, "the vendor must be nvidia or amd");
  target.vendor = pieces[0] == "nvidia" ? Vendor::kNvidia : Vendor::kAmd;
  target.arch = std::string(pieces[1]);
  target.model = std::string(pieces[2]);
  if (target.arch.empty() || target.arch.size() > 32 || target.model.empty() || target.model.size() > 128) {
    return BadTarget(text, "architecture or model missing");
  }
  size_t at = 3;
  for (const IntegerField& field : kIntegerFields) {
    const std::vector<absl::string_view> pair = absl::StrSplit(pieces[at++], absl::MaxSplits('=', 1));
    int64_t value = 0;
    if (pair.size() != 2 || pair[0] != field.name || !absl::SimpleAtoi(pair[1], &value) || value < 1) {
      return BadTarget(text, absl::StrCat(field.name, " must be a positive number"));
    }
    field.set(target.limits, value);
    // Most are narrower than what was read.
    if (field.get(target.limits) != value) return BadTarget(text, absl::StrCat(field.name, " is too large"));
  }
  for (const RealField& field : kRealFields) {
    const std::vector<absl::string_view> pair = absl::StrSplit(pieces[at++], absl::MaxSplits('=', 1));
    double value = 0;
    if (pair.size() != 2 || pair[0] != field.name || !absl::SimpleAtod(pair[1], &value) || !(value >= 0) ||
        !std::isfinite(value)) {
      return BadTarget(text, absl::StrCat(field.name, " must be a number"));
    }
    target.limits.*field.member = value;
  }
  return target;
}

std::vector<std::string> Target::Names() {
  std::vector<std::string> names;
  for (const NamedTarget& entry : Table()) {
    names.emplace_back(entry.name);
    if (entry.flagship) names.push_back(entry.target.arch);
  }
  return names;
}

absl::StatusOr<Target> Target::FromName(absl::string_view name) {
  for (const NamedTarget& entry : Table()) {
    if (name == entry.name || name == entry.target.model || (entry.flagship && name == entry.target.arch)) {
      return entry.target;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("target: unknown target \"", name, "\"; known: ", absl::StrJoin(Names(), ", ")));
}

}  // namespace ladder
