#include "server/serving/explain.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/convert/proto_convert.h"
#include "tests/core/key_changes.h"
#include "tests/server/serving_fixture.h"

namespace ladder {
namespace {

// "n: 4097, stored is 4096; w: ..." -> "n w".
std::string Tags(const std::string& differing) {
  std::vector<std::string> tags;
  for (const absl::string_view part : absl::StrSplit(differing, "; ")) {
    tags.emplace_back(part.substr(0, part.find(':')));
  }
  return absl::StrJoin(tags, " ");
}

TEST(DifferingFields, NameEachComponentOfAKeyThatDiffers) {
  const Target h200 = *Target::FromName("h200");
  const NormalizedOperator base = *Normalize(KeyedOperator());
  const std::string stored = CacheKeyText(base, 1, h200);
  EXPECT_EQ(DifferingFields(stored, stored), "nothing that is told apart here");
  EXPECT_EQ(DifferingFields(CacheKeyText(base, 16, h200), stored), "m: 16, stored is 1");
  for (const OperatorChange& change : OperatorChanges()) {
    OperatorDescriptor d = KeyedOperator();
    change.change(d);
    EXPECT_EQ(Tags(DifferingFields(CacheKeyText(*Normalize(d), 1, h200), stored)), change.told) << change.field;
  }
  for (const TargetChange& change : TargetChanges()) {
    Target t = h200;
    change.change(t);
    EXPECT_EQ(Tags(DifferingFields(CacheKeyText(base, 1, t), stored)), change.told);
  }
}

// A field that the wire gains must gain a change of the key.
TEST(KeyChanges, CoverEveryFieldOfTheDescriptor) {
  std::set<std::string> changed = {"op",  // there is but one
                                   "m"};  // a key is of one M
  for (const OperatorChange& change : OperatorChanges()) changed.insert(change.field);
  std::set<std::string> fields;
  const google::protobuf::Descriptor& descriptor = *tune::v1::OperatorDescriptor::descriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) fields.insert(descriptor.field(i)->name());
  EXPECT_EQ(changed, fields);
}

class ExplainTest : public ServingTest {
 protected:
  void SetUp() override { ASSERT_TRUE(Tune().ok()); }
  absl::StatusOr<Acquired> Tune() {
    const Place place = *machines_.Resolve("");
    return place.service->Acquire(*Normalize(KeyedOperator()), 1, place.target, TuningOptions(), nullptr, nullptr);
  }
  std::string Verdict(const OperatorDescriptor& op, const std::string& target = "") {
    tune::v1::ExplainRequest request;
    *request.mutable_op() = ToProto(op);
    request.mutable_op()->add_m()->set_first(1);
    request.mutable_op()->mutable_m(0)->set_last(1);
    request.set_target(target);
    const absl::StatusOr<tune::v1::ExplainResponse> response = Explain(serving_, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->entries(0).verdict() : "";
  }
};

TEST_F(ExplainTest, AMissNamesWhatOfTheOperatorDiffers) {
  EXPECT_EQ(Verdict(KeyedOperator()), "hit");
  OperatorDescriptor other = KeyedOperator();
  other.group = 64;
  EXPECT_EQ(Verdict(other), "miss: the nearest record differs in group: 64, stored is 128");
  other.n = 8192;
  EXPECT_EQ(Verdict(other), "miss: the nearest record differs in group: 64, stored is 128; n: 8192, stored is 4096");
  EXPECT_TRUE(absl::StrContains(Verdict(KeyedOperator(), "a100-80g"), "arch: sm_80, stored is sm_90a"));
  ASSERT_TRUE(cache_->Evict({.all = true}).ok());
  EXPECT_EQ(Verdict(KeyedOperator()), "miss: the cache is empty");
}

// What makes a record stale is named; it stays, and the next tune only tries its best few again.
TEST_F(ExplainTest, ARecordThatIsOutOfDateNamesWhatChanged) {
  const TuningRecord record = Tune()->record;
  compiler_.version = "fake 2";
  EXPECT_EQ(Verdict(KeyedOperator()), "out of date, compiler: was fake 1, is fake 2");
  const Place place = *machines_.Resolve("");
  EXPECT_EQ(*place.service->LookUp(record.op, 1, place.target), std::nullopt);  // never served as it is
  ASSERT_TRUE(cache_->Find(record.key)->has_value());                           // and not thrown away
  const absl::StatusOr<Acquired> refreshed = Tune();
  ASSERT_TRUE(refreshed.ok()) << refreshed.status();
  EXPECT_EQ(refreshed->record.winner().candidate, record.winner().candidate);
  EXPECT_EQ(Verdict(KeyedOperator()), "hit");

  TuningRecord other = refreshed->record;
  other.environment.sources_digest = "others";
  ASSERT_TRUE(cache_->Put(other, {}).ok());
  EXPECT_EQ(Verdict(KeyedOperator()), "out of date, kernel sources: was others, is sources");
  other = refreshed->record;
  other.ranked[0].schedule_revision = 7;
  ASSERT_TRUE(cache_->Put(other, {}).ok());
  EXPECT_EQ(Verdict(KeyedOperator()), "out of date, revision of schedule fake: was 7, is 1");
}

// Binaries are the GPU's own code, which no driver translates: they outlive one.
TEST_F(ExplainTest, AnotherDriverIsToldAndTheKernelServed) {
  const TuningRecord record = Tune()->record;
  device_.driver = "590.2";
  EXPECT_TRUE(absl::StartsWith(Verdict(KeyedOperator()), "hit; driver: was 580.1, is 590.2"))
      << Verdict(KeyedOperator());
  const Place place = *machines_.Resolve("");
  EXPECT_EQ((*place.service->LookUp(record.op, 1, place.target))->winner().blob_sha256, record.winner().blob_sha256);
}

}  // namespace
}  // namespace ladder
