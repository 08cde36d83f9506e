// The canonical encoding of keys, and texts of targets: no two lists of fields share an encoding.
#include <utility>

#include "core/store/keys.h"
#include "core/target/target.h"
#include "tests/fuzz/fuzz.h"

namespace ladder {
namespace {

// Fields as an input says them: a zero byte ends a tag, another its value.
using Fields = std::vector<std::pair<std::string, std::string>>;

Fields ReadFields(const std::string& text, char end) {
  Fields fields;
  size_t at = 0;
  while (at < text.size()) {
    const size_t tag_end = std::min(text.find(end, at), text.size());
    const size_t value_begin = std::min(tag_end + 1, text.size());
    const size_t value_end = std::min(text.find(end, value_begin), text.size());
    fields.emplace_back(text.substr(at, tag_end - at), text.substr(value_begin, value_end - value_begin));
    at = value_end + 1;
  }
  return fields;
}

std::string Encode(const Fields& fields) {
  CanonicalText text("fuzz 1");
  for (const auto& [tag, value] : fields) text.Field(tag, value);
  return text.text();
}

// Tags are the program's own words; callers choose values.
bool IsTag(const std::string& tag) {
  return !tag.empty() && tag.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {"tag;value;other;1\ntag=5:value", "a;b=1:c\nd;e;=2:xy;f;g", Target::FromName("h200")->ToString(),
          Target::FromName("rtx5090")->ToString()};
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  const std::string text = FuzzInput(data, size);
  if (const absl::StatusOr<Target> target = Target::Parse(text); target.ok()) {
    const absl::StatusOr<Target> again = Target::Parse(target->ToString());
    FUZZ_CHECK(again.ok() && again->ToString() == target->ToString());
  }
  // The same bytes cut up in two ways: different lists, so different encodings.
  const Fields one = ReadFields(text, ';');
  const Fields two = ReadFields(text, '\n');
  for (const Fields& fields : {one, two}) {
    for (const auto& [tag, value] : fields) {
      if (!IsTag(tag)) return 0;
    }
  }
  FUZZ_CHECK((one == two) == (Encode(one) == Encode(two)));
  if (!one.empty()) {
    // A value can't pretend to be a field of its own.
    Fields merged = one;
    merged.back().second += "\nx=1:y";
    Fields split = one;
    split.emplace_back("x", "y");
    FUZZ_CHECK(Encode(merged) != Encode(split));
  }
  return 0;
}
