#include "core/schedule/support_matrix.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/schedule/format_axes.h"
#include "core/schedule/nearest_served.h"

namespace ladder {
namespace {

// The shape asked about: every group of GroupSizes divides it, and it is aligned as models' are.
constexpr int64_t kN = 4096, kK = 4096;
// Both sides of where the decode schedule ends, and the ends of what is tuned.
constexpr int64_t kRows[] = {1, 16, 17, 4096};

constexpr char kNothing[] = "-";
constexpr char kEverything[] = "yes";

// Parts with what holds for each; parts of which the same holds come together, in the order of the first of them.
using Said = std::vector<std::pair<std::string, std::string>>;

Said Merge(const Said& said) {
  Said merged;
  for (const auto& [part, holds] : said) {
    if (holds.empty()) continue;
    const auto same = std::ranges::find(merged, holds, &Said::value_type::second);
    if (same == merged.end()) {
      merged.emplace_back(part, holds);
    } else {
      absl::StrAppend(&same->first, ", ", part);
    }
  }
  return merged;
}

// At which M of kRows it is served: "" for none, "any M", or a list.
std::string RowsText(const ScheduleCatalog& catalog, const OperatorDescriptor& d, const Target& target) {
  const absl::StatusOr<NormalizedOperator> op = Normalize(d);
  if (!op.ok()) return "";
  std::vector<int64_t> served;
  for (const int64_t m : kRows) {
    if (IsServed(catalog, *op, m, target)) served.push_back(m);
  }
  if (served.size() == std::size(kRows)) return "any M";
  return served.empty() ? "" : absl::StrCat("M of ", absl::StrJoin(served, ", "));
}

// "per 16, 32, channel", and at which M where it isn't any.
std::string JoinRows(const Said& said) {
  return absl::StrJoin(Merge(said), "; ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, entry.second == "any M" ? "" : absl::StrCat(" (", entry.second, ")"));
  });
}

// What is served with one scale type and zero mode, in words; "" if nothing.
std::string GroupsText(const std::map<std::pair<bool, int64_t>, std::string>& rows) {
  Said plain, tensor;
  for (const auto& [key, text] : rows) {
    const std::string group = key.second == -1 ? "channel" : absl::StrCat(key.second);
    (key.first ? tensor : plain).emplace_back(group, text);
  }
  // The channel is the largest group.
  for (Said* said : {&plain, &tensor}) std::rotate(said->begin(), said->begin() + (said->empty() ? 0 : 1), said->end());
  const std::string alone = JoinRows(plain), with = JoinRows(tensor);
  if (alone == with && !alone.empty()) return absl::StrCat("per ", alone, ", with or without a tensor scale");
  if (with.empty()) return alone.empty() ? "" : absl::StrCat("per ", alone);
  return absl::StrCat(alone.empty() ? "" : absl::StrCat("per ", alone, "; "), "with a tensor scale per ", with);
}

std::string JoinClauses(const Said& said, absl::string_view lead) {
  return absl::StrJoin(Merge(said), "; ", [&](std::string* out, const auto& entry) {
    absl::StrAppend(out, lead, entry.first, ": ", entry.second);
  });
}

// Of an element with one activation.
std::string ElementText(const ScheduleCatalog& catalog, const WeightCase& weight, const std::string& activation,
                        const Target& target) {
  // scale, zeros -> tensor scale, group -> M
  std::map<std::string, std::map<std::string, std::map<std::pair<bool, int64_t>, std::string>>> rows;
  std::map<bool, std::string> unscaled;
  for (const OperatorDescriptor& d : FormatCells(weight, activation, kN, kK)) {
    std::string text = RowsText(catalog, d, target);
    if (d.scale == "none") {
      unscaled[d.tensor_scale] = std::move(text);
    } else {
      rows[d.scale][d.zeros][{d.tensor_scale, d.group.value_or(-1)}] = std::move(text);
    }
  }
  Said scales;
  for (const std::string& scale : ScaleNames()) {
    Said zeros;
    for (const std::string& mode : ZeroModeNames()) zeros.emplace_back(mode, GroupsText(rows[scale][mode]));
    const Said merged = Merge(zeros);
    if (merged.empty()) continue;
    const bool none_alone = merged.size() == 1 && merged[0].first == "none";
    scales.emplace_back(scale, none_alone ? merged[0].second : JoinClauses(zeros, "zeros "));
  }
  std::string text = JoinClauses(scales, "scales ");
  const std::string alone = JoinRows({{"no scales", unscaled[false]}, {"a tensor scale alone", unscaled[true]}});
  if (!alone.empty()) absl::StrAppend(&text, text.empty() ? "" : "; ", alone);
  return text.empty() ? kNothing : text;
}

std::string CellText(const ScheduleCatalog& catalog, const WeightCase& weight, const std::string& activation,
                     const Target& target) {
  if (!weight.plain && !weight.named) return ElementText(catalog, weight, activation, target);
  const std::string rows = RowsText(catalog, FormatCells(weight, activation, kN, kK).front(), target);
  return rows.empty() ? kNothing : rows == "any M" ? kEverything : rows;
}

// "int1", "int2", "int3" -> "int1 to int3"; names without a number at their end stay.
std::string JoinNames(const std::vector<std::string>& names) {
  const auto split = [](const std::string& name) {
    const size_t digits = name.find_last_not_of("0123456789") + 1;
    int number = -1;
    return std::pair(name.substr(0, digits), absl::SimpleAtoi(name.substr(digits), &number) ? number : -1);
  };
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < names.size();) {
    size_t end = begin + 1;
    const auto [stem, number] = split(names[begin]);
    while (end < names.size() && number >= 0 &&
           split(names[end]) == std::pair(stem, number + static_cast<int>(end - begin))) {
      end++;
    }
    if (end - begin < 3) end = begin + 1;
    parts.push_back(end == begin + 1 ? names[begin] : absl::StrCat(names[begin], " to ", names[end - 1]));
    begin = end;
  }
  return absl::StrJoin(parts, ", ");
}

