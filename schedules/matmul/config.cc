#include "schedules/matmul/config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/layout/packed_layout.h"

namespace ladder {
namespace {

absl::string_view TypeName(DataType type) {
  switch (type) {
    case DataType::kF16:
      return "ladder::F16";
    case DataType::kBF16:
      return "ladder::BF16";
    case DataType::kF32:
      return "ladder::F32";
    case DataType::kE4M3:
      return "ladder::E4M3";
    case DataType::kE5M2:
      return "ladder::E5M2";
    case DataType::kI8:
      return "ladder::I8";
    case DataType::kE8M0:
      return "ladder::E8M0";
    case DataType::kI32:
      break;  // of no kernel
  }
  return "";
}

absl::string_view ZerosName(ZeroMode mode) {
  switch (mode) {
    case ZeroMode::kNone:
      return "kNone";
    case ZeroMode::kOriginal:
      return "kOriginal";
    case ZeroMode::kRescale:
      return "kRescale";
    case ZeroMode::kQuantized:
      return "kQuantized";
  }
  return "";
}

absl::string_view ActName(ActivationFunction act) {
  switch (act) {
    case ActivationFunction::kNone:
      return "kNone";
    case ActivationFunction::kSilu:
      return "kSilu";
    case ActivationFunction::kGelu:
      return "kGelu";
    case ActivationFunction::kGeluTanh:
      return "kGeluTanh";
    case ActivationFunction::kSwiglu:
      return "kSwiglu";
  }
  return "";
}

absl::string_view BoolName(bool value) { return value ? "true" : "false"; }

// The table rounded to the compute type, as Table4 wants it: four words of high bytes, then four of low bytes; Table
// has two of each. REQUIRES: at most 4 bits.
std::string TableName(const ElementType& element, DataType compute) {
  std::array<uint32_t, 8> words{};
  const std::vector<float> values = element.Values();
  for (size_t code = 0; code < values.size(); code++) {
    const uint32_t bits = compute == DataType::kF16 ? FloatToHalf(values[code]) : FloatToBFloat16(values[code]);
    const int shift = 8 * static_cast<int>(code % 4);
    words[code / 4] |= (bits >> 8) << shift;
    words[4 + code / 4] |= (bits & 0xff) << shift;
  }
  if (element.bits < 4) {
    return absl::StrFormat("ladder::Table<%d, 0x%08xu, 0x%08xu, 0x%08xu, 0x%08xu>", element.bits, words[0], words[1],
                           words[4], words[5]);
  }
  std::string name = "ladder::Table4<";
  for (size_t i = 0; i < words.size(); i++) absl::StrAppendFormat(&name, "%s0x%08xu", i == 0 ? "" : ", ", words[i]);
  return name + ">";
}

// Floats of more than 4 bits that Float or HalfOfF16 of decode.cuh decodes.
bool IsFloat(const ElementType& element) {
  const FloatFormat& format = element.format;
  if (element.kind != ElementKind::kFloat || element.bits <= 4) return false;
  return format == kE5M2 || (format.has_sign && format.exponent_bits <= 4 && format.specials != FloatSpecials::kIeee);
}
// Tables whose values lie in memory, not in a type's name.
bool IsLookup(const ElementType& element) { return element.tabular() && element.bits > 4 && !IsFloat(element); }

// The type Values of such a table: the values rounded to the compute type, two to a word.
std::string LookupText(const ElementType& element, DataType compute) {
  const std::vector<float> values = element.Values();
  std::string text = absl::StrFormat("LADDER_CONSTANT ladder::u32 ladder_values[%d] = {", values.size() / 2);
  for (size_t code = 0; code < values.size(); code += 2) {
    uint16_t pair[2];
    for (int64_t i = 0; i < 2; i++) StoreElement(compute, pair, i, values[code + i]);
    absl::StrAppendFormat(&text, "%s0x%08xu", code % 16 == 0 ? "\n    " : " ", pair[0] | uint32_t{pair[1]} << 16);
    if (code + 2 < values.size()) text += ",";
  }
  return text + absl::StrFormat(
                    "};\nstruct Values : ladder::Lookup<%d> {\n"
                    "  static LADDER_DEVICE ladder::u32 value(ladder::u32 code) {\n"
                    "    return (ladder_values[code / 2] >> (code %% 2 * 16)) & 0xffffu;\n  }\n};\n",
                    element.bits);
}

// A type of schedules/device/byte_decode.cuh.
std::string ByteWeightName(const NormalizedOperator& op) {
  const ElementType& element = op.weight().element;
  if (op.activation() == DataType::kI8) {
    if (element.kind == ElementKind::kUnsigned) {
      return absl::StrFormat("ladder::LowBytes<%d, ladder::%s, 0>", element.bits, element.bits < 8 ? "I8" : "U8");
    }
    return element.bits == 1 ? "ladder::SignBytes" : absl::StrFormat("ladder::TopBytes<%d>", element.bits);
  }
  if (element.bits == 8) {
    return absl::StrFormat("ladder::LowBytes<8, %s, 0>", TypeName(CodeType(element)));
  }
  if (PlacedInFp8(element)) {
    if (element.kind == ElementKind::kUnsigned)
      return absl::StrFormat("ladder::LowBytes<%d, ladder::E4M3, 9>", element.bits);
    return absl::StrFormat("ladder::FloatBytes<%d, %d, %d>", element.bits, element.format.mantissa_bits,
                           kE4M3.bias - element.format.bias);
  }
  const DataType byte = ByteType(op);
  std::array<uint32_t, 4> words{};
  const std::vector<float> values = element.Values();
  for (size_t code = 0; code < values.size(); code++) {
    uint8_t stored = 0;
    StoreElement(byte, &stored, 0, values[code]);
    words[code / 4] |= uint32_t{stored} << (8 * (code % 4));
  }
  return absl::StrFormat("ladder::TableBytes<%d, %s, 0x%08xu, 0x%08xu, 0x%08xu, 0x%08xu>", element.bits, TypeName(byte),
                         words[0], words[1], words[2], words[3]);
}

// A type of schedules/device/decode.cuh, or of byte_decode.cuh.
std::string WeightName(const NormalizedOperator& op) {
  const ElementType& element = op.weight().element;
  const PackedLayout layout = PackedLayout::For(op);
  if (layout.k32()) return ByteWeightName(op);
  if (element.quantized() && layout.placement == CodePlacement::kNatural) {
    return std::string(TypeName(CodeType(element)));
  }
  switch (element.kind) {
    case ElementKind::kSigned:
      if (element.bits == 4) return "ladder::Integer4<8>";
      if (element.bits == 1) return "ladder::Signs";
      return absl::StrFormat("ladder::Integer<%d, %d>", element.bits, 1 << (element.bits - 1));
    case ElementKind::kUnsigned:
      if (element.bits == 4) return "ladder::Integer4<0>";
      return absl::StrFormat("ladder::Integer<%d, 0>", element.bits);
    case ElementKind::kTable:
    case ElementKind::kFloat:
      if (element.bits <= 4) return TableName(element, op.compute());
      if (IsLookup(element)) return "Values";
      if (element.format == kE5M2) return "ladder::HalfOfF16";
      return absl::StrFormat("ladder::Float<%d, %d, %d, %s>", element.format.exponent_bits,
                             element.format.mantissa_bits, element.format.bias,
                             BoolName(element.format.specials == FloatSpecials::kNan));
    case ElementKind::kPlain:
      return std::string(TypeName(element.plain));
  }
  return "";
}

// Each value of a table is a finite number that the compute type holds with its full relative precision: neither an
// overflow nor a subnormal that loses digits. The error bound counts on it. A float's infinities and NaNs are what they
// are in the compute type; no weight that was quantized from numbers has them.
absl::Status CheckTable(const ElementType& element, DataType compute) {
  if (!element.tabular()) return absl::OkStatus();
  const std::vector<float> values = element.Values();
  for (size_t code = 0; code < values.size(); code++) {
    if (element.kind == ElementKind::kFloat && !std::isfinite(values[code])) continue;
    uint32_t bits = 0;
    StoreElement(compute, &bits, 0, values[code]);
    const double error = std::fabs(static_cast<double>(LoadElement(compute, &bits, 0)) - values[code]);
    if (!(error <= UnitRoundoff(compute) * std::fabs(values[code]))) {
      return absl::UnimplementedError(
          absl::StrCat("w: the value of code ", code, ", ", values[code], ", does not fit ", Name(compute),
                       "; nearest: ", std::isfinite(values[code]) ? "bf16 activations" : "finite values"));
    }
  }
  return absl::OkStatus();
}

// Of which fp8 codes multiply is a matter of the architecture.
absl::Status SupportsFp8(const NormalizedOperator& op, const Target& target) {
  if (op.activation() == DataType::kI8 || target.capability() >= 89) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("a: fp8 products need sm_89 or later, not ", target.arch, "; nearest: fp16, bf16, int8"));
}

// Every value is a finite number that the bytes of the products hold exactly.
absl::Status CheckByteValues(const NormalizedOperator& op) {
  const ElementType& element = op.weight().element;
  const bool integer = op.activation() == DataType::kI8;
  if (integer ? !element.tabular() : HeldByFp8(element)) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(
      "w: ", element.name, " weights with ", Name(op.activation()), " activations are not served; nearest: ",
      integer ? "int1 to int8, uint1 to uint8" : "int1 to int4, fp4_e2m1, fp6_e2m3, fp6_e3m2, fp8_e4m3, fp8_e5m2"));
}

}  // namespace

