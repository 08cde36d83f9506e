// Batches of look-ups, taken apart without protobuf's parser: its items, or both refuse.
#include <google/protobuf/io/coded_stream.h>

#include <optional>
#include <string_view>

#include "ladder/tune/v1/service.pb.h"
#include "server/convert/proto_convert.h"
#include "server/grpc/raw_message.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"
#include "tests/server/storage/sample_records.h"

namespace ladder {
namespace {

// Within a batch, an item is one message deeper than by itself.
constexpr int kItemDepth = 99;

bool ParseItem(std::string_view bytes, tune::v1::LookupRequest& item) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(kItemDepth);
  return item.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

// As the service does. Nothing if that is no batch.
std::optional<tune::v1::BatchLookupRequest> ParsePieces(std::string_view bytes) {
  const std::optional<std::vector<std::string_view>> pieces = SplitMessages(bytes);
  if (!pieces.has_value()) return std::nullopt;
  tune::v1::BatchLookupRequest batch;
  const char* before = bytes.data();
  for (const std::string_view piece : *pieces) {
    FUZZ_CHECK(piece.data() >= before && piece.data() + piece.size() <= bytes.data() + bytes.size());
    before = piece.data() + piece.size();
    if (!ParseItem(piece, *batch.add_requests())) return std::nullopt;
  }
  return batch;
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  tune::v1::BatchLookupRequest batch;
  std::vector<std::string> seeds = {""};
  for (const char* w : {"nf4", "uint4", "fp16"}) {
    tune::v1::LookupRequest& request = *batch.add_requests();
    OperatorDescriptor descriptor = SampleDescriptor(8192, w);
    descriptor.m = {{1, 4096}};
    *request.mutable_op() = ToProto(descriptor);
    request.set_target("h200");
    request.set_on_miss(tune::v1::ON_MISS_TUNE);
    seeds.push_back(batch.SerializeAsString());
  }
  // What a newer client may send: a number, eight bytes, a text, a group with a field, four bytes.
  seeds.push_back(seeds.back() +
                  "\x10\x96\x01\x11"
                  "12345678"
                  "\x1a\x02"
                  "ab"
                  "\x23\x0a\x01q\x24\x2d"
                  "1234");
  seeds.push_back("\x0a\x02\x2b\x2c\x13\x13\x14\x14");
  return seeds;
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  const std::string bytes = FuzzInput(data, size);
  tune::v1::BatchLookupRequest whole;
  const bool is_batch = whole.ParseFromString(bytes);
  const std::optional<tune::v1::BatchLookupRequest> pieces = ParsePieces(bytes);
  FUZZ_CHECK(is_batch == pieces.has_value());
  if (!is_batch) return 0;
  FUZZ_CHECK(whole.requests_size() == pieces->requests_size());
  for (int i = 0; i < whole.requests_size(); ++i) {
    FUZZ_CHECK(whole.requests(i).SerializeAsString() == pieces->requests(i).SerializeAsString());
  }
  return 0;
}
