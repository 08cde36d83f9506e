#include "core/kernel_service.h"

#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "core/store/in_memory_kernel_store.h"
#include "gtest/gtest.h"
#include "tests/core/fakes.h"

namespace ladder {
namespace {

class KernelServiceTest : public testing::Test {
 protected:
  KernelServiceTest() {
    auto near = std::make_unique<FakeSchedule>("near", 12, 1.0);
    near_ = near.get();
    catalog_.schedules.push_back(std::move(near));
    catalog_.schedules.push_back(std::make_unique<FakeSchedule>("far", 4, 100.0));
    catalog_.schedules.push_back(std::make_unique<FakeSchedule>("none", 0, 1.0));
    catalog_.sources_digest = "sources 1";
    catalog_.support.text = "support";
    device_.time_us = [this](const std::string& text) { return times_.contains(text) ? times_[text] : 10.0; };
  }
  KernelService Service(bool with_device = true) {
    return KernelService(catalog_, store_, compiler_, with_device ? &device_ : nullptr);
  }
  absl::StatusOr<Acquired> Acquire(KernelService& service, bool force = false) {
    TuningOptions options;
    options.candidates = 8;
    options.force = force;
    return service.Acquire(op_, 16, h200_, options, nullptr, nullptr);
  }
  static const CandidateTrace& Trace(const TuningRecord& record, const std::string& candidate) {
    for (const CandidateTrace& entry : record.trace.candidates) {
      if (entry.candidate.ToString() == candidate) return entry;
    }
    ADD_FAILURE() << "no trace of " << candidate;
    return record.trace.candidates.front();
  }

