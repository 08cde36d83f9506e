#include "core/operator/operator.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/layout/packed_layout.h"

namespace ladder {
namespace {

constexpr DataType kActivations[] = {DataType::kF16, DataType::kBF16, DataType::kI8, DataType::kE4M3, DataType::kE5M2};

// Activations that are codes with a power of two per 32 of them along K; the first of an element is its own name.
constexpr int64_t kMxGroup = 32;
struct MxActivation {
  absl::string_view name;
  DataType element;
};
constexpr MxActivation kMxActivations[] = {
    {"mxfp8_e4m3", DataType::kE4M3}, {"mxfp8_e5m2", DataType::kE5M2}, {"mxfp8", DataType::kE4M3}};

bool IsMx(absl::string_view name) {
  return std::ranges::find(kMxActivations, name, &MxActivation::name) != std::end(kMxActivations);
}

constexpr ActivationFunction kActivationFunctions[] = {ActivationFunction::kNone, ActivationFunction::kSilu,
                                                       ActivationFunction::kGelu, ActivationFunction::kGeluTanh,
                                                       ActivationFunction::kSwiglu};

constexpr ActivationScale kActivationScales[] = {ActivationScale::kNone, ActivationScale::kTensor,
                                                 ActivationScale::kRow};

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::Status InField(absl::string_view field, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(field, ": ", status.message()));
}

absl::Status CheckDimension(absl::string_view field, int64_t value) {
  if (value < 1 || value > kMaxDimension) {
    return Bad(field, absl::StrCat("must be from 1 to ", kMaxDimension, ", not ", value));
  }
  return absl::OkStatus();
}

// The group a descriptor without one means: what checkpoints of such types use, or the whole row where that cannot be.
int64_t DefaultGroup(const WeightType& weight, DataType activation, int64_t k) {
  if (weight.element.bits == 8 && Bytes(activation) == 1 && Bytes(weight.scale) > 1) return k;
  const int64_t usual = weight.scale == DataType::kE8M0              ? 32
                        : weight.scale == DataType::kE4M3            ? 16
                        : weight.element.kind == ElementKind::kTable ? 64
                                                                     : 128;
  return k % usual == 0 ? usual : k;
}

// The type of scales and results that an operator does not name.
DataType DefaultType(DataType activation, bool mx) {
  if (mx) return DataType::kBF16;
  return Bytes(activation) == 1 ? DataType::kF16 : activation;
}

// A weight without scales per group; zeros would be in units of them.
absl::Status NormalizeUnscaled(const OperatorDescriptor& d) {
  if (d.group.has_value()) return Bad("group", "weights without scales have no groups");
  if (!d.zeros.empty() && d.zeros != "none") return Bad("zeros", "weights without scales have no zero points");
  return absl::OkStatus();
}

absl::Status NormalizeScale(const OperatorDescriptor& d, DataType activation, DataType default_type, WeightType& w) {
  w.tensor_scale = d.tensor_scale;
  if (d.scale == "none") return NormalizeUnscaled(d);
  const absl::StatusOr<DataType> type =
      ParseScaleType(d.scale.empty() ? Name(default_type) : absl::string_view(d.scale));
  if (!type.ok()) return InField("scale", type.status());
  w.has_scale = true;
  w.scale = *type;
  w.group = d.group.value_or(DefaultGroup(w, activation, d.k));
  if (w.group == -1) w.group = d.k;
  if (w.group < 1 || w.group > d.k || d.k % w.group != 0) {
    return Bad("group", absl::StrCat("must be -1 (per channel) or divide K = ", d.k, ", and ", w.group, " does not"));
  }
  if (w.group != d.k && w.group % 16 != 0) {
    return absl::UnimplementedError(absl::StrCat("group: groups must be multiples of 16 or the whole of K; nearest to ",
                                                 w.group, ": ", (w.group + 15) / 16 * 16, ", -1"));
  }
  const absl::StatusOr<ZeroMode> zeros = ParseZeroMode(d.zeros.empty() ? "none" : d.zeros);
  if (!zeros.ok()) return InField("zeros", zeros.status());
  w.zeros = *zeros;
  const bool numbers = w.zeros == ZeroMode::kOriginal || w.zeros == ZeroMode::kRescale;
  if (numbers && (w.scale == DataType::kE8M0 || w.scale == DataType::kE4M3)) {
    return Bad("zeros", absl::StrCat(Name(w.zeros), " zeros are of the scales' type, and ", Name(w.scale),
                                     " holds no zero points; use quantized"));
  }
  if (w.zeros != ZeroMode::kNone && w.element.kind != ElementKind::kUnsigned) {
    return Bad("zeros",
               absl::StrCat("zero points go with unsigned weights (uint4 and the like), not with ", w.element.name));
  }
  return absl::OkStatus();
}

// Plain weights have none of this; saying otherwise is a mistake worth telling.
absl::Status CheckPlain(const OperatorDescriptor& d, DataType activation, const WeightType& w) {
  if (!d.scale.empty()) return Bad("scale", absl::StrCat(w.element.name, " weights have no scales"));
  if (d.group.has_value()) return Bad("group", absl::StrCat(w.element.name, " weights have no groups"));
  if (!d.zeros.empty() && d.zeros != "none") {
    return Bad("zeros", absl::StrCat(w.element.name, " weights have no zero points"));
  }
  if (d.tensor_scale) return Bad("tensor_scale", absl::StrCat(w.element.name, " weights have no scales"));
  if (w.element.plain != activation) {
    return absl::UnimplementedError(absl::StrCat("w: ", w.element.name, " weights need ", w.element.name,
                                                 " activations, not ", Name(activation),
                                                 "; nearest: a=", w.element.name));
  }
  return absl::OkStatus();
}

absl::StatusOr<ActivationFunction> ParseActivationFunction(absl::string_view name) {
  if (name.empty()) return ActivationFunction::kNone;
  for (const ActivationFunction act : kActivationFunctions) {
    if (Name(act) == name) return act;
  }
  return Bad("act",
             absl::StrCat("unknown function \"", name, "\"; known: ",
                          absl::StrJoin(kActivationFunctions, ", ", [](std::string* out, ActivationFunction act) {
                            absl::StrAppend(out, Name(act));
                          })));
}

// The kind of scale that a name means; of a group, how many k share it. "group128" of K = 128 is one for each row.
absl::StatusOr<ActivationScale> NormalizeActivationScale(absl::string_view name, DataType activation, int64_t k,
                                                         int64_t& group) {
  if (name.empty()) return ActivationScale::kNone;
  const auto of_bytes = [&](ActivationScale scale) -> absl::StatusOr<ActivationScale> {
    if (scale == ActivationScale::kNone || Bytes(activation) == 1) return scale;
    return Bad("a_scale", absl::StrCat(Name(activation), " activations have no scales; those of 8 bits may"));
  };
  for (const ActivationScale scale : kActivationScales) {
    if (Name(scale) == name) return of_bytes(scale);
  }
  absl::string_view number = name;
  int64_t columns = 0;
  if (!absl::ConsumePrefix(&number, Name(ActivationScale::kGroup)) || !absl::SimpleAtoi(number, &columns)) {
    return Bad("a_scale", absl::StrCat("unknown kind \"", name, "\"; known: none, tensor, row, group128 and the like"));
  }
  if (columns < 1 || columns > k || k % columns != 0) {
    return Bad("a_scale", absl::StrCat("groups must divide K = ", k, ", and ", columns, " does not"));
  }
  if (columns == k) return of_bytes(ActivationScale::kRow);
  if (columns < 32 || (columns & (columns - 1)) != 0) {
    return absl::UnimplementedError(absl::StrCat("a_scale: groups must be powers of two from 32 on, and ", columns,
                                                 " is none; nearest: a_scale=row"));
  }
  absl::StatusOr<ActivationScale> scale = of_bytes(ActivationScale::kGroup);
  if (scale.ok()) group = columns;
  return scale;
}

// The activation's type and scales.
absl::Status NormalizeActivation(const OperatorDescriptor& d, DataType& type, ActivationScale& scale, int64_t& group) {
  const auto mx = std::ranges::find(kMxActivations, d.a, &MxActivation::name);
  if (mx != std::end(kMxActivations)) {
    type = mx->element;
    scale = ActivationScale::kGroup;
    group = kMxGroup;
    if (!d.a_scale.empty()) {
      return Bad("a_scale", absl::StrCat(d.a, " activations have scales of their own, one per 32 along K"));
    }
    if (d.k % kMxGroup != 0) {
      return absl::UnimplementedError(
          absl::StrCat("k: ", d.a, " has a scale per 32 along K, which ", d.k,
                       " is no multiple of; nearest: ", (d.k + kMxGroup - 1) / kMxGroup * kMxGroup));
    }
    return absl::OkStatus();
  }
  const absl::StatusOr<DataType> activation = ParseActivationType(d.a);
  if (!activation.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a: ", activation.status().message(), ", ",
        absl::StrJoin(kMxActivations, ", ",
                      [](std::string* out, const MxActivation& known) { absl::StrAppend(out, known.name); })));
  }
  if (std::ranges::find(kActivations, *activation) == std::end(kActivations)) {
    return absl::UnimplementedError(absl::StrCat(
        "a: ", Name(*activation), " activations are not served; nearest: ", absl::StrJoin(ActivationNames(), ", ")));
  }
  type = *activation;
  const absl::StatusOr<ActivationScale> of_codes = NormalizeActivationScale(d.a_scale, type, d.k, group);
  if (!of_codes.ok()) return of_codes.status();
  scale = *of_codes;
  return absl::OkStatus();
}

