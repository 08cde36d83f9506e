// Protobuf tells standard error about every text that isn't UTF-8, which mutated ones mostly aren't.
#ifndef LADDER_TESTS_FUZZ_QUIET_PROTOBUF_H_
#define LADDER_TESTS_FUZZ_QUIET_PROTOBUF_H_

#include <google/protobuf/stubs/logging.h>

namespace ladder {

inline const bool kQuietProtobuf = (google::protobuf::SetLogHandler(nullptr), true);

}  // namespace ladder

#endif  // LADDER_TESTS_FUZZ_QUIET_PROTOBUF_H_
