#include "server/offline/quantize_file.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/layout/natural_code.h"
#include "core/operator/operator.h"
#include "core/reference/matmul_reference.h"
#include "core/reference/quantize.h"
#include "ladder/tune/v1/kernel.pb.h"
#include "server/convert/proto_convert.h"
#include "server/offline/matrix_file.h"
#include "server/offline/npy.h"

namespace ladder {
namespace {

namespace fs = std::filesystem;

// One file of the result.
struct Plane {
  std::string name, descr;
  std::vector<int64_t> shape;
  std::span<const uint8_t> bytes;
  std::string meaning;
};

std::string DescrOf(DataType type) {
  switch (type) {
    case DataType::kF16:
      return "<f2";
    case DataType::kF32:
      return "<f4";
    case DataType::kBF16:
      return "<u2";
    case DataType::kE4M3:
    case DataType::kE8M0:
      return "|u1";
    case DataType::kE5M2:
    case DataType::kI8:
    case DataType::kI32:
      break;  // no scales are of these types
  }
  return "";
}

std::vector<Plane> PlanesOf(const NormalizedOperator& op, const QuantizedWeight& weight) {
  const WeightType& type = op.weight();
  const int bits = type.element.bits;
  const int64_t n = op.n(), groups = type.has_scale ? op.k() / type.group : 0;
  std::vector<Plane> planes = {{"codes.npy",
                                "|u1",
                                {n, NaturalRowBytes(bits, op.k())},
                                weight.codes,
                                absl::StrCat("codes of ", bits, bits == 1 ? " bit" : " bits")}};
  const std::string scale = type.has_scale ? std::string(Name(type.scale)) : "";
  if (type.has_scale) planes.push_back({"scales.npy", DescrOf(type.scale), {n, groups}, weight.scales, scale});
  if (type.zeros == ZeroMode::kQuantized) {
    planes.push_back({"zeros.npy",
                      "|u1",
                      {n, NaturalRowBytes(bits, groups)},
                      weight.zeros,
                      absl::StrCat("integers of ", bits, bits == 1 ? " bit" : " bits")});
  } else if (type.zeros != ZeroMode::kNone) {
    planes.push_back({"zeros.npy", DescrOf(type.scale), {n, groups}, weight.zeros, scale});
  }
  if (type.tensor_scale) {
    const auto* factor = reinterpret_cast<const uint8_t*>(&weight.tensor_scale);
    planes.push_back({"tensor_scale.npy", "<f4", {1}, std::span(factor, sizeof(float)), "fp32, given at launch"});
  }
  return planes;
}

std::string DescribeType(const NormalizedOperator& op, absl::string_view name) {
  const WeightType& type = op.weight();
  std::string text(name);
  if (name != type.element.name) absl::StrAppend(&text, " (", type.element.name, ")");
  absl::StrAppend(&text,
                  type.has_scale ? absl::StrCat(", ", Name(type.scale), " scales per ", type.group) : ", no scales");
  if (type.zeros != ZeroMode::kNone) absl::StrAppend(&text, ", ", Name(type.zeros), " zeros");
  if (type.tensor_scale) text += ", a tensor scale";
  return text;
}

// The difference between what was given and what the codes are worth.
std::string DescribeError(const NormalizedOperator& op, const Matrix& matrix, const QuantizedWeight& weight) {
  double squares = 0, error_squares = 0, greatest = -1, was = 0, became = 0;
  int64_t row = 0, column = 0;
  std::vector<double> decoded(matrix.k);
  for (int64_t n = 0; n < matrix.n; n++) {
    ReferenceWeightRow(op, n, weight.codes, weight.scales, weight.zeros, decoded);
    for (int64_t k = 0; k < matrix.k; k++) {
      const double value = matrix.values[n * matrix.k + k], result = decoded[k] * weight.tensor_scale;
      const double error = std::fabs(result - value);
      squares += value * value;
      error_squares += error * error;
      if (error > greatest) greatest = error, row = n, column = k, was = value, became = result;
    }
  }
  // Of a matrix of zeros the relative error is none or beyond measure, which 0 and inf say.
  const double relative = error_squares == 0 ? 0 : std::sqrt(error_squares / squares);
  return absl::StrFormat("error: relative RMS %.6g, maximum %.6g (row %d, column %d: %.9g became %.9g)", relative,
                         greatest, row, column, was, became);
}

absl::Status WritePlane(const fs::path& path, const Plane& plane) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << NpyPreamble(plane.descr, plane.shape);
  file.write(reinterpret_cast<const char*>(plane.bytes.data()), static_cast<std::streamsize>(plane.bytes.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("output: writing ", path.string(), " failed; is the disk full, or the folder not yours?"));
}

// Before any work is done: a file of another weight beside those of this one would be taken for part of it.
absl::Status CheckFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder, error)) {
    return absl::InvalidArgumentError(absl::StrCat("output: ", folder, " can't be made a folder"));
  }
  for (const char* name : {"codes.npy", "scales.npy", "zeros.npy", "tensor_scale.npy"}) {
    if (!fs::exists(fs::path(folder) / name, error)) continue;
    return absl::AlreadyExistsError(
        absl::StrCat("output: ", folder, " has a ", name, " already; remove it or name another folder"));
  }
  return absl::OkStatus();
}

absl::Status WritePlanes(const std::string& folder, const std::vector<Plane>& planes) {
  absl::Status status;
  for (const Plane& plane : planes) {
    if (status.ok()) status = WritePlane(fs::path(folder) / plane.name, plane);
  }
  if (status.ok()) return status;
  std::error_code ignored;  // what can't be removed wasn't written
  for (const Plane& plane : planes) fs::remove(fs::path(folder) / plane.name, ignored);
  return status;
}

}  // namespace

absl::StatusOr<std::string> QuantizeFile(const tune::v1::OperatorDescriptor& op, const QuantizeJob& job) {
  const absl::StatusOr<Matrix> matrix = ReadMatrix(job.path, job.tensor);
  if (!matrix.ok()) return matrix.status();
  tune::v1::OperatorDescriptor descriptor = op;
  descriptor.set_n(matrix->n);
  descriptor.set_k(matrix->k);
  const absl::StatusOr<NormalizedOperator> normalized = NormalizeProto(descriptor);
  if (!normalized.ok()) return normalized.status();
  if (!normalized->weight().element.quantized()) {
    return absl::InvalidArgumentError(absl::StrCat("w: ", op.w(), " weights have no codes; they are used as they are"));
  }
  if (!job.folder.empty()) {
    if (absl::Status status = CheckFolder(job.folder); !status.ok()) return status;
  }
  const absl::StatusOr<QuantizedWeight> weight =
      QuantizeReference(normalized->weight(), matrix->n, matrix->k, matrix->values);
  if (!weight.ok()) return weight.status();
  std::string report =
      absl::StrCat(job.path, ": ", matrix->n, " x ", matrix->k, " ", Name(matrix->stored), "\nas ",
                   DescribeType(*normalized, op.w()), "\n", DescribeError(*normalized, *matrix, *weight), "\n");
  if (job.folder.empty()) return report;
  const std::vector<Plane> planes = PlanesOf(*normalized, *weight);
  if (absl::Status status = WritePlanes(job.folder, planes); !status.ok()) return status;
  for (const Plane& plane : planes) {
    absl::StrAppend(&report, (fs::path(job.folder) / plane.name).string(), ": ", absl::StrJoin(plane.shape, " x "),
                    ", ", plane.meaning, "\n");
  }
  return report;
}

}  // namespace ladder
