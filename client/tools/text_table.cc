#include "client/tools/text_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ladder::tools {

TextTable& TextTable::Column(std::string title, Align align) {
  titles_.push_back(std::move(title));
  aligns_.push_back(align);
  return *this;
}

void TextTable::Row(std::vector<std::string> cells) {
  cells.resize(titles_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::ToString() const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < titles_.size(); column++) {
    size_t width = titles_[column].size();
    for (const std::vector<std::string>& row : rows_) width = std::max(width, row[column].size());
    widths.push_back(width);
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t column = 0; column < cells.size(); column++) {
      const std::string blanks(widths[column] - cells[column].size(), ' ');
      if (column > 0) text += "  ";
      text += aligns_[column] == Align::kRight ? blanks + cells[column] : cells[column] + blanks;
    }
    absl::StripTrailingAsciiWhitespace(&text);
    return text + "\n";
  };
  std::string text = line(titles_);
  size_t total = 2 * (widths.empty() ? 0 : widths.size() - 1);
  for (size_t width : widths) total += width;
  absl::StrAppend(&text, std::string(total, '-'), "\n");
  for (const std::vector<std::string>& row : rows_) text += line(row);
  return text;
}

std::string Digits(double value) {
  if (!(value > 0)) return "-";
  if (value < 10) return absl::StrFormat("%.2f", value);
  if (value < 100) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.0f", value);
}

std::string HumanBytes(long long bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    unit++;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string HumanMilliseconds(double milliseconds) {
  if (milliseconds < 1000) return absl::StrFormat("%.0f ms", milliseconds);
  if (milliseconds < 120'000) return absl::StrFormat("%.2f s", milliseconds / 1000);
  const long long seconds = static_cast<long long>(milliseconds / 1000);
  return absl::StrFormat("%d min %d s", seconds / 60, seconds % 60);
}

}  // namespace ladder::tools