DataType ByteType(const NormalizedOperator& op) {
  const ElementType& element = op.weight().element;
  if (op.activation() == DataType::kI8) return DataType::kI8;
  if (element.kind == ElementKind::kFloat && element.bits == 8) return CodeType(element);
  return PlacedInFp8(element) || element.ExactIn(DataType::kE4M3) ? DataType::kE4M3 : DataType::kE5M2;
}

absl::Status SupportsByteWeight(const NormalizedOperator& op, const Target& target) {
  const WeightType& weight = op.weight();
  if (!PackedLayout::For(op).k32()) {
    return absl::UnimplementedError(
        absl::StrCat("a: ", Name(op.activation()), " activations with ", weight.element.name,
                     " weights as they are, not packed, are not served; nearest: fp16, bf16"));
  }
  if (absl::Status status = CheckByteValues(op); !status.ok()) return status;
  if (absl::Status status = SupportsFp8(op, target); !status.ok()) return status;
  if (op.out() == DataType::kI32) {
    return absl::UnimplementedError("out: int32 is not served yet; nearest: fp32, rounded once");
  }
  if (!weight.has_scale) {
    return absl::UnimplementedError("scale: packed weights without scales are not served; nearest: fp16, bf16");
  }
  if (weight.scale == DataType::kF32) {
    return absl::UnimplementedError("scale: fp32 scales of packed weights are not served; nearest: fp16, bf16");
  }
  return absl::OkStatus();
}

