// One line that tells how far a tune is: rewritten in place on a terminal, a plain line now and then elsewhere.
#ifndef LADDER_CLIENT_TOOLS_PROGRESS_LINE_H_
#define LADDER_CLIENT_TOOLS_PROGRESS_LINE_H_

#include <cstdio>
#include <string>

#include "absl/time/time.h"

namespace ladder::tools {

class ProgressLine {
 public:
  // Plain lines come at most every two seconds, the first after two: what is quick needs none.
  ProgressLine(std::FILE* stream, bool terminal) : stream_(stream), terminal_(terminal) {}
  ~ProgressLine() { Clear(); }

  void Show(const std::string& text, absl::Time now);
  // Removes the line, so that other output can follow.
  void Clear();

 private:
  std::FILE* stream_;
  bool terminal_;
  size_t shown_ = 0;                          // characters on the terminal's line
  absl::Time last_ = absl::InfiniteFuture();  // the first call sets it
};

}  // namespace ladder::tools

#endif  // LADDER_CLIENT_TOOLS_PROGRESS_LINE_H_
