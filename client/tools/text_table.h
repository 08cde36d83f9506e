// Columns for people: numbers to the right, words to the left.
#ifndef LADDER_CLIENT_TOOLS_TEXT_TABLE_H_
#define LADDER_CLIENT_TOOLS_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace ladder::tools {

class TextTable {
 public:
  enum class Align { kLeft, kRight };

  TextTable& Column(std::string title, Align align = Align::kRight);
  // One cell per column; missing ones are empty.
  void Row(std::vector<std::string> cells);
  // Title line, a rule, the rows; no trailing blanks.
  std::string ToString() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<std::string> titles_;
  std::vector<Align> aligns_;
  std::vector<std::vector<std::string>> rows_;
};

// Three or so significant digits: "0.53", "8.41", "147", "-" for 0 or less.
std::string Digits(double value);
// "412 B", "3.4 KiB", "1.2 GiB".
std::string HumanBytes(long long bytes);
// "12 ms", "3.41 s", "2 min 5 s".
std::string HumanMilliseconds(double milliseconds);

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_TEXT_TABLE_H_
