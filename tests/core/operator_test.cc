#include "core/operator/operator.h"

#include <functional>

#include "gtest/gtest.h"

namespace ladder {
namespace {

OperatorDescriptor Int4() {
  OperatorDescriptor d;
  d.n = 8192;
  d.k = 28672;
  return d;
}

TEST(Normalize, DefaultsAreWrittenOut) {
  EXPECT_EQ(Normalize(Int4())->ToString(),
            "matmul a=fp16 w=int4 scale=fp16 group=128 zeros=none out=fp16 bias=0 n=8192 k=28672");
  OperatorDescriptor nf4 = Int4();
  nf4.w = "nf4";
  nf4.a = "bf16";
  EXPECT_EQ(Normalize(nf4)->weight().group, 64);
  EXPECT_EQ(Normalize(nf4)->weight().scale, DataType::kBF16);
  EXPECT_EQ(Normalize(nf4)->out(), DataType::kBF16);
}

TEST(Normalize, WhatFollowsTheSumIsWrittenWhereItIsAskedFor) {
  OperatorDescriptor d = Int4();
  d.act = "none";
  EXPECT_EQ(*Normalize(d), *Normalize(Int4()));
  d.act = "gelu_tanh";
  d.output_scale = d.residual = d.bias = true;
  const NormalizedOperator op = *Normalize(d);
  EXPECT_EQ(op.ToString(),
            "matmul a=fp16 w=int4 scale=fp16 group=128 zeros=none out=fp16 bias=1 act=gelu_tanh output_scale=1 "
            "residual=1 n=8192 k=28672");
  EXPECT_EQ(*Normalize(op.ToDescriptor()), op);
}

TEST(Normalize, SwigluHalvesTheColumns) {
  OperatorDescriptor d = Int4();
  EXPECT_EQ(Normalize(d)->columns(), 8192);
  d.act = "swiglu";
  EXPECT_EQ(Normalize(d)->columns(), 4096);
  EXPECT_EQ(Normalize(d)->n(), 8192);
}

TEST(Normalize, EquivalentDescriptorsShareOneOperator) {
  OperatorDescriptor spelled = Int4();
  spelled.scale = "fp16";
  spelled.group = 128;
  spelled.zeros = "none";
  spelled.out = "fp16";
  EXPECT_EQ(*Normalize(spelled), *Normalize(Int4()));
  OperatorDescriptor channel = Int4();
  channel.group = -1;
  OperatorDescriptor whole = Int4();
  whole.group = whole.k;
  EXPECT_EQ(*Normalize(channel), *Normalize(whole));
  EXPECT_EQ(*Normalize(Normalize(channel)->ToDescriptor()), *Normalize(channel));
}

TEST(Normalize, ATableIsKnownByItsValues) {
  OperatorDescriptor nf4 = Int4();
  nf4.w = "nf4";
  EXPECT_NE(Normalize(nf4)->ToString().find("w=nf4#"), std::string::npos);
}

TEST(Normalize, RefusalsNameTheField) {
  struct Case {
    std::string starts;
    absl::StatusCode code;
    std::function<void(OperatorDescriptor&)> change;
  };
  const std::vector<Case> cases = {
      {"op:", absl::StatusCode::kNotFound, [](auto& d) { d.op = "conv"; }},
      {"a:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "fp17"; }},
      {"a:", absl::StatusCode::kUnimplemented, [](auto& d) { d.a = "fp32"; }},
      {"w:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "int9"; }},
      {"w:", absl::StatusCode::kUnimplemented, [](auto& d) { d.w = "bf16"; }},
      {"n:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.n = 0; }},
      {"n:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.n = -5; }},
      {"k:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.k = int64_t{1} << 40; }},
      {"group:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.group = 100; }},
      {"group:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.group = 0; }},
      {"group:", absl::StatusCode::kUnimplemented, [](auto& d) { d.group = 8; }},
      {"scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.scale = "int4"; }},
      {"scale:", absl::StatusCode::kUnimplemented, [](auto& d) { d.scale = "fp32"; }},
      {"zeros:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.zeros = "some"; }},
      {"zeros:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.zeros = "original"; }},  // int4 is symmetric
      {"zeros:", absl::StatusCode::kUnimplemented,
       [](auto& d) { d.w = "uint4", d.a = "bf16", d.scale = "fp16", d.zeros = "original"; }},
      {"scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "fp16", d.scale = "fp16"; }},
      {"group:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "fp16", d.group = 128; }},
      {"out:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.out = "fp8"; }},
      {"act:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.act = "relu6"; }},
      {"n:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.act = "swiglu", d.n = 17; }},
      {"n:", absl::StatusCode::kUnimplemented, [](auto& d) { d.act = "swiglu", d.n = 24; }},
      {"act:", absl::StatusCode::kUnimplemented, [](auto& d) { d.act = "swiglu", d.w = "fp16"; }},
  };
  for (const Case& c : cases) {
    OperatorDescriptor d = Int4();
    c.change(d);
    const absl::Status status = Normalize(d).status();
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_EQ(std::string(status.message()).rfind(c.starts, 0), 0u) << status;
  }
}

TEST(NormalizeM, RangesBecomeBuckets) {
  const auto buckets = [](absl::string_view text) { return *NormalizeM(*ParseMList(text)); };
  EXPECT_EQ(buckets("1"), (std::vector<int64_t>{1}));
  EXPECT_EQ(buckets("777,3,3"), (std::vector<int64_t>{3, 777}));
  EXPECT_EQ(buckets("1..16"), (std::vector<int64_t>{1, 2, 4, 8, 16}));
  EXPECT_EQ(buckets("5..9"), (std::vector<int64_t>{8, 16}));
  EXPECT_EQ(buckets("4096..100000"), (std::vector<int64_t>{4096, 8192}));
  EXPECT_EQ(buckets("10000..20000"), (std::vector<int64_t>{8192}));
  EXPECT_EQ(NormalizeM({})->back(), 4096);
}

TEST(NormalizeM, Refusals) {
  for (absl::string_view text : {"0", "-1", "9..3", "99999999999"})
    EXPECT_FALSE(NormalizeM(*ParseMList(text)).ok()) << text;
  for (absl::string_view text : {"", "a", "1..", "1,,2", "1...3"}) EXPECT_FALSE(ParseMList(text).ok()) << text;
}

}  // namespace
}  // namespace ladder
