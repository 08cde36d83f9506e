#include "tests/schedules/operators.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

// A table that no built-in has: out of order, a value twice, of both signs in no symmetry, some that fp16 and bf16
// round.
ElementDefinition UsersTable(int bits) {
  std::vector<float> table = {0.3f, -4, 2.5f, 7, -0.1f, 0, 1, -1, 0.3f, 12, -6.5f, 0.01f, 5, 3.14159f, -2, 0.75f};
  while (table.size() < size_t{1} << bits) table.push_back(static_cast<float>(table.size() * 37 % 101) * 0.17f - 8.5f);
  table.resize(size_t{1} << bits);
  return {.bits = bits, .table = table, .layout = {}};
}

std::vector<std::string> Pairs(const Candidate& candidate) {
  std::vector<std::string> values, pairs;
  for (const auto& [name, value] : candidate.parameters) values.push_back(absl::StrCat(name, "=", value));
  for (size_t i = 0; i < values.size(); ++i) {
    pairs.push_back(values[i]);
    for (size_t j = i + 1; j < values.size(); ++j) pairs.push_back(absl::StrCat(values[i], " ", values[j]));
  }
  return pairs;
}

}  // namespace

std::vector<NormalizedOperator> ReadOperators(const std::string& file) {
  std::vector<NormalizedOperator> operators;
  std::ifstream stream(absl::StrCat(LADDER_SOURCE_ROOT, "/tests/schedules/", file));
  EXPECT_TRUE(stream) << file;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    OperatorDescriptor d;
    std::string group;
    words >> d.w >> d.zeros >> d.a >> d.scale >> d.out >> group >> d.bias >> d.n >> d.k;
    EXPECT_TRUE(words) << line;
    for (std::string word; words >> word;) {
      if (word.starts_with("act=")) {
        d.act = word.substr(4);
      } else if (word.starts_with("a_scale=")) {
        d.a_scale = word.substr(8);
      } else if (word == "tensor_scale") {
        d.tensor_scale = true;
      } else {
        EXPECT_TRUE(word == "output_scale" || word == "residual") << line;
        (word == "residual" ? d.residual : d.output_scale) = true;
      }
    }
    if (d.w == "mine") d.element = UsersTable(4);
    if (d.w.starts_with("mine") && d.w.size() == 5) d.element = UsersTable(d.w[4] - '0');
    if (d.scale == "-") d.scale = d.zeros = "";
    if (group != "-") d.group = std::stoll(group);
    const absl::StatusOr<NormalizedOperator> op = Normalize(d);
    EXPECT_TRUE(op.ok()) << line << ": " << op.status();
    if (op.ok()) operators.push_back(*op);
  }
  return operators;
}

std::vector<Candidate> PickCandidates(const std::vector<Candidate>& all, size_t count, PairCoverage& coverage) {
  std::vector<Candidate> picked;
  while (picked.size() < std::min(count, all.size())) {
    const Candidate* best = nullptr;
    long best_new = 0;
    for (const Candidate& candidate : all) {
      if (std::find(picked.begin(), picked.end(), candidate) != picked.end()) continue;
      long fresh = 0;
      for (const std::string& pair : Pairs(candidate)) {
        // A value never seen outweighs any number of pairs.
        if (!std::binary_search(coverage.seen.begin(), coverage.seen.end(), pair)) {
          fresh += pair.find(' ') == std::string::npos ? 1000 : 1;
        }
      }
      if (best == nullptr || fresh > best_new) best = &candidate, best_new = fresh;
    }
    if (best == nullptr) break;
    for (std::string& pair : Pairs(*best)) {
      auto at = std::lower_bound(coverage.seen.begin(), coverage.seen.end(), pair);
      if (at == coverage.seen.end() || *at != pair) coverage.seen.insert(at, pair);
    }
    picked.push_back(*best);
  }
  return picked;
}

}  // namespace ladder