absl::Status SupportsDenseWeight(const NormalizedOperator& op, const Target& target) {
  const WeightType& weight = op.weight();
  const ElementType& element = weight.element;
  if (!element.quantized()) return absl::OkStatus();
  const DataType activation = op.activation();
  if (Bytes(op.compute()) != 1) return absl::UnimplementedError("weights are quantised");
  const bool integer = activation == DataType::kI8;
  const bool fits = integer ? element.kind == ElementKind::kSigned && element.bits == 8
                            : element.kind == ElementKind::kFloat && element.bits == 8;
  if (!fits) {
    return absl::UnimplementedError(
        absl::StrCat("w: ", element.name, " weights with ", Name(activation),
                     " activations are not served; nearest: ", integer ? "int8" : "fp8_e4m3, fp8_e5m2"));
  }
  if (absl::Status status = SupportsFp8(op, target); !status.ok()) return status;
  if (op.out() == DataType::kI32) {
    return absl::UnimplementedError("out: int32 is not served yet; nearest: fp32, rounded once");
  }
  if (op.act() == ActivationFunction::kSwiglu) {
    return absl::UnimplementedError("act: swiglu needs a packed weight; nearest: silu");
  }
  if (weight.zeros != ZeroMode::kNone) {
    return absl::UnimplementedError("zeros: not served with 8-bit activations; nearest: none");
  }
  if (!weight.has_scale) return absl::OkStatus();
  if (weight.group != op.k()) {
    return absl::UnimplementedError(
        absl::StrCat("group: groups of ", weight.group, " are not served with 8-bit activations; nearest: -1"));
  }
  if (weight.scale == DataType::kE8M0 || weight.scale == DataType::kE4M3) {
    return absl::UnimplementedError(absl::StrCat(
        "scale: ", Name(weight.scale), " scales are not served with 8-bit activations; nearest: fp16, bf16, fp32"));
  }
  return absl::OkStatus();
}

