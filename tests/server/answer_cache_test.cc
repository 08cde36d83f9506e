#include "server/serving/answer_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

AnswerCache::Value Answer(std::string bytes) {
  auto answer = std::make_shared<KnownAnswer>();
  answer->bytes = std::move(bytes);
  return answer;
}

std::string BytesOf(const AnswerCache::Value& answer) { return answer == nullptr ? "(none)" : answer->bytes; }

TEST(AnswerCacheTest, EqualBytesAreFoundAndUnequalOnesAreNot) {
  AnswerCache cache(1 << 20);
  cache.Insert(std::string("a\0b", 3), {}, Answer("first"));
  EXPECT_EQ(BytesOf(cache.Find(std::string("a\0b", 3), {})), "first");
  EXPECT_EQ(cache.Find(std::string("a\0c", 3), {}), nullptr);
  EXPECT_EQ(cache.Find("a", {}), nullptr);
  EXPECT_EQ(cache.Find("", {}), nullptr);
  cache.Insert("", {}, Answer("of an empty request"));
  EXPECT_EQ(BytesOf(cache.Find("", {})), "of an empty request");
  cache.Insert(std::string("a\0b", 3), {}, Answer("second"));
  EXPECT_EQ(BytesOf(cache.Find(std::string("a\0b", 3), {})), "second");
}

TEST(AnswerCacheTest, AnAnswerHoldsOnItsOwnBasisOnly) {
  AnswerCache cache(1 << 20);
  const AnswerBasis basis{.store = 7, .machines = 3};
  cache.Insert("request", basis, Answer("old"));
  EXPECT_NE(cache.Find("request", basis), nullptr);
  for (const AnswerBasis& other : {AnswerBasis{8, 3}, AnswerBasis{7, 4}, AnswerBasis{3, 7}, AnswerBasis{6, 3}}) {
    EXPECT_EQ(cache.Find("request", other), nullptr) << other.store << " " << other.machines;
  }
  // What is made anew takes its place, for the new basis alone.
  cache.Insert("request", {8, 3}, Answer("new"));
  EXPECT_EQ(BytesOf(cache.Find("request", {8, 3})), "new");
  EXPECT_EQ(cache.Find("request", basis), nullptr);
}

TEST(AnswerCacheTest, WhoIsSlowDoesNotTakeAwayWhatIsNewer) {
  AnswerCache cache(1 << 20);
  cache.Insert("request", {8, 3}, Answer("new"));
  for (const AnswerBasis& old : {AnswerBasis{7, 3}, AnswerBasis{8, 2}}) {
    cache.Insert("request", old, Answer("old"));
    EXPECT_EQ(cache.Find("request", old), nullptr);
    EXPECT_EQ(BytesOf(cache.Find("request", {8, 3})), "new");
  }
  // Nor where it has become one of the old half, when a look-up on the former basis comes along.
  for (int i = 0; i < 500; ++i) cache.Insert(absl::StrCat("request ", i), {8, 3}, Answer(std::string(1000, 'x')));
  EXPECT_EQ(cache.Find("request", {7, 3}), nullptr);
  cache.Insert("request", {7, 3}, Answer("old"));
  EXPECT_EQ(cache.Find("request", {7, 3}), nullptr);
  EXPECT_EQ(BytesOf(cache.Find("request", {8, 3})), "new");
}

// Each answer weighs over 1,000 bytes, so of 4,000 a cache of 1 MB must forget three quarters at least.
TEST(AnswerCacheTest, KeepsItsBoundAndTheNewest) {
  constexpr size_t kCapacity = size_t{1} << 20;
  constexpr size_t kAnswerBytes = 1000;
  AnswerCache cache(kCapacity);
  constexpr int kRequests = 4000;
  std::vector<std::weak_ptr<const KnownAnswer>> made;
  for (int i = 0; i < kRequests; ++i) {
    const AnswerCache::Value answer = Answer(std::string(kAnswerBytes, 'x'));
    made.push_back(answer);
    cache.Insert(absl::StrCat("request ", i), {}, answer);
    ASSERT_EQ(cache.Find(absl::StrCat("request ", i), {}), answer) << i;
  }
  size_t alive = 0;
  for (const auto& answer : made) alive += answer.expired() ? 0 : 1;
  EXPECT_LE(alive * kAnswerBytes, kCapacity);
  EXPECT_GE(alive * kAnswerBytes, kCapacity / 8) << "most of the room is unused";
}

TEST(AnswerCacheTest, WhatIsAskedForStays) {
  AnswerCache cache(size_t{1} << 20);
  cache.Insert("favourite", {}, Answer("kept"));
  for (int i = 0; i < 4000; ++i) {
    cache.Insert(absl::StrCat("request ", i), {}, Answer(std::string(1000, 'x')));
    ASSERT_EQ(BytesOf(cache.Find("favourite", {})), "kept") << i;
  }
}

TEST(AnswerCacheTest, AnAnswerLargerThanItsRoomIsNotKept) {
  AnswerCache cache(size_t{64} << 10);  // 2 KiB in each half of a shard
  cache.Insert("small", {}, Answer("kept"));
  cache.Insert("large", {}, Answer(std::string(4096, 'x')));
  EXPECT_EQ(cache.Find("large", {}), nullptr);
  EXPECT_EQ(BytesOf(cache.Find("small", {})), "kept");
  // The binaries that an answer names are room, too.
  auto names = std::make_shared<KnownAnswer>();
  names->binaries.assign(64, std::string(64, 'a'));
  cache.Insert("names", {}, names);
  EXPECT_EQ(cache.Find("names", {}), nullptr);
}

// Threads that read and replace the same few requests while their basis moves on: whatever is found was made for that
// request on that basis.
TEST(AnswerCacheTest, ThreadsFindOnlyWhatWasMadeForThem) {
  AnswerCache cache(size_t{64} << 10);  // small, so that halves change over all the time
  std::atomic<uint64_t> store = 0;
  std::atomic<int> found = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 20000; ++i) {
        const AnswerBasis basis{store.load(), 1};
        const std::string request = absl::StrCat("request ", (i * 7 + thread) % 61);
        const std::string expected = absl::StrCat(request, " at ", basis.store);
        const AnswerCache::Value answer = cache.Find(request, basis);
        if (answer == nullptr) {
          cache.Insert(request, basis, Answer(expected));
        } else {
          ++found;
          ASSERT_EQ(answer->bytes, expected);
        }
        if (i % 1000 == 999) ++store;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace ladder