// Products of bytes: of int8 integers, whose zero points are codes too, of fp8 what it holds; sums of a group, which
// has whole steps of 32 columns, are scaled, and with a scale per channel those of bytes as they are, by a type of 16
// bits or more. What no kernel takes in 16 bits either (weights without scales, fp32 scales) stays with the bytes.
bool MultipliesBytes(DataType activation, const WeightType& weight, int64_t k) {
  if (!weight.has_scale || weight.scale == DataType::kF32) return true;
  if (weight.group != k && weight.group % 32 != 0) return false;
  const bool as_it_is = weight.element.bits == 8 && weight.element.kind != ElementKind::kUnsigned;
  if (as_it_is && weight.group == k && Bytes(weight.scale) == 1) return false;
  if (activation != DataType::kI8) return weight.zeros == ZeroMode::kNone && HeldByFp8(weight.element);
  if (weight.element.tabular()) return false;
  return weight.zeros == ZeroMode::kNone || (weight.zeros == ZeroMode::kQuantized && weight.element.bits < 8);
}

DataType ComputeType(DataType activation, ActivationScale scale, const WeightType& weight, int64_t k) {
  if (scale == ActivationScale::kGroup) return DataType::kBF16;
  if (Bytes(activation) > 1 || MultipliesBytes(activation, weight, k)) return activation;
  return PackedScaleType(weight.scale);
}

