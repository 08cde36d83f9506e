#include "server/serving/spool_file.h"

#include <algorithm>

namespace ladder {

absl::StatusOr<std::unique_ptr<SpoolFile>> SpoolFile::Make(const std::string& folder) {
  absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Create(folder);
  if (!spool.ok()) return spool.status();
  return std::unique_ptr<SpoolFile>(new SpoolFile(*std::move(spool)));
}

absl::Status SpoolFile::Write(absl::string_view bytes) {
  const absl::StatusOr<Spool::Piece> piece = spool_->Append(bytes);
  if (!piece.ok()) return piece.status();
  written_ += piece->size;
  return absl::OkStatus();
}

absl::StatusOr<std::string> SpoolFile::Read(size_t limit) {
  const Spool::Piece next = {read_, std::min(static_cast<int64_t>(limit), written_ - read_)};
  absl::StatusOr<std::string> bytes = spool_->Read(next);
  if (bytes.ok()) read_ += next.size;
  return bytes;
}

}  // namespace ladder
