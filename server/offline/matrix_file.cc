#include "server/offline/matrix_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/operator/operator.h"
#include "server/offline/npy.h"
#include "server/offline/safetensors.h"

namespace ladder {
namespace {

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Where a matrix lies in its file.
struct Place {
  DataType type = DataType::kF32;
  std::vector<int64_t> shape;
  int64_t begin = 0, bytes = 0;
};

// Little-endian, as both formats have their lengths. REQUIRES: at most 8 bytes.
uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

absl::StatusOr<std::string> ReadBytes(std::ifstream& file, int64_t begin, int64_t bytes) {
  std::string text(bytes, '\0');
  if (!file.seekg(begin) || !file.read(text.data(), bytes)) return Bad("reading it failed");
  return text;
}

// Reads and bounds a header of `length_bytes` of length at `at`, then the header itself.
absl::StatusOr<std::string> ReadHeader(std::ifstream& file, int64_t size, int64_t at, int64_t length_bytes,
                                       int64_t limit) {
  if (at + length_bytes > size) return Bad("it ends before its header");
  const absl::StatusOr<std::string> length = ReadBytes(file, at, length_bytes);
  if (!length.ok()) return length.status();
  const uint64_t bytes = LittleEndian(*length);
  const auto most = static_cast<uint64_t>(std::min(limit, size - at - length_bytes));
  if (bytes > most) {
    return Bad(absl::StrCat("it says that its header has ", bytes, " bytes, and at most ", most, " can be"));
  }
  return ReadBytes(file, at + length_bytes, static_cast<int64_t>(bytes));
}

absl::StatusOr<Place> FindInNpy(std::ifstream& file, int64_t size) {
  constexpr int64_t kLimit = 1 << 20;  // far more than a matrix needs
  const absl::StatusOr<std::string> version = ReadBytes(file, kNpyMagic.size(), 2);
  if (!version.ok()) return version.status();
  const int major = static_cast<uint8_t>((*version)[0]);
  if (major < 1 || major > 3) return Bad(absl::StrCat("version ", major, " of the .npy format is not known"));
  const int64_t at = static_cast<int64_t>(kNpyMagic.size()) + 2, length_bytes = major == 1 ? 2 : 4;
  const absl::StatusOr<std::string> text = ReadHeader(file, size, at, length_bytes, kLimit);
  if (!text.ok()) return text.status();
  const absl::StatusOr<NpyHeader> header = ParseNpyHeader(*text);
  if (!header.ok()) return header.status();
  Place place;
  if (header->descr != "<f4" && header->descr != "<f2") {
    return Bad(absl::StrCat("its type is \"", absl::CHexEscape(header->descr), "\"; \"<f4\" and \"<f2\" are read"));
  }
  if (header->fortran_order) return Bad("it is column-major; save numpy.ascontiguousarray of it");
  place.type = header->descr == "<f4" ? DataType::kF32 : DataType::kF16;
  place.shape = header->shape;
  place.begin = at + length_bytes + static_cast<int64_t>(text->size());
  place.bytes = size - place.begin;
  return place;
}

absl::StatusOr<Place> FindInSafetensors(std::ifstream& file, int64_t size, const std::string& name) {
  constexpr int64_t kLengthBytes = 8;
  const absl::StatusOr<std::string> header = ReadHeader(file, size, 0, kLengthBytes, kMaxSafetensorsHeader);
  if (!header.ok()) {
    return Bad(absl::StrCat("it is neither an .npy nor a .safetensors file: ", header.status().message()));
  }
  const int64_t data = kLengthBytes + static_cast<int64_t>(header->size());
  const absl::StatusOr<TensorEntry> tensor = FindTensor(*header, size - data, name);
  if (!tensor.ok()) return tensor.status();
  Place place = {.shape = tensor->shape, .begin = data + tensor->begin, .bytes = tensor->end - tensor->begin};
  if (tensor->dtype == "F32") {
    place.type = DataType::kF32;
  } else if (tensor->dtype == "F16") {
    place.type = DataType::kF16;
  } else if (tensor->dtype == "BF16") {
    place.type = DataType::kBF16;
  } else {
    return Bad(
        absl::StrCat("the tensor's type is \"", absl::CHexEscape(tensor->dtype), "\"; F32, F16 and BF16 are read"));
  }
  return place;
}

// That the shape is a weight's and the data has its size.
absl::Status CheckPlace(const Place& place) {
  const std::string shape = absl::StrCat("[", absl::StrJoin(place.shape, ", "), "]");
  if (place.shape.size() != 2) return Bad(absl::StrCat("its shape is ", shape, ", and a weight's is [N, K]"));
  const int64_t n = place.shape[0], k = place.shape[1];
  if (n < 1 || k < 1 || n > kMaxDimension || k > kMaxDimension) {
    return Bad(absl::StrCat("its shape is ", shape, ", and N and K are from 1 to ", kMaxDimension));
  }
  if (n * k > kMaxMatrixValues) {
    return Bad(absl::StrCat("its shape is ", shape, ", more than ", kMaxMatrixValues, " values"));
  }
  const int64_t needed = n * k * Bytes(place.type);
  if (needed == place.bytes) return absl::OkStatus();
  return Bad(absl::StrCat("its shape ", shape, " of ", Name(place.type), " takes ", needed, " bytes, and ", place.bytes,
                          " are there"));
}

// By rows, so that the file's bytes and the values are not both in memory.
absl::StatusOr<Matrix> ReadValues(std::ifstream& file, const Place& place) {
  Matrix matrix = {.stored = place.type, .n = place.shape[0], .k = place.shape[1]};
  matrix.values.reserve(matrix.n * matrix.k);
  if (!file.seekg(place.begin)) return Bad("reading it failed");
  std::vector<char> row(matrix.k * Bytes(place.type));
  for (int64_t n = 0; n < matrix.n; n++) {
    if (!file.read(row.data(), static_cast<std::streamsize>(row.size()))) return Bad("reading it failed");
    for (int64_t k = 0; k < matrix.k; k++) {
      const float value = LoadElement(place.type, row.data(), k);
      if (!std::isfinite(value)) {
        return Bad(absl::StrCat("row ", n, ", column ", k, " (from 0) is ", value, ", which has no code"));
      }
      matrix.values.push_back(value);
    }
  }
  return matrix;
}

absl::StatusOr<Matrix> Read(const std::string& path, const std::string& tensor) {
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return Bad("it can't be read");
  // Magic, version and length; a .safetensors file is at least this long too, but says so itself.
  constexpr int64_t kLeastNpy = 10;
  const absl::StatusOr<std::string> start = ReadBytes(file, 0, std::min<int64_t>(size, kNpyMagic.size()));
  if (!start.ok()) return start.status();
  const bool npy = *start == kNpyMagic;
  if (npy && size < kLeastNpy) return Bad("it ends before its header");
  if (npy && !tensor.empty()) return Bad("an .npy file has one matrix, without a name; leave --tensor out");
  const absl::StatusOr<Place> place = npy ? FindInNpy(file, size) : FindInSafetensors(file, size, tensor);
  if (!place.ok()) return place.status();
  if (absl::Status status = CheckPlace(*place); !status.ok()) return status;
  return ReadValues(file, *place);
}

}  // namespace

absl::StatusOr<Matrix> ReadMatrix(const std::string& path, const std::string& tensor) {
  absl::StatusOr<Matrix> matrix = Read(path, tensor);
  if (matrix.ok()) return matrix;
  return absl::Status(matrix.status().code(), absl::StrCat("quantize: ", path, ": ", matrix.status().message()));
}

}  // namespace ladder