// Integer sums: what an int32 holds, and what may be stored as one.
absl::Status CheckSums(const NormalizedOperator& op) {
  const bool integer = op.activation() == DataType::kI8;
  if (op.compute() == DataType::kI8 && op.k() > kMaxIntegerProducts) {
    return absl::UnimplementedError(absl::StrCat("k: sums of int8 products are int32, which holds ",
                                                 kMaxIntegerProducts, " of them, not ", op.k(),
                                                 "; nearest: fp8_e4m3 activations"));
  }
  if (op.out() != DataType::kI32) return absl::OkStatus();
  if (!integer) return Bad("out", absl::StrCat("int32 is of int8 activations, not of ", Name(op.activation())));
  if (op.weight().has_scale || op.activation_scale() != ActivationScale::kNone || op.scales_sums() ||
      op.scales_output()) {
    return Bad("out", "int32 is of sums that nothing scales; use fp32");
  }
  if (op.bias() || op.residual() || op.act() != ActivationFunction::kNone) {
    return absl::UnimplementedError(
        "out: int32 with a bias, an activation function or a residual is not served; nearest: fp32");
  }
  return absl::OkStatus();
}

// Gate and up rows lie 8 apart in row tiles of 16 of the packed weight.
absl::Status CheckSwiglu(int64_t n, const ElementType& element) {
  if (n % 2 != 0) return Bad("n", absl::StrCat("swiglu takes as many gate rows as up rows, and ", n, " is odd"));
  if (n % 16 != 0) {
    return absl::UnimplementedError(
        absl::StrCat("n: swiglu needs a multiple of 16; nearest to ", n, ": ", (n + 15) / 16 * 16));
  }
  if (!element.quantized()) {
    return absl::UnimplementedError(
        absl::StrCat("act: swiglu needs a packed weight, and ", element.name, " weights are not; nearest: silu"));
  }
  return absl::OkStatus();
}

