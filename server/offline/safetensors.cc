#include "server/offline/safetensors.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

using nlohmann::json;

absl::Status BadSafetensors(absl::string_view what) { return absl::InvalidArgumentError(what); }

// As a JSON text, so that what a file calls its tensors can't write to a terminal.
std::string Quoted(const std::string& text) {
  return json(text).dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
}

std::string SomeNames(const json& document) {
  constexpr int kAtMost = 8;
  std::string text;
  int tensors = 0;
  for (const auto& [name, entry] : document.items()) {
    if (name == "__metadata__") continue;
    if (tensors++ < kAtMost) absl::StrAppend(&text, tensors > 1 ? ", " : "", Quoted(name));
  }
  if (tensors == 0) return "it has no tensors";
  return absl::StrCat("it has ", text, tensors > kAtMost ? absl::StrCat(" and ", tensors - kAtMost, " more") : "");
}

bool TakeNumber(const json& value, int64_t& number) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<int64_t>::max()) return false;
  number = value.get<int64_t>();
  return true;
}

bool TakeNumbers(const json& entry, const char* key, std::vector<int64_t>& numbers) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array()) return false;
  for (const json& value : *list) {
    if (!TakeNumber(value, numbers.emplace_back())) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<TensorEntry> FindTensor(absl::string_view header, int64_t data_bytes, const std::string& name) {
  const json document = json::parse(header, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return BadSafetensors("its header is not a JSON object");
  auto found = document.find(name);
  if (name.empty()) {
    found = document.begin();
    if (found != document.end() && found.key() == "__metadata__") ++found;
    const size_t tensors = document.size() - document.count("__metadata__");
    if (tensors != 1) return BadSafetensors(absl::StrCat("name a tensor by --tensor; ", SomeNames(document)));
  }
  if (found == document.end() || found.key() == "__metadata__") {
    return BadSafetensors(absl::StrCat("there is no tensor ", Quoted(name), "; ", SomeNames(document)));
  }
  const std::string tensor = absl::StrCat("tensor ", Quoted(found.key()), " ");
  if (!found->is_object()) return BadSafetensors(tensor + "is not described by an object");
  TensorEntry entry;
  const auto dtype = found->find("dtype");
  if (dtype == found->end() || !dtype->is_string()) return BadSafetensors(tensor + "has no dtype");
  entry.dtype = dtype->get<std::string>();
  if (!TakeNumbers(*found, "shape", entry.shape)) return BadSafetensors(tensor + "has no shape of whole numbers");
  std::vector<int64_t> offsets;
  if (!TakeNumbers(*found, "data_offsets", offsets) || offsets.size() != 2) {
    return BadSafetensors(tensor + "has no data_offsets of two whole numbers");
  }
  entry.begin = offsets[0], entry.end = offsets[1];
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return BadSafetensors(absl::StrCat(tensor, "lies in bytes ", entry.begin, " to ", entry.end,
                                       " of the data, and the file has ", data_bytes));
  }
  return entry;
}

}  // namespace ladder
