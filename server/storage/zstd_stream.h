// zstd over callbacks, with the caps that outside bytes need.
#ifndef LADDER_SERVER_STORAGE_ZSTD_STREAM_H_
#define LADDER_SERVER_STORAGE_ZSTD_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/storage/bundle.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace ladder {

class ZstdWriter {
 public:
  explicit ZstdWriter(const ByteWriter& write);
  ~ZstdWriter();
  absl::Status Write(absl::string_view bytes) { return Push(bytes, /*last=*/false); }
  absl::Status Finish() { return Push("", /*last=*/true); }

 private:
  absl::Status Push(absl::string_view bytes, bool last);
  ZSTD_CCtx_s* context_;
  const ByteWriter& write_;
  std::string buffer_;
};

class ZstdReader {
 public:
  // `first` are bytes that were read already.
  ZstdReader(const ByteReader& read, std::string first, const ImportCaps& caps);
  ~ZstdReader();
  // Exactly `size` bytes. DataLoss if the stream ends before or is damaged, ResourceExhausted beyond the caps.
  absl::StatusOr<std::string> Read(size_t size);
  // DataLoss unless the stream ends here.
  absl::Status ExpectEnd();

 private:
  // Adds to `buffer_`; false at the end.
  absl::StatusOr<bool> Fill();
  ZSTD_DCtx_s* context_;
  const ByteReader& read_;
  const ImportCaps caps_;
  std::string input_;
  size_t consumed_ = 0;  // of input_
  std::string buffer_;   // unpacked, from taken_ on not yet given out
  size_t taken_ = 0;
  int64_t packed_ = 0, unpacked_ = 0;
  bool ended_ = false;  // the zstd frame is complete
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_ZSTD_STREAM_H_
