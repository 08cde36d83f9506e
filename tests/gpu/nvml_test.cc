// What is made of NVML's answers; there is no NVML here.
#include "core/backend/cuda/nvml.h"

#include <gtest/gtest.h>

#include <vector>

namespace ladder::cuda {
namespace {

TEST(Nvml, CountsTheOthers) {
  EXPECT_EQ(CountOthers(std::vector<uint32_t>{17}, 17), 0);
  EXPECT_EQ(CountOthers(std::vector<uint32_t>{4, 17, 99}, 17), 2);
  // Another namespace: this process is one of them under another number, or none is told.
  EXPECT_EQ(CountOthers(std::vector<uint32_t>{4001, 4002}, 17), 1);
  EXPECT_EQ(CountOthers({}, 17), std::nullopt);
}

TEST(Nvml, FindsNothingOfAGpuThatIsNotThere) {
  const std::string uuid = "GPU-00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(OtherProcesses(uuid), std::nullopt);
  EXPECT_EQ(BusyPercent(uuid), std::nullopt);
  EXPECT_FALSE(IsThrottled(uuid));
  EXPECT_EQ(CurrentClockGhz(uuid), 0);
}

}  // namespace
}  // namespace ladder::cuda
