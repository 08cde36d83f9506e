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

TEST(Normalize, ActivationsOf8BitsMayHaveScales) {
  OperatorDescriptor d = Int4();
  d.a = "int8";
  const NormalizedOperator plain = *Normalize(d);
  EXPECT_EQ(plain.ToString(), "matmul a=int8 w=int4 scale=fp16 group=128 zeros=none out=fp16 bias=0 n=8192 k=28672");
  EXPECT_EQ(plain.bias_type(), DataType::kF16);
  d.a_scale = "none";
  EXPECT_EQ(*Normalize(d), plain);
  d.a_scale = "row";
  d.out = "bf16";
  const NormalizedOperator row = *Normalize(d);
  EXPECT_EQ(row.ToString(),
            "matmul a=int8 a_scale=row w=int4 scale=fp16 group=128 zeros=none out=bf16 bias=0 n=8192 k=28672");
  EXPECT_EQ(row.activation_scale(), ActivationScale::kRow);
  EXPECT_EQ(row.bias_type(), DataType::kBF16);
  EXPECT_EQ(*Normalize(row.ToDescriptor()), row);
  d.a = "fp8_e5m2";
  d.a_scale = "tensor";
  EXPECT_EQ(Normalize(d)->activation_scale(), ActivationScale::kTensor);
  EXPECT_EQ(*Normalize(Normalize(d)->ToDescriptor()), *Normalize(d));
  // Nothing scales the sums: they may be stored as they are.
  OperatorDescriptor sums = {.a = "int8", .w = "int8", .scale = "none", .out = "int32", .n = 64, .k = 64};
  EXPECT_EQ(Normalize(sums)->ToString(), "matmul a=int8 w=int8 scale=none out=int32 bias=0 n=64 k=64");
}

TEST(Normalize, MxActivationsHaveScalesOfTheirOwn) {
  OperatorDescriptor d = Int4();
  d.a = "mxfp8";
  const NormalizedOperator op = *Normalize(d);
  EXPECT_EQ(op.ToString(), "matmul a=mxfp8_e4m3 w=int4 scale=bf16 group=128 zeros=none out=bf16 bias=0 n=8192 k=28672");
  EXPECT_EQ(op.activation(), DataType::kE4M3);
  EXPECT_EQ(op.activation_scale(), ActivationScale::kGroup);
  EXPECT_EQ(op.activation_group(), 32);
  EXPECT_EQ(op.activation_scale_row_bytes(), 28672 / 32);
  EXPECT_EQ(op.compute(), DataType::kBF16);
  EXPECT_TRUE(op.widens());
  EXPECT_EQ(*Normalize(op.ToDescriptor()), op);
  d.a = "mxfp8_e4m3";
  EXPECT_EQ(*Normalize(d), op);
  d.a = "mxfp8_e5m2";
  EXPECT_EQ(Normalize(d)->activation(), DataType::kE5M2);
  EXPECT_EQ(*Normalize(Normalize(d)->ToDescriptor()), *Normalize(d));
}

TEST(Normalize, GroupsOfActivationsMayHaveScales) {
  OperatorDescriptor d = Int4();
  d.a = "int8";
  d.a_scale = "group64";
  const NormalizedOperator op = *Normalize(d);
  EXPECT_EQ(op.ToString(),
            "matmul a=int8 a_scale=group64 w=int4 scale=fp16 group=128 zeros=none out=fp16 bias=0 n=8192 k=28672");
  EXPECT_EQ(op.activation_scale(), ActivationScale::kGroup);
  EXPECT_EQ(op.activation_group(), 64);
  EXPECT_EQ(op.activation_scale_type(), DataType::kF32);
  EXPECT_EQ(op.activation_scale_row_bytes(), 28672 / 64 * 4);
  EXPECT_EQ(*Normalize(op.ToDescriptor()), op);
  d.k = 64;
  d.group = -1;
  OperatorDescriptor row = d;
  row.a_scale = "row";
  EXPECT_EQ(*Normalize(d), *Normalize(row));
}