  FakeSchedule* near_;
  ScheduleCatalog catalog_;
  InMemoryKernelStore store_;
  FakeCompiler compiler_;
  FakeDevice device_;
  std::map<std::string, double> times_;
  const NormalizedOperator op_ = SmallOperator();
  const Target h200_ = *Target::FromName("h200");
};

TEST_F(KernelServiceTest, TheFastestCorrectCandidateWinsAndIsFoundAgain) {
  KernelService service = Service();
  times_ = {{"near(x=3)", 5.0}, {"near(x=2)", 4.0}, {"near(x=1)", 3.0}, {"far(x=1)", 6.0}};
  device_.wrong = "near(x=1)";
  device_.crashes = "near(x=4)";
  compiler_.fails = "near(x=5)";
  compiler_.spills = "near(x=6)";
  ASSERT_FALSE(service.LookUp(op_, 16, h200_)->has_value());
  const auto tuned = Acquire(service);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_FALSE(tuned->cache_hit);
  const TuningRecord& record = tuned->record;
  EXPECT_EQ(record.kind, RecordKind::kMeasured);
  EXPECT_EQ(record.winner().candidate.ToString(), "near(x=2)");
  EXPECT_EQ(*store_.ReadBlob(record.winner().blob_sha256), "binary of near(x=2)");
  EXPECT_EQ(Trace(record, "near(x=1)").status, CandidateStatus::kWrong);
  EXPECT_EQ(Trace(record, "near(x=1)").reason, "3 elements beyond the bound; y[0, 0] = 1");
  EXPECT_EQ(Trace(record, "near(x=4)").status, CandidateStatus::kCrashed);
  EXPECT_EQ(Trace(record, "near(x=5)").status, CandidateStatus::kCompileFailed);
  EXPECT_EQ(Trace(record, "near(x=6)").status, CandidateStatus::kSpilled);
  EXPECT_EQ(Trace(record, "far(x=1)").status, CandidateStatus::kTimed);  // its place was kept

  const int compiled = compiler_.compiled;
  const auto again = Acquire(service);
  EXPECT_TRUE(again->cache_hit);
  EXPECT_EQ(compiler_.compiled, compiled);
  EXPECT_EQ((*service.LookUp(op_, 16, h200_))->winner().candidate, record.winner().candidate);
}

TEST_F(KernelServiceTest, TheWinnerOfMoreRowsCompetesWhereThePlanLacksIt) {
  KernelService service = Service();
  near_->count_ = 30;
  times_ = {{"near(x=30)", 2.0}};
  TuningOptions options;
  options.candidates = 100;
  ASSERT_EQ(service.Acquire(op_, 32, h200_, options, nullptr, nullptr)->record.winner().candidate.ToString(),
            "near(x=30)");
  near_->count_ = 12;
  EXPECT_EQ(Acquire(service)->record.winner().candidate.ToString(), "near(x=30)");
  // Unless it does not take so many rows.
  near_->max_m_ = 8;
  EXPECT_NE(service.Acquire(op_, 24, h200_, options, nullptr, nullptr)->record.winner().candidate.ToString(),
            "near(x=30)");
}

TEST_F(KernelServiceTest, TheWinnerOfMoreRowsCompetesInASearchThatIsForcedToo) {
  KernelService service = Service();
  near_->count_ = 30;
  // Fast at more rows first; at fewer only after those were tuned again.
  bool improved = false;
  device_.time_us_at = [&](const std::string& text, int64_t m) {
    if (text == "near(x=30)") return improved ? 2.0 : 20.0;
    return m == 32 ? 10.0 : 9.0;
  };
  TuningOptions options;
  options.candidates = 100;
  ASSERT_TRUE(service.Acquire(op_, 32, h200_, options, nullptr, nullptr).ok());
  ASSERT_TRUE(Acquire(service).ok());
  improved = true;
  options.force = true;
  ASSERT_EQ(service.Acquire(op_, 32, h200_, options, nullptr, nullptr)->record.winner().candidate.ToString(),
            "near(x=30)");
  near_->count_ = 12;
  const auto tuned = Acquire(service, /*force=*/true);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->record.winner().candidate.ToString(), "near(x=30)");
  EXPECT_LE(tuned->record.winner().measurement.median_us, 2.0);
}

TEST_F(KernelServiceTest, MoreRowsComeBeforeFewerAmongTheSeeds) {
  KernelService service = Service();
  // 8 and 12 rows are nearer to 16 than 32 are, but promise nothing.
  times_ = {{"near(x=3)", 1.0}};
  for (const int64_t m : {8, 12}) ASSERT_TRUE(service.Acquire(op_, m, h200_, {}, nullptr, nullptr).ok());
  times_ = {{"near(x=5)", 1.0}};
  ASSERT_TRUE(service.Acquire(op_, 32, h200_, {}, nullptr, nullptr).ok());
  TuningOptions one;
  one.candidates = one.finalists = 1;
  EXPECT_EQ(service.Acquire(op_, 16, h200_, one, nullptr, nullptr)->record.winner().candidate.ToString(), "near(x=5)");
}

TEST_F(KernelServiceTest, AKernelMustBeRightAtEveryEndOfItsBucket) {
  KernelService service = Service();
  device_.wrong_at = 9;  // fewer are the bucket's of 8
  const auto tuned = Acquire(service);
  EXPECT_EQ(tuned.status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(tuned.status().message().find("near(x=1): wrong, at 9 rows 3 elements"), absl::string_view::npos)
      << tuned.status();
  device_.wrong_at = 8;
  EXPECT_TRUE(Acquire(service).ok());
  EXPECT_EQ(RowsToVerify(1), (std::vector<int64_t>{1}));
  EXPECT_EQ(RowsToVerify(2), (std::vector<int64_t>{2}));
  EXPECT_EQ(RowsToVerify(4), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(RowsToVerify(4096), (std::vector<int64_t>{4096, 2049}));
}

TEST_F(KernelServiceTest, BucketsOfAnOperatorShareTheirCompilations) {
  KernelService service = Service();
  TuningOptions options;
  options.candidates = 8;
  ASSERT_TRUE(service.Acquire(op_, 32, h200_, options, nullptr, nullptr).ok());
  const int compiled = compiler_.compiled;
  EXPECT_EQ(compiled, 8 + 1);  // and the support kernels
  const auto fewer = service.Acquire(op_, 16, h200_, options, nullptr, nullptr);
  ASSERT_TRUE(fewer.ok());
  EXPECT_FALSE(fewer->cache_hit);
  EXPECT_EQ(compiler_.compiled, compiled);
}

TEST_F(KernelServiceTest, WhatWasCompiledAheadIsNotCompiledAgain) {
  KernelService service = Service();
  TuningOptions options;
  options.candidates = 8;
  service.CompileAhead(op_, 16, h200_, options);
  EXPECT_EQ(compiler_.compiled, 8);
  EXPECT_EQ(device_.verified, 0);
  ASSERT_FALSE(Acquire(service)->cache_hit);
  EXPECT_EQ(compiler_.compiled, 8 + 1);
  // Nor is a current record's operator compiled ahead; a search that is asked for again is.
  KernelService restarted = Service();
  restarted.CompileAhead(op_, 16, h200_, options);
  EXPECT_EQ(compiler_.compiled, 8 + 1);
  options.force = true;
  restarted.CompileAhead(op_, 16, h200_, options);
  EXPECT_GT(compiler_.compiled, 8 + 1);
}

TEST_F(KernelServiceTest, TheReferenceIsMadeWhileKernelsAreCompiled) {
  KernelService service = Service();
  ASSERT_TRUE(Acquire(service).ok());
  ASSERT_TRUE(service.AcquireFast(op_, 8, h200_).ok());
  EXPECT_EQ(device_.prepared, (std::vector<int64_t>{16, 8}));
  // Not where the GPU's time is rationed, nor without a GPU.
  device_.conditions = [] { return DeviceConditions{.other_processes = 1}; };
  TuningOptions shared;
  shared.share_gpu = true;
  shared.share_duty_percent = 100;
  ASSERT_TRUE(service.Acquire(op_, 32, h200_, shared, nullptr, nullptr).ok());
  ASSERT_TRUE(Service(false).Acquire(op_, 64, h200_, {}, nullptr, nullptr).ok());
  EXPECT_EQ(device_.prepared.size(), 2u);
}

TEST_F(KernelServiceTest, AllAreVerifiedBeforeAnyIsTimed) {
  KernelService service = Service();
  int timed = 0, verified_after = 0;
  device_.time_us = [&](const std::string&) { return ++timed, 10.0; };
  device_.on_verify = [&] { verified_after += timed > 0 ? 1 : 0; };
  ASSERT_TRUE(Acquire(service).ok());
  EXPECT_GT(timed, 8);
  EXPECT_EQ(verified_after, 0);
}

TEST_F(KernelServiceTest, WithoutADeviceTheAnswerIsASeedAndSaysSo) {
  KernelService service = Service(false);
  const auto tuned = Acquire(service);
  ASSERT_TRUE(tuned.ok());
  EXPECT_EQ(tuned->record.kind, RecordKind::kSeed);
  EXPECT_EQ(tuned->record.winner().candidate.ToString(), "near(x=1)");
  EXPECT_TRUE(tuned->record.winner().blob_sha256.empty());
  EXPECT_EQ(tuned->record.winner().measurement.median_us, 0);
  EXPECT_TRUE(Acquire(service)->cache_hit);
  // A machine with the GPU does not serve it, and measures it first.
  KernelService with_gpu = Service();
  EXPECT_FALSE(with_gpu.LookUp(op_, 16, h200_)->has_value());
  EXPECT_EQ(Acquire(with_gpu)->record.kind, RecordKind::kMeasured);
}

TEST_F(KernelServiceTest, ANewCompilerRefreshesTheFinalistsOnly) {
  KernelService service = Service();
  times_ = {{"near(x=2)", 4.0}};
  ASSERT_TRUE(Acquire(service).ok());
  compiler_.version = "fake 2";
  EXPECT_FALSE(service.LookUp(op_, 16, h200_)->has_value());
  EXPECT_EQ(service.CheckCurrent(**store_.Find(MakeCacheKey(op_, 16, h200_))).message(),
            "compiler: was fake 1, is fake 2");
  compiler_.compiled = 0;
  const auto refreshed = Acquire(service);
  ASSERT_TRUE(refreshed.ok());
  EXPECT_FALSE(refreshed->cache_hit);
  EXPECT_EQ(refreshed->record.environment.compiler, "fake 2");
  EXPECT_LE(compiler_.compiled, 5);  // four finalists and the support kernels
  EXPECT_TRUE(Acquire(service)->cache_hit);
}

TEST_F(KernelServiceTest, AScheduleRevisionSearchesAgain) {
  KernelService service = Service();
  ASSERT_TRUE(Acquire(service).ok());
  near_->revision_++;
  compiler_.compiled = 0;
  device_.verified = 0;
  ASSERT_TRUE(Acquire(service).ok());
  EXPECT_EQ(device_.verified, 2 * 8);  // at 16 rows and at 9
}

TEST_F(KernelServiceTest, AnIncumbentStaysWithinTheNoise) {
  KernelService service = Service();
  times_ = {{"near(x=2)", 4.0}};
  ASSERT_TRUE(Acquire(service).ok());
  times_ = {{"near(x=2)", 4.0}, {"near(x=3)", 3.95}};
  const TuningRecord kept = Acquire(service, true)->record;
  EXPECT_EQ(kept.winner().candidate.ToString(), "near(x=2)");
  EXPECT_EQ(kept.winner().measurement.median_us, 4.0);  // its own time, not the challenger's
  times_["near(x=3)"] = 3.5;
  // Twelve percent, but not beyond three deviations of the incumbent's own time, which are 0.6 here.
  device_.on_profile = [](std::vector<Measurement>& results) {
    for (Measurement& m : results) m.spread_us = m.median_us == 4.0 ? 0.2 : 0.01;
  };
  EXPECT_EQ(Acquire(service, true)->record.winner().candidate.ToString(), "near(x=2)");
  device_.on_profile = nullptr;
  EXPECT_EQ(Acquire(service, true)->record.winner().candidate.ToString(), "near(x=3)");
}

TEST_F(KernelServiceTest, NoCompilerIsTheAnswerNotATrace) {
  compiler_.version = "";
  KernelService service = Service(false);
  EXPECT_EQ(Acquire(service).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KernelServiceTest, WhenNothingSurvivesEveryReasonIsTold) {
  ScheduleCatalog catalog;
  catalog.support.text = "support";
  catalog.schedules.push_back(std::make_unique<FakeSchedule>("near", 1, 1.0));
  device_.wrong = "near(x=1)";
  KernelService service(catalog, store_, compiler_, &device_);
  const auto result = service.Acquire(op_, 16, h200_, {}, nullptr, nullptr);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(result.status().message().find("near(x=1): wrong, 3 elements"), absl::string_view::npos) << result.status();
  EXPECT_FALSE(service.LookUp(op_, 16, h200_)->has_value());
}

TEST_F(KernelServiceTest, FastAnswersWithOneVerifiedKernelAndTuningReplacesIt) {
  KernelService service = Service();
  device_.wrong = "near(x=1)";
  times_ = {{"near(x=7)", 1.0}};
  const auto fast = service.AcquireFast(op_, 16, h200_);
  ASSERT_TRUE(fast.ok()) << fast.status();
  EXPECT_EQ(fast->record.kind, RecordKind::kFast);
  EXPECT_EQ(fast->record.winner().candidate.ToString(), "near(x=2)");
  EXPECT_EQ(device_.verified, 1 + 2);  // the wrong one at 16 rows, the right one at 9 too
  EXPECT_TRUE(service.LookUp(op_, 16, h200_)->has_value());
  const auto tuned = service.Acquire(op_, 16, h200_, {}, nullptr, nullptr);
  EXPECT_FALSE(tuned->cache_hit);
  EXPECT_EQ(tuned->record.winner().candidate.ToString(), "near(x=7)");
  EXPECT_GT(tuned->record.generation, fast->record.generation);
}

TEST_F(KernelServiceTest, FastPassesOverWhatLacksMemoryAndSaysSoIfAllDo) {
  KernelService service = Service();
  device_.greedy = "near(x=1)";
  const auto fast = service.AcquireFast(op_, 16, h200_);
  ASSERT_TRUE(fast.ok()) << fast.status();
  EXPECT_EQ(fast->record.winner().candidate.ToString(), "near(x=2)");
  device_.greedy = "all";
  EXPECT_EQ(service.AcquireFast(op_, 32, h200_).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(KernelServiceTest, WhatWasDeniedOrLackedMemoryFallsAlone) {
  KernelService service = Service();
  device_.denied = "near(x=1)";
  device_.greedy = "near(x=2)";
  const auto tuned = Acquire(service);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(Trace(tuned->record, "near(x=1)").status, CandidateStatus::kDenied);
  EXPECT_EQ(Trace(tuned->record, "near(x=2)").status, CandidateStatus::kCrashed);
  EXPECT_EQ(Trace(tuned->record, "near(x=2)").reason, "no memory");
  // If all of them lack it, that is the answer.
  device_.greedy = "all";
  EXPECT_EQ(Acquire(service, true).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(KernelServiceTest, AFinalThatCannotBeHeldLeavesTheRoughTimes) {
  KernelService service = Service();
  times_ = {{"near(x=3)", 5.0}, {"near(x=2)", 4.0}};
  device_.final_error = absl::InternalError("the kernel killed the profile worker");
  const auto tuned = Acquire(service);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->record.winner().candidate.ToString(), "near(x=2)");
  EXPECT_EQ(tuned->record.winner().measurement.median_us, 4.0);
  device_.final_error = absl::UnavailableError("the worker can't be started");
  EXPECT_EQ(Acquire(service, true).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(KernelServiceTest, ADeviceThatIsDownIsAnErrorAndNoRanking) {
  KernelService service = Service();
  device_.down = absl::UnavailableError("the GPU is down");
  EXPECT_EQ(Acquire(service).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service.AcquireFast(op_, 16, h200_).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(store_.Find(MakeCacheKey(op_, 16, h200_))->has_value());
  device_.down = absl::OkStatus();
  EXPECT_TRUE(Acquire(service).ok());
}

TEST_F(KernelServiceTest, ARefreshThatNobodySurvivesSearchesAgain) {
  ScheduleCatalog catalog = NearCatalog(12);
  KernelService service(catalog, store_, compiler_, &device_);
  TuningOptions options;
  options.candidates = 2;
  options.finalists = 1;
  ASSERT_EQ(service.Acquire(op_, 16, h200_, options, nullptr, nullptr)->record.winner().candidate.ToString(),
            "near(x=1)");
  compiler_.version = "fake 2";
  compiler_.fails = "near(x=1)";
  const TuningOptions refreshing = options;
  for (int i = 0; i < 2; i++) {  // the second time it is a hit
    const auto refreshed = service.Acquire(op_, 16, h200_, refreshing, nullptr, nullptr);
    ASSERT_TRUE(refreshed.ok()) << refreshed.status();
    EXPECT_EQ(refreshed->record.winner().candidate.ToString(), "near(x=2)");
    EXPECT_EQ(refreshed->cache_hit, i == 1);
  }
}

TEST_F(KernelServiceTest, ManyCallersOfFastShareOneKernel) {
  KernelService service = Service();
  std::atomic<bool> go = false;
  device_.on_verify = [&] {
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  std::vector<std::thread> threads;
  std::atomic<int> served = 0;
  for (int i = 0; i < 20; i++) {
    threads.emplace_back([&] {
      const auto result = service.AcquireFast(op_, 16, h200_);
      if (result.ok() && result->record.kind == RecordKind::kFast) served++;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  go = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 20);
  EXPECT_EQ(device_.verified, 2);  // at 16 rows and at 9
}

TEST_F(KernelServiceTest, AFastKernelDoesNotReplaceAWinnerThatCameMeanwhile) {
  KernelService service = Service();
  times_ = {{"near(x=7)", 1.0}};
  bool once = false;
  device_.on_verify = [&] {
    if (std::exchange(once, true)) return;
    ASSERT_TRUE(service.Acquire(op_, 16, h200_, {}, nullptr, nullptr).ok());
  };
  const auto fast = service.AcquireFast(op_, 16, h200_);
  ASSERT_TRUE(fast.ok()) << fast.status();
  EXPECT_EQ(fast->record.kind, RecordKind::kMeasured);
  EXPECT_EQ((*service.LookUp(op_, 16, h200_))->winner().candidate.ToString(), "near(x=7)");
}

TEST_F(KernelServiceTest, AListenerMayUseTheService) {
  KernelService service = Service();
  const auto result = service.Acquire(
      op_, 16, h200_, {},
      [&](const TuningProgress&) {
        if (!service.Running().empty()) (void)service.Cancel(service.Running().front());
      },
      nullptr);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(KernelServiceTest, FastNeedsTheDevice) {
  KernelService service = Service(false);
  EXPECT_EQ(service.AcquireFast(op_, 16, h200_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KernelServiceTest, ManyCallersOneTuneAndMostMayLeave) {
  KernelService service = Service();
  std::atomic<bool> go = false;
  device_.on_verify = [&] {
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  constexpr int kCallers = 50;
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<CancelToken>> tokens;
  std::atomic<int> served = 0, cancelled = 0;
  for (int i = 0; i < kCallers; i++) {
    tokens.push_back(std::make_shared<CancelToken>());
    threads.emplace_back([&, token = tokens.back()] {
      const auto result = service.Acquire(op_, 16, h200_, {}, nullptr, token);
      if (result.ok()) served++;
      if (result.status().code() == absl::StatusCode::kCancelled) cancelled++;
    });
  }
  while (service.Running().empty() || device_.verified > 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (int i = 1; i < kCallers; i++) tokens[i]->Cancel();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  go = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(device_.verified, 2 * 16);  // one tune
  EXPECT_EQ(served + cancelled, kCallers);
  EXPECT_GE(served, 1);
  EXPECT_TRUE(service.LookUp(op_, 16, h200_)->has_value());
}

TEST_F(KernelServiceTest, CancellingATuneEndsItForEveryone) {
  KernelService service = Service();
  device_.on_verify = [&] { (void)service.Cancel(MakeCacheKey(op_, 16, h200_)); };
  EXPECT_EQ(Acquire(service).status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(service.Running().empty());
  EXPECT_EQ(service.Cancel(MakeCacheKey(op_, 16, h200_)).code(), absl::StatusCode::kNotFound);
}

TEST_F(KernelServiceTest, ProgressNamesThePhases) {
  KernelService service = Service();
  std::set<std::string> phases;
  const auto tuned = service.Acquire(
      op_, 16, h200_, {}, [&](const TuningProgress& p) { phases.insert(std::string(Name(p.phase))); }, nullptr);
  ASSERT_TRUE(tuned.ok());
  EXPECT_EQ(phases, (std::set<std::string>{"enumerate", "compile", "verify", "profile", "final"}));
}

TEST(SelectCandidates, PrefersWhatIsUnlikeTheSelected) {
  const auto planned = [](int64_t tile, int64_t stages, double us) {
    return PlannedCandidate{{"a", {{"tile", tile}, {"stages", stages}}}, us};
  };
  const std::vector<PlannedCandidate> plan = {planned(64, 4, 10.0), planned(64, 5, 10.1), planned(128, 6, 10.3),
                                              planned(64, 6, 11.0), planned(32, 7, 12.0)};
  std::vector<std::string> selected;
  for (const PlannedCandidate& one : SelectCandidates(plan, {}, 4)) selected.push_back(one.candidate.ToString());
  // The second shares its tile with the first: 10.1 counts as 10.5, behind 10.3. Then 11.0 as 12.3 (its tile twice, the
  // stages of 128 once), behind 12.0.
  EXPECT_EQ(selected, (std::vector<std::string>{"a(tile=64,stages=4)", "a(tile=128,stages=6)", "a(tile=64,stages=5)",
                                                "a(tile=32,stages=7)"}));
}

TEST(SelectCandidates, KeepsPlacesForEverySchedule) {
  std::vector<PlannedCandidate> plan;
  for (int x = 1; x <= 20; x++) plan.push_back({{"a", {{"x", x}}}, static_cast<double>(x)});
  for (int x = 1; x <= 5; x++) plan.push_back({{"b", {{"x", x}}}, 100.0 + x});
  const auto selected = SelectCandidates(plan, {{"a", {{"x", 17}}}}, 8);
  ASSERT_EQ(selected.size(), 8u);
  EXPECT_EQ(selected[0].candidate.ToString(), "a(x=17)");
  EXPECT_EQ(std::count_if(selected.begin(), selected.end(), [](auto& c) { return c.candidate.schedule == "b"; }), 2);
  EXPECT_EQ(SelectCandidates(plan, {}, 100).size(), 25u);
  EXPECT_TRUE(SelectCandidates(plan, {{"c", {}}}, 1).size() == 1);
}

}  // namespace
}  // namespace ladder