// A named type's scales, which a descriptor may repeat but not change.
absl::Status ExpandNamedType(const NamedType& type, OperatorDescriptor& d) {
  if (!d.scale.empty() && d.scale != Name(type.scale)) {
    return Bad("scale", absl::StrCat(type.name, " has ", Name(type.scale), " scales, not ", d.scale,
                                     "; or use w = ", type.element));
  }
  if (d.group.has_value() && *d.group != type.group) {
    return Bad("group", absl::StrCat(type.name, " has groups of ", type.group, ", not ", *d.group,
                                     "; or use w = ", type.element));
  }
  d.w = std::string(type.element);
  d.scale = std::string(Name(type.scale));
  d.group = type.group;
  d.tensor_scale = d.tensor_scale || type.tensor_scale;
  return absl::OkStatus();
}

// The descriptor's element; a named type is written out in `d`.
absl::StatusOr<ElementType> NormalizeElement(OperatorDescriptor& d) {
  if (d.element.has_value()) {
    absl::StatusOr<ElementType> element = Define(*d.element);
    if (!element.ok())
      return absl::Status(element.status().code(), absl::StrCat("element.", element.status().message()));
    return element;
  }
  if (const std::optional<NamedType> named = FindNamedType(d.w); named.has_value()) {
    if (absl::Status status = ExpandNamedType(*named, d); !status.ok()) return status;
  }
  absl::StatusOr<ElementType> element = ParseElementType(d.w);
  if (element.ok()) return element;
  std::string names;
  for (const NamedType& type : NamedTypes()) absl::StrAppend(&names, ", ", type.name);
  return absl::InvalidArgumentError(absl::StrCat("w: ", element.status().message(), names));
}

}  // namespace

absl::string_view Name(ActivationScale scale) {
  switch (scale) {
    case ActivationScale::kNone:
      return "none";
    case ActivationScale::kTensor:
      return "tensor";
    case ActivationScale::kRow:
      return "row";
    case ActivationScale::kGroup:
      return "group";
  }
  return "?";
}

absl::string_view Name(ActivationFunction act) {
  switch (act) {
    case ActivationFunction::kNone:
      return "none";
    case ActivationFunction::kSilu:
      return "silu";
    case ActivationFunction::kGelu:
      return "gelu";
    case ActivationFunction::kGeluTanh:
      return "gelu_tanh";
    case ActivationFunction::kSwiglu:
      return "swiglu";
  }
  return "?";
}

std::vector<std::string> ActivationNames() {
  std::vector<std::string> names;
  for (const DataType type : kActivations) names.emplace_back(Name(type));
  for (const MxActivation& mx : kMxActivations) {
    if (mx.name != "mxfp8") names.emplace_back(mx.name);
  }
  return names;
}

std::vector<std::string> ActivationScaleNames() {
  std::vector<std::string> names;
  for (const ActivationScale scale : kActivationScales) names.emplace_back(Name(scale));
  return names;
}

std::vector<std::string> ActivationFunctionNames() {
  std::vector<std::string> names;
  for (const ActivationFunction act : kActivationFunctions) names.emplace_back(Name(act));
  return names;
}

absl::StatusOr<NormalizedOperator> Normalize(const OperatorDescriptor& descriptor) {
  OperatorDescriptor d = descriptor;
  if (d.op != "matmul") return absl::NotFoundError(absl::StrCat("op: unknown operation \"", d.op, "\"; known: matmul"));
  NormalizedOperator op;
  op.mx_ = IsMx(d.a);
  if (absl::Status s = NormalizeActivation(d, op.activation_, op.activation_scale_, op.activation_group_); !s.ok()) {
    return s;
  }
  const DataType default_type = DefaultType(op.activation_, op.mx_);
  absl::StatusOr<ElementType> element = NormalizeElement(d);
  if (!element.ok()) return element.status();
  op.weight_.element = *std::move(element);
  if (absl::Status s = CheckDimension("n", d.n); !s.ok()) return s;
  if (absl::Status s = CheckDimension("k", d.k); !s.ok()) return s;
  op.n_ = d.n;
  op.k_ = d.k;
  const absl::Status weight = op.weight_.element.quantized()
                                  ? NormalizeScale(d, op.activation_, default_type, op.weight_)
                                  : CheckPlain(d, op.activation_, op.weight_);
  if (!weight.ok()) return weight;
  op.compute_ = ComputeType(op.activation_, op.activation_scale_, op.weight_, op.k_);
  const absl::StatusOr<DataType> out = ParseOutputType(d.out.empty() ? Name(default_type) : d.out);
  if (!out.ok()) return InField("out", out.status());
  op.out_ = *out;
  op.bias_ = d.bias;
  const absl::StatusOr<ActivationFunction> act = ParseActivationFunction(d.act);
  if (!act.ok()) return act.status();
  op.act_ = *act;
  if (op.act_ == ActivationFunction::kSwiglu) {
    if (absl::Status s = CheckSwiglu(op.n_, op.weight_.element); !s.ok()) return s;
  }
  op.output_scale_ = d.output_scale;
  op.residual_ = d.residual;
  if (absl::Status s = CheckSums(op); !s.ok()) return s;
  return op;
}