std::string ConfigText(const NormalizedOperator& op, const KernelShape& shape) {
  const WeightType& weight = op.weight();
  const bool scaled = weight.has_scale;
  const bool lookup = IsLookup(weight.element) && Bytes(op.compute()) == 2;
  std::string text = lookup ? LookupText(weight.element, op.compute()) : "";
  text += "struct Config {\n";
  absl::StrAppendFormat(&text,
                        "  using Compute = %s;\n  using Output = %s;\n  using Weight = %s;\n  using Scale = %s;\n",
                        TypeName(op.compute()), TypeName(op.out()), WeightName(op),
                        TypeName(scaled ? PackedScaleType(weight.scale) : op.compute()));
  absl::StrAppendFormat(&text, "  using Bias = %s;\n  using X = %s;\n  using XScale = %s;\n", TypeName(op.bias_type()),
                        TypeName(op.activation()), TypeName(op.activation_scale_type()));
  absl::StrAppendFormat(&text, "  static constexpr ladder::Zeros kZeros = ladder::Zeros::%s;\n",
                        ZerosName(scaled ? weight.zeros : ZeroMode::kNone));
  absl::StrAppendFormat(&text, "  static constexpr int kN = %d, kK = %d, kGroup = %d, kXGroup = %d;\n", op.n(), op.k(),
                        scaled ? weight.group : op.k(), op.activation_group());
  absl::StrAppendFormat(&text, "  static constexpr ladder::Act kAct = ladder::Act::%s;\n", ActName(op.act()));
  absl::StrAppendFormat(&text, "  static constexpr bool kBias = %s, kOutputScale = %s, kResidual = %s;\n",
                        BoolName(op.bias()), BoolName(op.scales_output()), BoolName(op.residual()));
  // Scales per channel of weights of 8 bits that are not packed are the epilogue's, and the main loop's elsewhere.
  const bool natural = PackedLayout::For(op).placement == CodePlacement::kNatural;
  absl::StrAppendFormat(&text, "  static constexpr bool kChannelScale = %s, kRowScale = %s, kSumScale = %s;\n",
                        BoolName(scaled && natural), BoolName(op.activation_scale() == ActivationScale::kRow),
                        BoolName(op.scales_sums()));
  if (!shape.parameters.empty()) {
    text += "  static constexpr int ";
    for (size_t i = 0; i < shape.parameters.size(); i++) {
      absl::StrAppendFormat(&text, "%s%s = %d", i == 0 ? "" : ", ", shape.parameters[i].first,
                            shape.parameters[i].second);
    }
    text += ";\n";
  }
  return text + "};\n";
}

std::string KernelText(const NormalizedOperator& op, const KernelShape& shape) {
  std::string text;
  for (const absl::string_view include : shape.includes) absl::StrAppendFormat(&text, "#include \"%s\"\n", include);
  absl::StrAppendFormat(&text, "#include \"%s\"\n%s", shape.header, ConfigText(op, shape));
  absl::StrAppendFormat(&text,
                        "LADDER_KERNEL void LADDER_LAUNCH_BOUNDS(%d, %d) ladder_kernel(\n"
                        "    const LADDER_GRID_CONSTANT ladder::%s arguments) {\n  ladder::%s<Config>(arguments);\n}\n",
                        shape.threads, shape.blocks_per_multiprocessor, shape.arguments, shape.function);
  return text;
}

