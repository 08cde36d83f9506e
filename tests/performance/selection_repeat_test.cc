// How the figure of repeated tuning is made, on a device whose times a test chooses.
#include "tests/performance/selection_repeat.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/core/fakes.h"

namespace ladder {
namespace {

class RepeatTest : public testing::Test {
 protected:
  const ScheduleCatalog catalog_ = NearCatalog(6);
  FakeCompiler compiler_;
  FakeDevice device_;
  const BenchProblem problem_ = {SmallOperator(), 16};
};

TEST_F(RepeatTest, ASteadyDeviceAgreesWithItself) {
  device_.time_us = [](const std::string& text) { return text == "near(x=2)" ? 4.0 : 5.0; };
  const absl::StatusOr<RepeatedSelection> repeated = RepeatSelection(catalog_, compiler_, device_, problem_, 5);
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(repeated->ratios, std::vector<double>(5, 1.0));
  EXPECT_EQ(repeated->chosen, (std::map<std::string, int>{{"near(x=2)", 5}}));
  EXPECT_EQ(repeated->best_us, 4.0);
  EXPECT_EQ(repeated->time_spread, 0);
  EXPECT_EQ(compiler_.compiled, 7);  // six candidates and the support kernels, once
}

TEST_F(RepeatTest, AChoiceIsJudgedByTheLastTimingNotByItsOwn) {
  // Every other final is fooled by x=3, which is slow in truth.
  int finals = 0;
  bool fooled = false;
  device_.time_us = [&](const std::string& text) {
    if (text == "near(x=3)") return fooled ? 3.0 : 4.4;
    return text == "near(x=2)" ? 4.0 : 5.0;
  };
  // The last call times what reached a final; it is the fifth of several kernels.
  device_.on_profile = [&](std::vector<Measurement>& results) {
    if (results.size() > 1) fooled = ++finals == 1 || finals == 3;
  };
  const absl::StatusOr<RepeatedSelection> repeated = RepeatSelection(catalog_, compiler_, device_, problem_, 4);
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(finals, 5);
  EXPECT_EQ(repeated->chosen.size(), 2u);
  EXPECT_EQ(Within(repeated->ratios, 1.03), 2);
  EXPECT_EQ(Within(repeated->ratios, 1.11), 4);
  EXPECT_DOUBLE_EQ(repeated->time_spread, 0.25);
}

}  // namespace
}  // namespace ladder
