#include "server/offline/npy.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace ladder {
namespace {

absl::Status BadNpy(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("its header ", what)); }

// Takes `token` and the white space around it.
bool Take(absl::string_view& text, absl::string_view token) {
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(text);
  if (!absl::ConsumePrefix(&rest, token)) return false;
  text = absl::StripLeadingAsciiWhitespace(rest);
  return true;
}

// Takes a quoted text; nothing in these headers needs an escape.
bool TakeText(absl::string_view& text, std::string& value) {
  const absl::string_view quote = text.substr(0, 1);
  if (quote != "'" && quote != "\"") return false;
  const size_t end = text.find(quote, 1);
  if (end == absl::string_view::npos) return false;
  value = std::string(text.substr(1, end - 1));
  text = absl::StripLeadingAsciiWhitespace(text.substr(end + 1));
  return true;
}

bool TakeTruth(absl::string_view& text, bool& value) {
  value = absl::StartsWith(text, "True");
  return Take(text, "True") || Take(text, "False");
}

bool TakeShape(absl::string_view& text, std::vector<int64_t>& shape) {
  if (!Take(text, "(")) return false;
  shape.clear();
  while (!Take(text, ")")) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    int64_t extent = 0;
    if (!absl::SimpleAtoi(text.substr(0, digits), &extent)) return false;  // also where it is beyond 64 bits
    shape.push_back(extent);
    text.remove_prefix(digits);
    if (!Take(text, ",") && !absl::StartsWith(text, ")")) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text) {
  NpyHeader header;
  bool has_descr = false, has_order = false, has_shape = false;
  if (!Take(text, "{")) return BadNpy("is not a dictionary");
  while (!Take(text, "}")) {
    std::string key;
    if (!TakeText(text, key) || !Take(text, ":")) return BadNpy("is not a dictionary of texts");
    bool good = false;
    if (key == "descr") {
      good = has_descr = TakeText(text, header.descr);
    } else if (key == "fortran_order") {
      good = has_order = TakeTruth(text, header.fortran_order);
    } else if (key == "shape") {
      good = has_shape = TakeShape(text, header.shape);
    }
    if (!good) return BadNpy(absl::StrCat("has a \"", absl::CHexEscape(key), "\" that can't be understood"));
    if (!Take(text, ",") && !absl::StartsWith(text, "}")) return BadNpy("is not a dictionary of texts");
  }
  if (!text.empty()) return BadNpy("goes on after its dictionary");
  if (!has_descr || !has_order || !has_shape) return BadNpy("lacks one of descr, fortran_order and shape");
  return header;
}

std::string NpyPreamble(absl::string_view descr, const std::vector<int64_t>& shape) {
  std::string text = absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                                  absl::StrJoin(shape, ", "), shape.size() == 1 ? ",), }" : "), }");
  // The data starts at a multiple of 64 bytes, after a line's end: 6 of magic, 2 of version, 2 of length.
  constexpr size_t kBefore = 10, kAlignment = 64;
  const size_t length = (kBefore + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment - kBefore;
  text.resize(length - 1, ' ');
  text += '\n';
  std::string preamble(kNpyMagic);
  for (const size_t byte : {size_t{1}, size_t{0}, length % 256, length / 256}) preamble += static_cast<char>(byte);
  return preamble + text;
}

}  // namespace ladder
