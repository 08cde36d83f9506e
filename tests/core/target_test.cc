#include "core/target/target.h"

#include "core/schedule/candidate.h"
#include "gtest/gtest.h"

namespace ladder {
namespace {

TEST(Target, ParseInvertsToString) {
  for (const std::string& name : Target::Names()) {
    const Target target = *Target::FromName(name);
    EXPECT_EQ(*Target::Parse(target.ToString()), target) << name;
  }
  Target measured = *Target::FromName("h200");
  measured.limits.read_gb_per_s = 4382.1234567890123;
  EXPECT_EQ(*Target::Parse(measured.ToString()), measured);
}

TEST(Target, AnArchitectureMeansItsFlagship) {
  EXPECT_EQ(*Target::FromName("sm_90a"), *Target::FromName("h200"));
  EXPECT_EQ(Target::FromName("sm_120a")->capability(), 120);
  EXPECT_TRUE(Target::FromName("h100")->has_wgmma());
  EXPECT_FALSE(Target::FromName("b200")->has_wgmma());
}

TEST(Target, KnowsAmdGpusWithoutTakingThemForNvidias) {
  EXPECT_EQ(*Target::FromName("gfx90a"), *Target::FromName("mi250"));
  EXPECT_EQ(*Target::FromName("gfx942"), *Target::FromName("mi300x"));
  for (const char* name : {"mi250", "mi300x"}) {
    const Target target = *Target::FromName(name);
    EXPECT_EQ(target.vendor, Vendor::kAmd) << name;
    EXPECT_EQ(target.capability(), 0) << name;
    EXPECT_FALSE(target.has_tma()) << name;  // "gfx942" has a number above 90
  }
}

TEST(Target, RefusesWhatItCannotRead) {
  EXPECT_FALSE(Target::FromName("sm_999").ok());
  const std::string text = Target::FromName("h200")->ToString();
  for (size_t cut : {size_t{0}, size_t{6}, text.size() / 2, text.size() - 4}) {
    EXPECT_FALSE(Target::Parse(text.substr(0, cut)).ok()) << cut;
  }
  EXPECT_FALSE(Target::Parse(text + ";more=1").ok());
  std::string negative = text;
  negative.replace(negative.find("multiprocessors=132"), 19, "multiprocessors=-13");
  EXPECT_FALSE(Target::Parse(negative).ok());
  // Beyond an int, whose lower half would be a plausible number or a negative one; found by fuzzing.
  for (const char* huge : {"multiprocessors=4294967428", "multiprocessors=6553600000004"}) {
    std::string wide = text;
    wide.replace(wide.find("multiprocessors=132"), 19, huge);
    EXPECT_FALSE(Target::Parse(wide).ok()) << huge;
  }
  EXPECT_FALSE(Target::Parse(text.substr(0, text.rfind('=') + 1) + "inf").ok());
}

TEST(Candidate, ParseInvertsToString) {
  const Candidate candidate{"decode", {{"row_tiles", 2}, {"warps", 16}}};
  EXPECT_EQ(candidate.ToString(), "decode(row_tiles=2,warps=16)");
  EXPECT_EQ(*Candidate::Parse(candidate.ToString()), candidate);
  EXPECT_EQ(candidate["warps"], 16);
  EXPECT_EQ(*Candidate::Parse("empty()"), (Candidate{"empty", {}}));
  for (absl::string_view bad : {"", "decode", "(a=1)", "d(a)", "d(a=x)", "d(a=1"}) {
    EXPECT_FALSE(Candidate::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace ladder
