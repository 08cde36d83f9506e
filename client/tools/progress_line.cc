#include "client/tools/progress_line.h"

#include <algorithm>

namespace ladder::tools {

void ProgressLine::Show(const std::string& text, absl::Time now) {
  if (!terminal_) {
    if (last_ == absl::InfiniteFuture()) last_ = now;
    if (now - last_ < absl::Seconds(2)) return;
    last_ = now;
    std::fprintf(stream_, "%s\n", text.c_str());
    std::fflush(stream_);
    return;
  }
  // One row at most: a wrapped line can't be rewritten.
  const std::string line = text.substr(0, 118);
  const std::string blanks(shown_ > line.size() ? shown_ - line.size() : 0, ' ');
  std::fprintf(stream_, "\r%s%s", line.c_str(), blanks.c_str());
  std::fflush(stream_);
  shown_ = line.size();
}

void ProgressLine::Clear() {
  if (shown_ == 0) return;
  std::fprintf(stream_, "\r%s\r", std::string(shown_, ' ').c_str());
  std::fflush(stream_);
  shown_ = 0;
}

}  // namespace ladder::tools
