#include "tests/performance/bench_flags.h"

#include <functional>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ladder {
namespace {

// Linear layers of 7B to 70B transformers: square, tall, wide, and the narrow ones of grouped attention.
constexpr char kPolicyShapes[] =
    "4096x4096,28672x4096,8192x8192,8192x28672,1024x4096,6144x4096,14336x4096,4096x14336,5120x5120,13824x5120,"
    "1024x8192,"
    "10240x8192";

// The rows of a record, as many as fit three minutes at 1.7 s each. The shapes of the targets with int4 and nf4, and
// one of few columns; not quantised weights, against cuBLASLt alone; and what an operator may differ in, at one big
// shape: bf16 activations, which decode otherwise, for M where memory, the overlap of decoding and products, and the
// tensor cores are the limit; groups of 64, a scale per channel and each kind of zero points, which add bytes and
// operations, at both ends.
struct RecordPart {
  const char *shapes, *m, *w, *a, *zeros;
  int64_t group;
};
constexpr RecordPart kRecord[] = {
    {"4096x4096,28672x4096,8192x8192,8192x28672", "1,16,64,256,4096", "int4,nf4", "fp16", "", 128},
    {"1024x8192", "1,16,64,256,4096", "int4", "fp16", "", 128},
    {"4096x4096,8192x8192,8192x28672", "1,256,4096", "fp16", "fp16", "", 128},
    {"8192x8192", "4096", "bf16", "bf16", "", 128},
    {"8192x8192", "1,64,4096", "int4,nf4", "bf16", "", 128},
    {"8192x8192", "1,4096", "int4,nf4", "fp16", "", 64},
    {"8192x8192", "1,4096", "int4", "fp16", "", -1},
    {"8192x8192", "1,4096", "uint4", "fp16", "quantized", 128},
    {"8192x8192", "1,4096", "uint4", "fp16", "original", 128},
    {"8192x8192", "1,4096", "uint4", "fp16", "rescale", 128},
};

struct Flag {
  const char* help;
  bool takes_value;
  std::function<bool(const std::string&)> set;
};

using Flags = std::map<std::string, Flag>;

Flag Text(std::string& target, const char* help) {
  return {help, true, [&target](const std::string& value) {
            target = value;
            return true;
          }};
}
template <typename Integer>
Flag Number(Integer& target, const char* help) {
  return {help, true, [&target](const std::string& value) { return absl::SimpleAtoi(value, &target); }};
}
Flag Real(double& target, const char* help) {
  return {help, true, [&target](const std::string& value) { return absl::SimpleAtod(value, &target); }};
}
Flag Switch(bool& target, const char* help) {
  return {help, false, [&target](const std::string&) { return target = true; }};
}

Flags MakeFlags(BenchFlags& f) {
  return {{"--shapes", Text(f.shapes, "NxK,...")},
          {"--m", Text(f.m, "values or ranges: 1,16,1..4096")},
          {"--w", Text(f.w, "weight elements: int4,nf4,uint4,fp16,bf16")},
          {"--a", Text(f.a, "activation")},
          {"--a-scale", Text(f.a_scale, "of 8-bit activations: none, tensor, row, group128")},
          {"--zeros", Text(f.zeros, "none, original, rescale, quantized")},
          {"--scale", Text(f.scale, "scale type")},
          {"--out", Text(f.out, "output type")},
          {"--group", Number(f.group, "k per scale; -1: one per channel")},
          {"--bias", Switch(f.bias, "with a bias")},
          {"--act", Text(f.act, "none, silu, gelu, gelu_tanh, swiglu")},
          {"--output-scale", Switch(f.output_scale, "with an output scale")},
          {"--residual", Switch(f.residual, "with a residual")},
          {"--schedule", Text(f.schedules, "only these schedules")},
          {"--candidate", Text(f.only, "only these candidates, separated by ';'")},
          {"--candidates", Number(f.candidates, "candidates per problem")},
          {"--finalists", Number(f.finalists, "timed again, interleaved")},
          {"--yardsticks", Text(f.yardsticks, "fp16,fp8,int8 or none")},
          {"--all", Switch(f.all, "print every candidate")},
          {"--dry-run", Switch(f.dry_run, "compile only, no GPU")},
          {"--dump", Text(f.dump, "existing folder for the sources and binaries of a dry run")},
          {"--keep-rejected", Switch(f.keep_rejected, "also time candidates that spill")},
          {"--target", Text(f.target, "machine of a dry run")},
          {"--device", Number(f.device, "GPU number")},
          {"--memory", Number(f.memory_mib, "GPU memory budget, MiB")},
          {"--threads", Number(f.threads, "compile threads; 0: cores - 1")},
          {"--timeout", Real(f.timeout_s, "seconds a step on the GPU may take")},
          {"--budget", Real(f.budget_s, "seconds the whole run may take")},
          {"--repeats", Number(f.repeats, "graph replays")},
          {"--replay-ms", Real(f.replay_ms, "length of a replay")},
          {"--json", Text(f.json, "write the figures to this file")},
          {"--traces", Text(f.traces, "write the time of every candidate to this file")},
          {"--repeat-selection",
           Number(f.repeat_selection,
                  "tune each problem so often, as the service does, and print whether the choices are equally fast")},
          {"--record", Switch(f.record, "the operators of the record in results")},
          {"--m-sweep",
           Switch(f.m_sweep,
                  "tune the buckets of --m as the service does, then time every M of its values and ranges with the "
                  "kernel chosen for it, and print where fewer rows take longer than more")},
          {"--kernels-for",
           Text(f.kernels_for,
                "time the kernels of an older architecture (sm_80), compiled to PTX and from there by the driver")},
          {"--mix", Switch(f.mix, "each problem with one of the weight elements, by turns")},
          {"--policy-set",
           {"the operators of the policy's figure: 12 shapes x 5 M, int4 and nf4 by turns, 64 candidates", false,
            [&f](const std::string&) {
              f.shapes = kPolicyShapes;
              f.m = "1,16,64,256,4096";
              f.w = "int4,nf4";
              f.candidates = 64;
              f.finalists = 8;  // the regret is of their times
              f.yardsticks = "none";
              return f.mix = true;
            }}},
          {"--commit", Text(f.commit, "recorded in the JSON file")},
          {"--first", Number(f.first, "number of the first problem")},
          {"--rows", Text(f.rows, "file with the rows of an earlier part of the run")},
          {"--started", Real(f.started_unix, "when the run started")},
          {"--deny", {"a candidate to leave out", true, [&f](const std::string& value) {
                        f.deny.push_back(value);
                        return true;
                      }}}};
}

}  // namespace