std::string TargetTable(const ScheduleCatalog& catalog, const Target& target) {
  const std::vector<std::string> activations = ActivationNames();
  std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> rows;  // cells, weights
  for (const WeightCase& weight : WeightCases()) {
    std::vector<std::string> cells;
    cells.reserve(activations.size());
    for (const std::string& activation : activations) cells.push_back(CellText(catalog, weight, activation, target));
    const auto same = std::ranges::find(rows, cells, [](const auto& row) { return row.first; });
    if (same == rows.end()) {
      rows.push_back({cells, {weight.name}});
    } else {
      same->second.push_back(weight.name);
    }
  }
  const auto unserved = [](const auto& row) {
    return std::ranges::all_of(row.first, [](const std::string& cell) { return cell == kNothing; });
  };
  if (std::ranges::all_of(rows, unserved)) return " nothing is served.\n";
  std::stable_partition(rows.begin(), rows.end(), [&](const auto& row) { return !unserved(row); });
  std::vector<std::string> notes;
  std::string table = absl::StrCat("\n\n| weights | ", absl::StrJoin(activations, " | "), " |\n|---|",
                                   absl::StrJoin(std::vector<std::string>(activations.size(), "---"), "|"), "|\n");
  for (const auto& [cells, names] : rows) {
    absl::StrAppend(&table, "| ", JoinNames(names), " |");
    for (const std::string& cell : cells) {
      if (cell == kNothing || cell == kEverything) {
        absl::StrAppend(&table, " ", cell, " |");
        continue;
      }
      const auto note = std::ranges::find(notes, cell) - notes.begin();
      if (note == std::ssize(notes)) notes.push_back(cell);
      absl::StrAppend(&table, " ", note + 1, " |");
    }
    table += "\n";
  }
  if (!notes.empty()) table += "\n";
  for (size_t i = 0; i < notes.size(); i++) absl::StrAppend(&table, i + 1, ". ", notes[i], "\n");
  return table;
}

}  // namespace

std::string SupportMatrix(const ScheduleCatalog& catalog, const std::vector<Target>& targets) {
  Said tables;
  for (const Target& target : targets) tables.emplace_back(target.arch, TargetTable(catalog, target));
  const std::string text = absl::StrJoin(Merge(tables), "\n", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, "On ", entry.first, ":", entry.second);
  });
  return absl::StrCat("Weights by activations; tableB is a table of your own for codes of B bits.\n\n", text);
}

std::vector<Target> EveryArchitecture() {
  std::vector<Target> targets;
  for (const std::string& name : Target::Names()) {
    Target target = *Target::FromName(name);
    if (target.arch == name) targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace ladder
