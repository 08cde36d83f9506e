#include "core/store/keys.h"

#include <functional>
#include <set>

#include "gtest/gtest.h"

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
  OperatorDescriptor base;
  base.w = "uint4";
  base.zeros = "original";
  base.n = 4096;
  base.k = 4096;
  const Target h200 = *Target::FromName("h200");
  std::set<std::string> digests = {MakeCacheKey(*Normalize(base), 1, h200).digest};
  const std::vector<std::function<void(OperatorDescriptor&)>> operator_changes = {
      [](auto& d) { d.a = "bf16"; },
      [](auto& d) { d.w = "int4", d.zeros = ""; },
      [](auto& d) { d.w = "nf4", d.zeros = ""; },
      [](auto& d) { d.scale = "bf16"; },
      [](auto& d) { d.a = "int8", d.zeros = "none"; },
      [](auto& d) { d.a = "fp8_e4m3", d.zeros = "none"; },
      [](auto& d) { d.a = "fp8_e5m2", d.zeros = "none"; },
      [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "tensor"; },
      [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "row"; },
      [](auto& d) { d.a = "int8", d.zeros = "none", d.a_scale = "row", d.out = "bf16"; },
      [](auto& d) { d.zeros = "none"; },
      [](auto& d) { d.zeros = "rescale"; },
      [](auto& d) { d.zeros = "quantized"; },
      [](auto& d) { d.out = "fp32"; },
      [](auto& d) { d.group = 64; },
      [](auto& d) { d.group = -1; },
      [](auto& d) { d.bias = true; },
      [](auto& d) { d.act = "silu"; },
      [](auto& d) { d.act = "gelu"; },
      [](auto& d) { d.act = "gelu_tanh"; },
      [](auto& d) { d.act = "swiglu"; },
      [](auto& d) { d.output_scale = true; },
      [](auto& d) { d.residual = true; },
      [](auto& d) { d.tensor_scale = true; },
      [](auto& d) { d.scale = "fp32"; },
      [](auto& d) { d.scale = "none", d.zeros = ""; },
      [](auto& d) { d.w = "fp4_e2m1", d.zeros = ""; },
      [](auto& d) {
        d.element = ElementDefinition{.bits = 1, .table = {-1, 3}}, d.zeros = "";
      },
      [](auto& d) {
        d.element = ElementDefinition{.bits = 1, .table = {-1, 2}}, d.zeros = "";
      },
      [](auto& d) { d.n = 4097; },
      [](auto& d) { d.k = 8192; },
  };
  for (const auto& change : operator_changes) {
    OperatorDescriptor d = base;
    change(d);
    const auto op = Normalize(d);
    ASSERT_TRUE(op.ok()) << op.status();
    EXPECT_TRUE(digests.insert(MakeCacheKey(*op, 1, h200).digest).second) << op->ToString();
  }
  EXPECT_TRUE(digests.insert(MakeCacheKey(*Normalize(base), 2, h200).digest).second);
  const std::vector<std::function<void(Target&)>> target_changes = {
      [](Target& t) { t.vendor = Vendor::kAmd; },
      [](Target& t) { t.arch = "sm_90"; },
      [](Target& t) { t.model = "NVIDIA H200 NVL"; },
      [](Target& t) { t.limits.multiprocessors = 114; },
      [](Target& t) { t.limits.shared_bytes_per_block--; },
      [](Target& t) { t.limits.shared_bytes_per_multiprocessor--; },
      [](Target& t) { t.limits.registers_per_multiprocessor--; },
      [](Target& t) { t.limits.l2_bytes--; },
  };
  for (const auto& change : target_changes) {
    Target t = h200;
    change(t);
    EXPECT_TRUE(digests.insert(MakeCacheKey(*Normalize(base), 1, t).digest).second) << t.ToString();
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