absl::StatusOr<BenchFlags> ParseBenchFlags(const std::vector<std::string>& arguments) {
  BenchFlags parsed;
  const Flags flags = MakeFlags(parsed);
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--help") {
      std::string help = "ladder-bench: tunes and times operators in this process.\n";
      for (const auto& [name, flag] : flags) absl::StrAppend(&help, "  ", name, "  ", flag.help, "\n");
      return absl::CancelledError(help);
    }
    const auto flag = flags.find(arguments[i]);
    if (flag == flags.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag ", arguments[i], "; --help lists them"));
    }
    std::string value;
    if (flag->second.takes_value) {
      if (i + 1 == arguments.size()) return absl::InvalidArgumentError(absl::StrCat(arguments[i], " needs a value"));
      value = arguments[++i];
    }
    if (!flag->second.set(value)) {
      return absl::InvalidArgumentError(absl::StrCat(flag->first, ": '", value, "' is not a number"));
    }
  }
  return parsed;
}

namespace {

// One shape's operators, an element of --w each.
absl::StatusOr<std::vector<NormalizedOperator>> OperatorsOf(const BenchFlags& flags, const std::string& shape) {
  const std::vector<std::string> sides = absl::StrSplit(shape, 'x');
  OperatorDescriptor descriptor;
  if (sides.size() != 2 || !absl::SimpleAtoi(sides[0], &descriptor.n) || !absl::SimpleAtoi(sides[1], &descriptor.k)) {
    return absl::InvalidArgumentError(absl::StrCat("--shapes: '", shape, "' is not of the form NxK"));
  }
  std::vector<NormalizedOperator> operators;
  for (const std::string& weight : std::vector<std::string>(absl::StrSplit(flags.w, ','))) {
    descriptor.a = flags.a;
    descriptor.a_scale = flags.a_scale;
    descriptor.w = weight;
    descriptor.out = flags.out;
    descriptor.bias = flags.bias;
    descriptor.act = flags.act;
    descriptor.output_scale = flags.output_scale;
    descriptor.residual = flags.residual;
    if (weight != "fp16" && weight != "bf16") {
      descriptor.scale = flags.scale;
      descriptor.zeros = flags.zeros;
      descriptor.group = flags.group;
    } else {
      descriptor.a = weight;
      descriptor.a_scale.clear();
      descriptor.group.reset();
    }
    absl::StatusOr<NormalizedOperator> op = Normalize(descriptor);
    if (!op.ok()) return op.status();
    operators.push_back(*std::move(op));
  }
  return operators;
}

std::vector<std::string> ShapesOf(const BenchFlags& flags) { return absl::StrSplit(flags.shapes, ','); }

}  // namespace

