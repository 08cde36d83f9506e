// How the figure of times by M is made, on a device whose times a test chooses.
#include "tests/performance/m_sweep.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/core/fakes.h"

namespace ladder {
namespace {

class SweepTest : public testing::Test {
 protected:
  const ScheduleCatalog catalog_ = NearCatalog(6);
  FakeCompiler compiler_;
  FakeDevice device_;
};

TEST_F(SweepTest, EveryMIsVerifiedAndTimedWithTheKernelOfItsBucket) {
  // One kernel for few rows and one for many.
  device_.time_us_at = [](const std::string& text, int64_t m) {
    if (text == "near(x=2)") return m <= 4 ? 3.0 : 30.0;
    return text == "near(x=3)" ? 5.0 + 0.1 * static_cast<double>(m) : 40.0;
  };
  const absl::StatusOr<MSweep> sweep = SweepM(catalog_, compiler_, device_, SmallOperator(), {2, 3, 5, 8});
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  ASSERT_EQ(sweep->points.size(), 4u);
  const std::string chosen[] = {"near(x=2)", "near(x=2)", "near(x=3)", "near(x=3)"};
  const double us[] = {3.0, 3.0, 5.5, 5.8};
  for (size_t i = 0; i < 4; i++) {
    EXPECT_EQ(sweep->points[i].candidate, chosen[i]);
    EXPECT_DOUBLE_EQ(sweep->points[i].us, us[i]);
    EXPECT_TRUE(device_.verified_at.contains({chosen[i], sweep->points[i].m}));
  }
  EXPECT_LE(WorstCliff(sweep->points).ratio, 1.0);
}

TEST_F(SweepTest, AKernelOfMoreRowsServesFewerWhereItsTuneWasFaster) {
  // Of 8 rows the tune for 4 thinks badly.
  device_.time_us_at = [](const std::string& text, int64_t m) {
    return text == "near(x=2)" ? (m == 4 ? 9.0 : 5.0) : 6.0;
  };
  const absl::StatusOr<MSweep> sweep = SweepM(catalog_, compiler_, device_, SmallOperator(), {3, 8});
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->points[0].candidate, "near(x=2)");
  EXPECT_EQ(sweep->points[0].us, 5.0);
}

TEST_F(SweepTest, AKernelThatIsWrongAtOneMIsAnError) {
  device_.wrong_at = 7;  // which tuning for 8 does not try
  const absl::StatusOr<MSweep> sweep = SweepM(catalog_, compiler_, device_, SmallOperator(), {7, 8});
  EXPECT_EQ(sweep.status().message(), "near(x=1) is wrong at m=7: y[0, 0] = 1");
}

TEST(WorstCliff, IsTheGreatestRatioToALargerM) {
  const std::vector<SweepPoint> points = {{1, 4.0, "a"}, {2, 6.0, "a"}, {3, 5.0, "b"}, {4, 7.0, "b"}, {5, 6.3, "b"}};
  const Cliff cliff = WorstCliff(points);
  EXPECT_DOUBLE_EQ(cliff.ratio, 1.2);
  EXPECT_EQ(cliff.m, 2);
  EXPECT_EQ(cliff.larger_m, 3);
  EXPECT_EQ(WorstCliff({{1, 4.0, "a"}}).ratio, 0);
}

}  // namespace
}  // namespace ladder
