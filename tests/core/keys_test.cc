#include "core/store/keys.h"

#include <functional>
#include <set>

#include "gtest/gtest.h"
#include "tests/core/key_changes.h"

namespace ladder {
namespace {

TEST(Sha256, NistVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(CanonicalText, NoTwoFieldListsShareAnEncoding) {
  EXPECT_NE(CanonicalText("v").Field("a", "bc").text(), CanonicalText("v").Field("ab", "c").text());
  EXPECT_NE(CanonicalText("v").Field("a", "1\nb=1:2").text(),
            CanonicalText("v").Field("a", "1").Field("b", "2").text());
}

// Every field that matters changes the key.
TEST(CacheKey, EveryFieldCounts) {
  const Target h200 = *Target::FromName("h200");
  const NormalizedOperator base = *Normalize(KeyedOperator());
  std::set<std::string> digests = {MakeCacheKey(base, 1, h200).digest};
  for (const OperatorChange& change : OperatorChanges()) {
    OperatorDescriptor d = KeyedOperator();
    change.change(d);
    const auto op = Normalize(d);
    ASSERT_TRUE(op.ok()) << op.status();
    EXPECT_TRUE(digests.insert(MakeCacheKey(*op, 1, h200).digest).second) << change.field << ": " << op->ToString();
  }
  EXPECT_TRUE(digests.insert(MakeCacheKey(base, 2, h200).digest).second);
  for (const TargetChange& change : TargetChanges()) {
    Target t = h200;
    change.change(t);
    EXPECT_TRUE(digests.insert(MakeCacheKey(base, 1, t).digest).second) << change.told;
  }
}

// Ways to say the same, by the field that is said otherwise.
TEST(CacheKey, EquivalentFormsShareAKey) {
  using Say = std::function<void(OperatorDescriptor&)>;
  const Say nothing = [](auto&) {};
  struct Pair {
    const char* field;
    Say one, other;
  };
  const Pair pairs[] = {
      {"scale", nothing, [](auto& d) { d.scale = "fp16"; }},
      {"scale", [](auto& d) { d.a = "bf16"; }, [](auto& d) { d.a = d.scale = "bf16"; }},
      {"zeros", nothing, [](auto& d) { d.zeros = "none"; }},
      {"out", nothing, [](auto& d) { d.out = "fp16"; }},
      {"out", [](auto& d) { d.a = "int8"; }, [](auto& d) { d.a = "int8", d.out = "fp16"; }},
      {"group", nothing, [](auto& d) { d.group = 128; }},
      {"group", [](auto& d) { d.group = -1; }, [](auto& d) { d.group = 4096; }},
      {"a_scale", nothing, [](auto& d) { d.a_scale = "none"; }},
      {"act", nothing, [](auto& d) { d.act = "none"; }},
      {"w", [](auto& d) { d.w = "mxfp4"; }, [](auto& d) { d.w = "fp4_e2m1", d.scale = "e8m0", d.group = 32; }},
      {"tensor_scale", [](auto& d) { d.w = "nvfp4"; },
       [](auto& d) { d.w = "fp4_e2m1", d.scale = "fp8_e4m3", d.group = 16, d.tensor_scale = true; }},
      {"element", [](auto& d) { d.w = "nf4"; },
       [](auto& d) {
         d.w = "a name of mine";
         d.element = ElementDefinition{.bits = 4, .table = ParseElementType("nf4")->Values()};
       }},
      {"m", nothing,
       [](auto& d) {
         d.m = {{1, 1}, {1, 4096}};
       }},
  };
  const Target h200 = *Target::FromName("h200");
  for (const Pair& pair : pairs) {
    OperatorDescriptor one = KeyedOperator();
    one.w = "int4";
    one.zeros = "";
    OperatorDescriptor other = one;
    pair.one(one);
    pair.other(other);
    ASSERT_TRUE(Normalize(one).ok()) << pair.field << ": " << Normalize(one).status();
    ASSERT_TRUE(Normalize(other).ok()) << pair.field << ": " << Normalize(other).status();
    EXPECT_EQ(MakeCacheKey(*Normalize(one), 1, h200), MakeCacheKey(*Normalize(other), 1, h200))
        << pair.field << ": " << Normalize(one)->ToString() << ", " << Normalize(other)->ToString();
  }
}

TEST(CacheKey, MeasuredRatesDoNotCount) {
  OperatorDescriptor d;
  d.n = d.k = 4096;
  Target target = *Target::FromName("h200");
  const CacheKey key = MakeCacheKey(*Normalize(d), 1, target);
  target.limits.read_gb_per_s *= 1.01;
  target.limits.launch_us = 3;
  EXPECT_EQ(MakeCacheKey(*Normalize(d), 1, target), key);
}

TEST(ArtifactKey, EveryFieldCounts) {
  const CompileRequest base = {"sm_90a", {"text", {{"h", "content"}}}, "entry"};
  std::set<std::string> digests = {MakeArtifactKey(base, "sources", "nvrtc 13.0").digest};
  const auto changed = [&](auto change) {
    CompileRequest request = base;
    change(request);
    return digests.insert(MakeArtifactKey(request, "sources", "nvrtc 13.0").digest).second;
  };
  EXPECT_TRUE(changed([](auto& r) { r.arch = "sm_80"; }));
  EXPECT_TRUE(changed([](auto& r) { r.entry = "other"; }));
  EXPECT_TRUE(changed([](auto& r) { r.source.text += " "; }));
  EXPECT_TRUE(changed([](auto& r) { r.source.extra_headers["h"] = "changed"; }));
  EXPECT_TRUE(changed([](auto& r) { r.source.extra_headers.clear(); }));
  EXPECT_TRUE(digests.insert(MakeArtifactKey(base, "other", "nvrtc 13.0").digest).second);
  EXPECT_TRUE(digests.insert(MakeArtifactKey(base, "sources", "nvrtc 13.1").digest).second);
}

}  // namespace
}  // namespace ladder
