// How measuring is laid out; nothing is measured here.
#include "core/backend/cuda/profile.h"

#include <gtest/gtest.h>

namespace ladder::cuda {
namespace {

TEST(RotatingCopies, KeepAWeightOutOfTheCacheWithoutLongRounds) {
  constexpr int64_t kMiB = 1 << 20, kRotate = 300 * kMiB;  // six times an L2 of 50 MiB
  // At one row the weights alone have to fill the cache.
  EXPECT_EQ(RotatingCopies(kRotate, 32 * kMiB, 0), 10);
  EXPECT_EQ(RotatingCopies(kRotate, 8 * kMiB, 16 << 10), 38);
  EXPECT_EQ(RotatingCopies(kRotate, kMiB, 0), kMostCopies);
  // At many rows x and y do most of it, or all.
  EXPECT_EQ(RotatingCopies(kRotate, 32 * kMiB, 128 * kMiB), 2);
  EXPECT_EQ(RotatingCopies(kRotate, 120 * kMiB, 288 * kMiB), 1);
  EXPECT_EQ(RotatingCopies(1, 32 * kMiB, 0), 1);
  EXPECT_EQ(RotatingCopies(kRotate, 0, 0), kMostCopies);
}

}  // namespace
}  // namespace ladder::cuda
