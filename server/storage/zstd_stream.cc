#include "server/storage/zstd_stream.h"

#include <zstd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

constexpr int kLevel = 3;
constexpr int kMaxWindowLog = 23;  // 8 MiB of history: what an import may make us allocate
constexpr int64_t kRatioFreeBytes = int64_t{16} << 20;
constexpr size_t kPiece = size_t{128} << 10;

}  // namespace

ZstdWriter::ZstdWriter(const ByteWriter& write) : context_(ZSTD_createCCtx()), write_(write), buffer_(kPiece, '\0') {
  ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
}

ZstdWriter::~ZstdWriter() { ZSTD_freeCCtx(context_); }

absl::Status ZstdWriter::Push(absl::string_view bytes, bool last) {
  ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
  while (true) {
    ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
    const size_t left = ZSTD_compressStream2(context_, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(left)));
    if (out.pos > 0) {
      if (absl::Status s = write_(absl::string_view(buffer_.data(), out.pos)); !s.ok()) return s;
    }
    if (last ? left == 0 : in.pos == in.size) return absl::OkStatus();
  }
}

ZstdReader::ZstdReader(const ByteReader& read, std::string first, const ImportCaps& caps)
    : context_(ZSTD_createDCtx()), read_(read), caps_(caps), input_(std::move(first)) {
  ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxWindowLog);
  packed_ = static_cast<int64_t>(input_.size());
}

ZstdReader::~ZstdReader() { ZSTD_freeDCtx(context_); }

absl::StatusOr<bool> ZstdReader::Fill() {
  buffer_.erase(0, taken_);
  taken_ = 0;
  while (!ended_) {
    if (consumed_ == input_.size()) {
      absl::StatusOr<std::string> next = read_();
      if (!next.ok()) return next.status();
      if (next->empty()) return absl::DataLossError("the export is cut off: copy it again");
      input_ = *std::move(next);
      consumed_ = 0;
      packed_ += static_cast<int64_t>(input_.size());
    }
    const size_t before = buffer_.size();
    buffer_.resize(before + kPiece);
    ZSTD_inBuffer in = {input_.data(), input_.size(), consumed_};
    ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), before};
    const size_t result = ZSTD_decompressStream(context_, &out, &in);
    buffer_.resize(out.pos);
    consumed_ = in.pos;
    if (ZSTD_isError(result)) {
      return absl::DataLossError(
          absl::StrCat("the export is damaged (", ZSTD_getErrorName(result), "): copy it again"));
    }
    unpacked_ += static_cast<int64_t>(out.pos - before);
    if (unpacked_ > caps_.total_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the export unpacks to more than ", caps_.total_bytes, " bytes, which is not accepted"));
    }
    if (unpacked_ > kRatioFreeBytes && unpacked_ / caps_.ratio > packed_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the export unpacks to more than ", caps_.ratio, " times its size, which is not accepted"));
    }
    ended_ = result == 0;
    if (out.pos > before) return true;
  }
  return false;
}

absl::StatusOr<std::string> ZstdReader::Read(size_t size) {
  while (buffer_.size() - taken_ < size) {
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) return absl::DataLossError("the export is cut off: copy it again");
  }
  std::string bytes = buffer_.substr(taken_, size);
  taken_ += size;
  return bytes;
}

absl::Status ZstdReader::ExpectEnd() {
  const absl::Status more = absl::DataLossError("the export goes on after its end: copy it again");
  if (taken_ < buffer_.size()) return more;
  if (!ended_) {
    const absl::StatusOr<bool> filled = Fill();
    if (!filled.ok()) return filled.status();
    if (*filled) return more;
  }
  if (consumed_ < input_.size()) return more;
  const absl::StatusOr<std::string> rest = read_();
  if (!rest.ok()) return rest.status();
  return rest->empty() ? absl::OkStatus() : more;
}

}  // namespace ladder