bool CanDecode(const NormalizedOperator& op, bool shared_table) {
  if (Bytes(op.compute()) == 1) return !shared_table;  // tables lie in registers
  const ElementType& element = op.weight().element;
  return shared_table ? element.tabular() && (element.bits == 4 || IsLookup(element)) : !IsLookup(element);
}

int64_t SharedTableBytes(const NormalizedOperator& op) {
  // Of pairs of values, or of values, in words for each of 32 banks.
  const ElementType& element = op.weight().element;
  return (IsLookup(element) ? int64_t{1} << element.bits : 256) * 32 * 4;
}

bool ScaledWeightsFit(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  if (op.compute() != DataType::kF16) return true;
  if (weight.scale != DataType::kE4M3) return PackedScaleType(weight.scale) == DataType::kF16;
  constexpr double kGreatestScale = 448, kGreatestHalf = 65504;
  double greatest = 0;  // differences with zero points are no larger
  for (const double value : weight.element.Values()) {
    if (std::isfinite(value)) greatest = std::max(greatest, std::fabs(value));
  }
  return greatest * kGreatestScale <= kGreatestHalf;
}

absl::Status SupportsQuantizedWeight(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  const ElementType& element = weight.element;
  if (!element.quantized()) return absl::UnimplementedError("weights are not quantised");
  if (Bytes(op.compute()) == 1) {
    // Of the schedules for 16 bits; SupportsByteWeight says what the others do.
    return absl::UnimplementedError(absl::StrCat("a: ", Name(op.activation()), " activations with ", element.name,
                                                 " weights are not served; nearest: fp16, bf16"));
  }
  if (!weight.has_scale) {
    return absl::UnimplementedError("scale: weights without scales are not served; nearest: fp16, bf16");
  }
  if (weight.scale == DataType::kF32) {
    return absl::UnimplementedError("scale: fp32 scales are not served; nearest: fp16, bf16");
  }
  if (weight.tensor_scale && Bytes(op.activation()) > 1 && (op.bias() || op.act() != ActivationFunction::kNone)) {
    return absl::UnimplementedError(
        "tensor_scale: not served with a bias or an activation function; nearest: neither of them");
  }
  if (absl::Status status = CheckTable(element, op.compute()); !status.ok()) return status;
  if (weight.zeros != ZeroMode::kNone && element.kind != ElementKind::kUnsigned) {
    return absl::UnimplementedError(absl::StrCat("zero points need unsigned codes, not ", element.name));
  }
  // Zeros that are numbers enter in the compute type; rounding an fp16 zero to bf16 would cost more than any product.
  const bool numbers = weight.zeros == ZeroMode::kOriginal || weight.zeros == ZeroMode::kRescale;
  if (numbers && op.compute() == DataType::kBF16 && weight.scale == DataType::kF16) {
    return absl::UnimplementedError(
        absl::StrCat("zeros: ", Name(weight.zeros), " zeros of type fp16 with bf16 activations are not served"));
  }
  if (weight.group != op.k() && weight.group % 16 != 0) {
    return absl::UnimplementedError(absl::StrCat("group ", weight.group, " is neither a multiple of 16 nor K"));
  }
  return absl::OkStatus();
}

absl::Status CheckParameters(const Candidate& candidate, absl::string_view schedule,
                             const std::vector<absl::string_view>& names) {
  bool same = candidate.schedule == schedule && candidate.parameters.size() == names.size();
  for (size_t i = 0; same && i < names.size(); i++) same = candidate.parameters[i].first == names[i];
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("%s is not a candidate of schedule %s with parameters %s",
                                                    candidate.ToString(), schedule, absl::StrJoin(names, ", ")));
}

}  // namespace ladder
