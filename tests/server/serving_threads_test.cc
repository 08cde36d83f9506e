// What many callers do at once behind the services: one tune for all, look-ups while records change, watches that come
// and go. Without gRPC, so that the thread sanitizer sees everything of it.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/convert/proto_convert.h"
#include "server/serving/known_answers.h"
#include "server/serving/lookup.h"
#include "tests/server/serving_fixture.h"

namespace ladder {
namespace {

// Starts `threads` of them and waits for their end.
void Together(int threads, const std::function<void(int)>& work) {
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) running.emplace_back(work, i);
  for (std::thread& thread : running) thread.join();
}

using ServingThreadsTest = ServingTest;

TEST_F(ServingThreadsTest, ManyCallersShareATuneThatMostOfThemLeave) {
  constexpr int kCallers = 24;
  const TuneSpec spec = Spec(256, {1, 16});
  absl::Notification everyone_is_there;
  device_.on_verify = [&] { everyone_is_there.WaitForNotification(); };
  std::atomic<int> there = 0;
  std::atomic<int> ended = 0;
  std::mutex mutex;
  std::set<std::string> ids;
  std::multiset<uint64_t> generations;
  std::vector<absl::Notification> heard_the_end(kCallers);
  Together(kCallers, [&](int caller) {
    const absl::StatusOr<std::string> id = tunes_.Start(spec, /*background=*/false);
    ASSERT_TRUE(id.ok()) << id.status();
    const bool stays = caller % 4 == 0;
    const auto update = [&](const TuneUpdate& step) {
      if (step.record == nullptr) return;
      const std::lock_guard lock(mutex);
      generations.insert(step.record->generation);
    };
    const auto end = [&, caller](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      ++ended;
      heard_the_end[static_cast<size_t>(caller)].Notify();
    };
    absl::StatusOr<std::function<void()>> detach = tunes_.Attach(*id, {update, end});
    ASSERT_TRUE(detach.ok()) << detach.status();
    EXPECT_EQ(tunes_.Running().size(), 1u);
    {
      const std::lock_guard lock(mutex);
      ids.insert(*id);
    }
    if (!stays) (*detach)();
    if (++there == kCallers) everyone_is_there.Notify();
    if (stays) heard_the_end[static_cast<size_t>(caller)].WaitForNotification();
  });
  EXPECT_TRUE(tunes_.WaitIdle(absl::Now() + absl::Seconds(60)));
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(ended, kCallers / 4);
  // Two buckets, each told once to each who stayed.
  EXPECT_EQ(generations.size(), 2u * kCallers / 4);
  EXPECT_EQ((std::set<uint64_t>(generations.begin(), generations.end()).size()), 2u);
  EXPECT_EQ(tunes_.Totals().done, 1);
}

TEST_F(ServingThreadsTest, TunesAreStartedListedAndCancelledAllAtOnce) {
  std::atomic<int> ended = 0;
  std::atomic<int> started = 0;
  Together(6, [&](int thread) {
    for (int i = 0; i < 10; ++i) {
      const absl::StatusOr<std::string> id = tunes_.Start(Spec(256 + 64 * ((thread + i) % 8), {1, 2, 4}), false);
      ASSERT_TRUE(id.ok()) << id.status();
      const auto detach = tunes_.Attach(*id, {[](const TuneUpdate&) {}, [&](const absl::Status&) { ++ended; }});
      ASSERT_TRUE(detach.ok()) << detach.status();
      ++started;
      if (i % 3 == 0) (void)tunes_.Cancel(*id);  // it may be over
      for (const TuneSummary& summary : tunes_.Running()) EXPECT_FALSE(summary.op_text.empty());
      EXPECT_LE(tunes_.LastWinners().size(), 20u);
    }
  });
  EXPECT_TRUE(tunes_.WaitIdle(absl::Now() + absl::Seconds(60)));
  EXPECT_EQ(ended, started);
  EXPECT_EQ(tunes_.Totals().failed, 0);
}

// The path of Lookup and BatchLookup: what is remembered, else what is known, while tunes replace what is stored.
TEST_F(ServingThreadsTest, NoLookUpIsAnsweredWithLessThanWasStoredBeforeIt) {
  KnownAnswers answers(serving_);
  const TuneSpec spec = Spec(256, {1});
  const auto tune = [&](bool force) {
    const Place place = *machines_.Resolve("");
    TuningOptions options;
    options.force = force;
    return place.service->Acquire(spec.op, 1, place.target, options, nullptr, nullptr);
  };
  std::atomic<uint64_t> stored = tune(false)->record.generation;
  tune::v1::LookupRequest request;
  *request.mutable_op() = ToProto(spec.op);
  request.mutable_op()->add_m()->set_first(1);
  request.mutable_op()->mutable_m(0)->set_last(1);
  const std::string bytes = request.SerializeAsString();
  std::atomic<bool> over = false;
  std::atomic<int> remembered = 0;
  Together(4, [&](int thread) {
    if (thread == 0) {
      for (int i = 0; i < 30; ++i) {
        const absl::StatusOr<Acquired> again = tune(true);
        ASSERT_TRUE(again.ok()) << again.status();
        stored = again->record.generation;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      over = true;
      return;
    }
    while (!over) {
      const uint64_t before = stored;
      const AnswerBasis basis = answers.Basis();
      std::shared_ptr<const KnownAnswer> answer = answers.Recall(bytes, basis);
      if (answer != nullptr) {
        ++remembered;
      } else {
        const auto known = LookUpKnown(serving_, request);
        ASSERT_TRUE(known.ok() && known->has_value()) << known.status();
        answer = answers.Write(bytes, basis, request, **known);
      }
      tune::v1::LookupResponse response;
      ASSERT_TRUE(response.ParseFromString(answer->bytes));
      ASSERT_EQ(response.results(0).match(), tune::v1::MATCH_EXACT) << response.results(0).miss_reason();
      ASSERT_GE(response.results(0).record().generation(), before);
    }
  });
  EXPECT_GT(remembered, 0);
}

TEST_F(ServingThreadsTest, WatchesComeAndGoWhileRecordsAreTold) {
  constexpr int kRecords = 200;
  TuningRecord record;
  record.key = CacheKey{"watched"};
  std::vector<uint64_t> heard;  // by the one who stays, from the only thread that publishes
  std::atomic<int> ends = 0;
  watches_.Watch(
      {"watched"}, [&](const TuningRecord& told) { heard.push_back(told.generation); }, [&] { ++ends; });
  std::atomic<bool> over = false;
  std::atomic<int> passing = 0;
  Together(4, [&](int thread) {
    if (thread == 0) {
      for (record.generation = 1; record.generation <= kRecords; ++record.generation) watches_.Publish(record);
      over = true;
      return;
    }
    do {
      const auto count = std::make_shared<std::atomic<int>>(0);
      const uint64_t id = watches_.Watch(
          {"watched", absl::StrCat("other ", thread)}, [count](const TuningRecord&) { ++*count; },
          [] { FAIL() << "nobody closes the hub"; });
      EXPECT_FALSE(watches_.Keys().empty());
      watches_.Unwatch(id);
      ++passing;
    } while (!over);
  });
  ASSERT_EQ(heard.size(), static_cast<size_t>(kRecords));
  for (size_t i = 0; i < heard.size(); ++i) EXPECT_EQ(heard[i], i + 1);
  EXPECT_GE(passing, 3);
  EXPECT_EQ(watches_.Keys(), std::vector<std::string>{"watched"});
  watches_.Close();
  EXPECT_EQ(ends, 1);
}

TEST_F(ServingThreadsTest, AnExecutorRunsWhatItTookEvenWhenItIsStopped) {
  std::atomic<int> ran = 0;
  std::atomic<int> taken = 0;
  std::atomic<int> refused = 0;
  Executor executor("tests", 3, 16);
  Together(5, [&](int thread) {
    for (int i = 0; i < 200; ++i) {
      const absl::Status submitted = executor.Submit([&] { ++ran; });
      ++(submitted.ok() ? taken : refused);
    }
    if (thread == 0) executor.Stop();
  });
  executor.Stop();
  EXPECT_EQ(ran, taken);
  EXPECT_EQ(taken + refused, 1000);
  EXPECT_TRUE(absl::IsUnavailable(executor.Submit([] {})));
}

}  // namespace
}  // namespace ladder