// Activations of 8 bits are multiplied in 8 bits with what such products take, and otherwise in 16.
TEST(Normalize, WhatNoProductOfBytesTakesIsWidened) {
  struct Case {
    OperatorDescriptor d;
    DataType compute;
  };
  const std::vector<Case> cases = {
      {{.a = "int8", .w = "int4"}, DataType::kI8},
      {{.a = "int8", .w = "uint4", .zeros = "quantized"}, DataType::kI8},
      {{.a = "int8", .w = "uint8", .zeros = "quantized"}, DataType::kF16},
      {{.a = "int8", .w = "uint4", .scale = "bf16", .zeros = "original"}, DataType::kBF16},
      {{.a = "int8", .w = "int4", .group = 16}, DataType::kF16},
      {{.a = "int8", .w = "int8", .scale = "none"}, DataType::kI8},
      {{.a = "int8", .w = "int8", .scale = "e8m0", .group = -1}, DataType::kBF16},
      {{.a = "int8", .w = "mxfp4"}, DataType::kBF16},
      {{.a = "fp8_e4m3", .w = "mxfp4"}, DataType::kE4M3},
      {{.a = "fp8_e5m2", .w = "mxfp8"}, DataType::kE5M2},
      {{.a = "fp8_e4m3", .w = "nvfp4"}, DataType::kF16},
      {{.a = "fp8_e4m3", .w = "nf4"}, DataType::kF16},
      {{.a = "fp8_e4m3", .w = "int6"}, DataType::kF16},
      {{.a = "fp8_e4m3", .w = "uint4", .zeros = "quantized"}, DataType::kF16},
      {{.a = "mxfp8", .w = "mxfp8"}, DataType::kBF16},
  };
  for (Case c : cases) {
    c.d.n = c.d.k = 4096;
    const absl::StatusOr<NormalizedOperator> op = Normalize(c.d);
    ASSERT_TRUE(op.ok()) << op.status();
    EXPECT_EQ(op->compute(), c.compute) << op->ToString();
    EXPECT_EQ(op->widens(), Bytes(c.compute) == 2) << op->ToString();
  }
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

// Texts that keys in users' caches were made of.
TEST(Normalize, TextsOfOldOperatorsStay) {
  OperatorDescriptor nf4 = Int4();
  nf4.w = "nf4";
  EXPECT_EQ(Normalize(nf4)->ToString(),
            "matmul a=fp16 w=nf4#2fdc0e654eacafe1 scale=fp16 group=64 zeros=none out=fp16 bias=0 n=8192 k=28672");
  OperatorDescriptor uint4 = Int4();
  uint4.w = "uint4";
  uint4.zeros = "quantized";
  EXPECT_EQ(Normalize(uint4)->ToString(),
            "matmul a=fp16 w=uint4 scale=fp16 group=128 zeros=quantized out=fp16 bias=0 n=8192 k=28672");
  OperatorDescriptor dense = Int4();
  dense.w = "fp16";
  EXPECT_EQ(Normalize(dense)->ToString(), "matmul a=fp16 w=fp16 out=fp16 bias=0 n=8192 k=28672");
}

std::vector<float> Steps(int count, float step) {
  std::vector<float> values(count);
  for (int i = 0; i < count; i++) values[i] = static_cast<float>(i) * step;
  return values;
}

TEST(Normalize, AUsersElementIsKnownByItsValues) {
  OperatorDescriptor mine = Int4();
  mine.w = "mine";
  mine.element = ElementDefinition{.bits = 4, .table = Steps(16, 0.25f)};
  const NormalizedOperator op = *Normalize(mine);
  EXPECT_EQ(op.weight().element.name, "table4");
  EXPECT_EQ(op.weight().group, 64);
  EXPECT_EQ(op.ToString().rfind("matmul a=fp16 w=table4#", 0), 0u) << op.ToString();
  // Another name is the same operator; other values under the same name are not.
  mine.w = "yours";
  EXPECT_EQ(*Normalize(mine), op);
  mine.element->table[3] = 0.7f;
  EXPECT_NE(Normalize(mine)->ToString(), op.ToString());
  EXPECT_EQ(*Normalize(op.ToDescriptor()), op);
  // What equals a built-in is the built-in, whatever it is called.
  mine.element = ElementDefinition{.bits = 4, .table = ParseElementType("nf4")->Values()};
  EXPECT_EQ(Normalize(mine)->weight().element.name, "nf4");
  EXPECT_FALSE(Normalize(mine)->ToDescriptor().element.has_value());
}

TEST(Normalize, NamedTypesAreAnElementWithItsScales) {
  struct Case {
    std::string w, element, scale;
    int64_t group;
    bool tensor_scale;
  };
  const std::vector<Case> cases = {
      {"mxfp4", "fp4_e2m1", "e8m0", 32, false},      {"mxfp6_e3m2", "fp6_e3m2", "e8m0", 32, false},
      {"mxfp6_e2m3", "fp6_e2m3", "e8m0", 32, false}, {"mxfp8", "fp8_e4m3", "e8m0", 32, false},
      {"mxfp8_e4m3", "fp8_e4m3", "e8m0", 32, false}, {"mxfp8_e5m2", "fp8_e5m2", "e8m0", 32, false},
      {"nvfp4", "fp4_e2m1", "fp8_e4m3", 16, true},
  };
  ASSERT_EQ(cases.size(), NamedTypes().size());
  for (const Case& c : cases) {
    OperatorDescriptor named = Int4(), spelled = Int4();
    named.w = c.w;
    spelled.w = c.element, spelled.scale = c.scale, spelled.group = c.group, spelled.tensor_scale = c.tensor_scale;
    ASSERT_TRUE(Normalize(named).ok()) << Normalize(named).status();
    EXPECT_EQ(*Normalize(named), *Normalize(spelled)) << c.w;
    EXPECT_EQ(*Normalize(Normalize(named)->ToDescriptor()), *Normalize(named)) << c.w;
    spelled.group.reset();  // the default of such scales
    EXPECT_EQ(*Normalize(named), *Normalize(spelled)) << c.w;
    named.group = 64;
    EXPECT_EQ(Normalize(named).status().code(), absl::StatusCode::kInvalidArgument);
    named.group.reset();
    named.scale = "fp16";
    EXPECT_EQ(Normalize(named).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(Normalize, EveryElementSurvivesItsDescriptor) {
  for (const std::string& name : BuiltInElementNames()) {
    for (const std::string scale : {"", "none", "fp32", "e8m0", "fp8_e4m3"}) {
      OperatorDescriptor d = Int4();
      d.w = name;
      if (name == "bf16") d.a = name;
      const bool plain = name == "fp16" || name == "bf16";
      if (!plain) d.scale = scale, d.tensor_scale = scale == "none";
      const absl::StatusOr<NormalizedOperator> op = Normalize(d);
      ASSERT_TRUE(op.ok()) << name << " " << op.status();
      EXPECT_EQ(*Normalize(op->ToDescriptor()), *op) << op->ToString();
    }
  }
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
      {"group:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.scale = "none", d.group = 64; }},
      {"zeros:", absl::StatusCode::kInvalidArgument,
       [](auto& d) { d.w = "uint4", d.scale = "none", d.zeros = "rescale"; }},
      {"zeros:", absl::StatusCode::kInvalidArgument,
       [](auto& d) { d.w = "uint4", d.scale = "e8m0", d.zeros = "original"; }},
      {"tensor_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "fp16", d.tensor_scale = true; }},
      {"w:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "table4"; }},
      {"element.bits:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.element = ElementDefinition{.bits = 9}; }},
      {"element.table:", absl::StatusCode::kInvalidArgument,
       [](auto& d) {
         d.element = ElementDefinition{.bits = 2, .table = {1, 2, 3}};
       }},
      {"zeros:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.zeros = "some"; }},
      {"zeros:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.zeros = "original"; }},  // int4 is symmetric
      {"scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "fp16", d.scale = "fp16"; }},
      {"group:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.w = "fp16", d.group = 128; }},
      {"out:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.out = "fp8"; }},
      {"act:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.act = "relu6"; }},
      {"n:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.act = "swiglu", d.n = 17; }},
      {"n:", absl::StatusCode::kUnimplemented, [](auto& d) { d.act = "swiglu", d.n = 24; }},
      {"act:", absl::StatusCode::kUnimplemented, [](auto& d) { d.act = "swiglu", d.w = "fp16"; }},
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a_scale = "row"; }},  // of fp16
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "int8", d.a_scale = "column"; }},
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "mxfp8", d.a_scale = "row"; }},
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a_scale = "group128"; }},  // of fp16
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "int8", d.a_scale = "group"; }},
      {"a_scale:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "int8", d.a_scale = "group100"; }},
      {"a_scale:", absl::StatusCode::kUnimplemented, [](auto& d) { d.a = "int8", d.a_scale = "group16"; }},
      {"a_scale:", absl::StatusCode::kUnimplemented, [](auto& d) { d.a = "int8", d.a_scale = "group1792"; }},
      {"a:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "mxfp4"; }},
      {"k:", absl::StatusCode::kUnimplemented, [](auto& d) { d.a = "mxfp8", d.k = 112, d.group = -1; }},
      {"k:", absl::StatusCode::kUnimplemented, [](auto& d) { d.a = "int8", d.k = 131072; }},
      {"out:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.out = "int32"; }},
      {"out:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "int8", d.out = "int32"; }},
      {"out:", absl::StatusCode::kInvalidArgument, [](auto& d) { d.a = "int8", d.out = "int8"; }},
      {"out:", absl::StatusCode::kUnimplemented,
       [](auto& d) { d.a = "int8", d.scale = "none", d.out = "int32", d.bias = true; }},
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