std::string NormalizedOperator::activation_name() const {
  if (!mx_) return std::string(Name(activation_));
  return std::string(std::ranges::find(kMxActivations, activation_, &MxActivation::element)->name);
}

std::string NormalizedOperator::activation_scale_name() const {
  if (mx_ || activation_scale_ == ActivationScale::kNone) return "";
  const std::string kind(Name(activation_scale_));
  return activation_group_ == 0 ? kind : absl::StrCat(kind, activation_group_);
}

std::string NormalizedOperator::ToString() const {
  std::string text = absl::StrCat("matmul a=", activation_name());
  if (const std::string scale = activation_scale_name(); !scale.empty()) absl::StrAppend(&text, " a_scale=", scale);
  absl::StrAppend(&text, " w=", weight_.element.CanonicalName());
  if (weight_.has_scale) {
    absl::StrAppend(&text, " scale=", Name(weight_.scale), " group=", weight_.group, " zeros=", Name(weight_.zeros));
  } else if (weight_.element.quantized()) {
    text += " scale=none";
  }
  if (weight_.tensor_scale) text += " tensor_scale=1";
  absl::StrAppend(&text, " out=", Name(out_), " bias=", bias_ ? 1 : 0);
  if (act_ != ActivationFunction::kNone) absl::StrAppend(&text, " act=", Name(act_));
  if (output_scale_) text += " output_scale=1";
  if (residual_) text += " residual=1";
  return absl::StrCat(text, " n=", n_, " k=", k_);
}

OperatorDescriptor NormalizedOperator::ToDescriptor() const {
  OperatorDescriptor d;
  d.a = activation_name();
  d.a_scale = activation_scale_name();
  d.w = weight_.element.name;
  if (!ParseElementType(d.w).ok()) {
    d.element = ElementDefinition{.bits = weight_.element.bits, .table = weight_.element.table};
  }
  d.tensor_scale = weight_.tensor_scale;
  if (weight_.element.quantized() && !weight_.has_scale) d.scale = "none";
  if (weight_.has_scale) {
    d.scale = std::string(Name(weight_.scale));
    d.zeros = std::string(Name(weight_.zeros));
    d.group = weight_.group;
  }
  d.out = std::string(Name(out_));
  d.bias = bias_;
  if (act_ != ActivationFunction::kNone) d.act = std::string(Name(act_));
  d.output_scale = output_scale_;
  d.residual = residual_;
  d.n = n_;
  d.k = k_;
  return d;
}

absl::StatusOr<std::vector<int64_t>> NormalizeM(const std::vector<MRange>& ranges) {
  std::set<int64_t> values;
  for (const MRange& range : ranges.empty() ? std::vector<MRange>{{1, 4096}} : ranges) {
    if (range.first < 1 || range.last > kMaxDimension) {
      return Bad(
          "m", absl::StrCat("must be from 1 to ", kMaxDimension, ", not ", range.first < 1 ? range.first : range.last));
    }
    if (range.last < range.first) {
      return Bad("m", absl::StrCat("the range ", range.first, "..", range.last, " is empty"));
    }
    if (range.first == range.last) {
      values.insert(range.first);
      continue;
    }
    int64_t bucket = 1;
    while (bucket < range.first && bucket < kMaxBucket) bucket *= 2;
    values.insert(bucket);
    while (bucket < range.last && bucket < kMaxBucket) values.insert(bucket *= 2);
  }
  return std::vector<int64_t>(values.begin(), values.end());
}

absl::StatusOr<std::vector<MRange>> ParseMList(absl::string_view text) {
  std::vector<MRange> ranges;
  for (absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(piece, absl::MaxSplits("..", 1));
    MRange range;
    if (!absl::SimpleAtoi(ends[0], &range.first) || (ends.size() == 2 && !absl::SimpleAtoi(ends[1], &range.last))) {
      return Bad("m", absl::StrCat("\"", piece, "\" is neither a number nor a range such as 1..4096"));
    }
    if (ends.size() == 1) range.last = range.first;
    ranges.push_back(range);
  }
  return ranges;
}

}  // namespace ladder