absl::StatusOr<std::vector<BenchProblem>> MakeProblems(const BenchFlags& flags) {
  if (flags.record) {
    std::vector<BenchProblem> problems;
    for (const RecordPart& part : kRecord) {
      BenchFlags of_part = flags;
      of_part.record = false;
      of_part.shapes = part.shapes, of_part.m = part.m, of_part.w = part.w;
      of_part.a = part.a, of_part.zeros = part.zeros, of_part.group = part.group;
      const absl::StatusOr<std::vector<BenchProblem>> some = MakeProblems(of_part);
      if (!some.ok()) return some;
      problems.insert(problems.end(), some->begin(), some->end());
    }
    return problems;
  }
  const absl::StatusOr<std::vector<MRange>> ranges = ParseMList(flags.m);
  if (!ranges.ok()) return ranges.status();
  const absl::StatusOr<std::vector<int64_t>> ms = NormalizeM(*ranges);
  if (!ms.ok()) return ms.status();
  std::vector<BenchProblem> problems;
  size_t shapes_seen = 0;
  for (const std::string& shape : ShapesOf(flags)) {
    const absl::StatusOr<std::vector<NormalizedOperator>> operators = OperatorsOf(flags, shape);
    if (!operators.ok()) return operators.status();
    const size_t shape_number = shapes_seen++;
    for (size_t i = 0; i < operators->size(); i++) {
      for (size_t j = 0; j < ms->size(); j++) {
        // By turns over shapes and M, so that every shape and every M has each of the elements.
        if (!flags.mix || (shape_number + j) % operators->size() == i) problems.push_back({(*operators)[i], (*ms)[j]});
      }
    }
  }
  return problems;
}

absl::StatusOr<std::vector<NormalizedOperator>> MakeOperators(const BenchFlags& flags) {
  std::vector<NormalizedOperator> all;
  for (const std::string& shape : ShapesOf(flags)) {
    absl::StatusOr<std::vector<NormalizedOperator>> operators = OperatorsOf(flags, shape);
    if (!operators.ok()) return operators.status();
    all.insert(all.end(), operators->begin(), operators->end());
  }
  return all;
}

absl::StatusOr<std::vector<int64_t>> EveryM(const BenchFlags& flags) {
  const absl::StatusOr<std::vector<MRange>> ranges = ParseMList(flags.m);
  if (!ranges.ok()) return ranges.status();
  // Refuses what makes no sense.
  if (const absl::Status checked = NormalizeM(*ranges).status(); !checked.ok()) return checked;
  std::set<int64_t> values;
  for (const MRange& range : *ranges) {
    for (int64_t m = range.first; m <= range.last; m++) values.insert(m);
  }
  return std::vector<int64_t>(values.begin(), values.end());
}

}  // namespace ladder
