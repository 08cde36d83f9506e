// The whole matrix of number formats: what is not served says what is, and the table says what the schedules do.
#include "core/schedule/support_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/schedule/format_axes.h"
#include "core/schedule/nearest_served.h"
#include "core/tuning/tuner.h"
#include "schedules/catalog.h"

namespace ladder {
namespace {

// Every group divides it.
constexpr int64_t kN = 256, kK = 512;

// The descriptor with the changes that a refusal names ("w=int4 scale=fp16") made.
OperatorDescriptor Changed(OperatorDescriptor d, absl::string_view changes) {
  for (const absl::string_view change : absl::StrSplit(changes, ' ')) {
    const std::pair<std::string, std::string> field = absl::StrSplit(change, absl::MaxSplits('=', 1));
    int64_t number = 0;
    if (field.first == "w") {
      d.w = field.second;
      d.element.reset();
    } else if (field.first == "a") {
      d.a = field.second;
    } else if (field.first == "scale") {
      d.scale = field.second;
      if (d.scale == "none") d.group.reset();
    } else if (field.first == "zeros") {
      d.zeros = field.second;
    } else if (field.first == "act") {
      d.act = field.second;
    } else if (field.first == "group" && absl::SimpleAtoi(field.second, &number)) {
      d.group = number;
    } else if (field.first == "tensor_scale" && field.second == "0") {
      d.tensor_scale = false;
    } else if (field.first == "bias" && field.second == "0") {
      d.bias = false;
    } else {
      ADD_FAILURE() << "not a change of a descriptor: " << change;
    }
  }
  return d;
}

std::string Text(const OperatorDescriptor& d) {
  return absl::StrCat("a=", d.a, " w=", d.w, d.element ? " (table)" : "", " scale=", d.scale, " zeros=", d.zeros,
                      " group=", d.group.value_or(0), " tensor_scale=", d.tensor_scale);
}

// A refusal is Unimplemented and ends with "nearest: CHANGES", and what the changes make is served.
void ExpectNamesServed(const ScheduleCatalog& catalog, const OperatorDescriptor& asked, int64_t m,
                       const absl::Status& refusal, const Target& target) {
  ASSERT_EQ(refusal.code(), absl::StatusCode::kUnimplemented) << Text(asked) << ": " << refusal;
  const std::string message(refusal.message());
  const size_t at = message.rfind("nearest: ");
  ASSERT_NE(at, std::string::npos) << Text(asked) << ": " << message;
  // A named type is written out before it is refused; changes are of what it means.
  const absl::StatusOr<NormalizedOperator> meant = Normalize(asked);
  const OperatorDescriptor other =
      Changed(meant.ok() ? meant->ToDescriptor() : asked, absl::string_view(message).substr(at + 9));
  const absl::StatusOr<NormalizedOperator> op = Normalize(other);
  ASSERT_TRUE(op.ok()) << Text(asked) << ": " << message << ": " << op.status();
  EXPECT_TRUE(IsServed(catalog, *op, m, target)) << Text(asked) << ": " << message;
}

TEST(SupportMatrix, EveryCellIsServedOrNamesWhatIs) {
  const ScheduleCatalog catalog = MakeCatalog();
  for (const auto& [arch, m] : {std::pair("sm_80", 1), std::pair("sm_90a", 64)}) {
    const Target target = *Target::FromName(arch);
    int served = 0, refused = 0;
    for (const WeightCase& weight : WeightCases()) {
      for (const std::string& activation : ActivationNames()) {
        for (const OperatorDescriptor& d : FormatCells(weight, activation, kN, kK)) {
          const absl::StatusOr<NormalizedOperator> op = Normalize(d);
          if (absl::IsInvalidArgument(op.status())) continue;  // no such format
          if (op.ok() && IsServed(catalog, *op, m, target)) {
            served++;
            // Planning takes milliseconds: for some of them, in no step with any axis.
            if (served % 11 == 0) {
              EXPECT_TRUE(PlanCandidates(catalog, *op, m, target).ok()) << Text(d);
            }
            continue;
          }
          refused++;
          ExpectNamesServed(catalog, d, m, op.ok() ? PlanCandidates(catalog, *op, m, target).status() : op.status(),
                            target);
        }
      }
    }
    // The walk is no empty one.
    EXPECT_GT(served, 100) << arch;
    EXPECT_GT(refused, 0) << arch;
  }
}

TEST(SupportMatrix, WhatSurroundsTheWeightIsNamedToo) {
  const ScheduleCatalog catalog = MakeCatalog();
  const Target target = *Target::FromName("h200");
  // fp32 scales and the tensor scale's limits may come to be served; a table that fp16 cannot hold will not.
  const OperatorDescriptor d = {.w = "mine",
                                .element = ElementDefinition{.bits = 1, .table = {1, 70000}, .layout = {}},
                                .bias = true,
                                .n = kN,
                                .k = kK};
  ExpectNamesServed(catalog, d, 1, PlanCandidates(catalog, *Normalize(d), 1, target).status(), target);
}

// Every weight type and activation of the type system is in the table, and a target without schedules has none.
TEST(SupportMatrix, TheTableNamesEveryActivationAndPlainWeight) {
  const ScheduleCatalog catalog = MakeCatalog();
  const std::string table = SupportMatrix(catalog, {*Target::FromName("h200")});
  EXPECT_NE(table.find(absl::StrCat("| weights | ", absl::StrJoin(ActivationNames(), " | "), " |\n")),
            std::string::npos);
  for (const char* name : {"int1", "uint1", "nf4", "fp8_e4m3", "mxfp4", "nvfp4", "| fp16 |", "| bf16 |", "table1"}) {
    EXPECT_NE(table.find(name), std::string::npos) << name << "\n" << table;
  }
  EXPECT_NE(SupportMatrix(catalog, {*Target::FromName("gfx942")}).find("On gfx942: nothing is served."),
            std::string::npos);
  std::vector<std::string> archs;
  for (const Target& target : EveryArchitecture()) archs.push_back(target.arch);
  EXPECT_TRUE(std::ranges::count(archs, "sm_90a") == 1 && std::ranges::count(archs, "gfx942") == 1);
}

// With schedules that serve less, the table says less: it is asked for, not known.
TEST(SupportMatrix, IsWhatTheSchedulesSay) {
  ScheduleCatalog catalog = MakeCatalog();
  const Target target = *Target::FromName("a100-80g");
  std::erase_if(catalog.schedules, [](const auto& schedule) { return schedule->name() != "decode"; });
  const std::string decode = SupportMatrix(catalog, {target});
  EXPECT_NE(decode.find("M of 1, 16"), std::string::npos) << decode;
  EXPECT_EQ(decode.find("| fp16 | yes"), std::string::npos) << decode;
  catalog.schedules.clear();
  EXPECT_NE(SupportMatrix(catalog, {target}).find("On sm_80: nothing is served."), std::string::npos);
}

}  // namespace
}  // namespace ladder
