// A weight matrix of a file, quantised.
#ifndef LADDER_SERVER_OFFLINE_QUANTIZE_FILE_H_
#define LADDER_SERVER_OFFLINE_QUANTIZE_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace ladder {

namespace tune::v1 {
class OperatorDescriptor;
}

struct QuantizeJob {
  std::string path;    // an .npy or .safetensors file with N x K values
  std::string tensor;  // of a .safetensors file; empty: its only one
  std::string folder;  // for codes.npy and the like, made if it isn't there; empty: nothing is written
};

// Quantises to op's weight type (N and K are the file's) as core/reference/quantize.h says, and writes the planes in
// the natural form, which packing takes, to `folder`: codes.npy, and as the type has them scales.npy, zeros.npy and
// tensor_scale.npy. Types that NumPy lacks are written as their bits: bf16 as uint16, e4m3 and e8m0 as uint8. Returns a
// report for people, with the error made. Needs no GPU; whether any kernel serves the type is not asked.
// InvalidArgument starting with the field or "quantize: FILE" for what can't be read or quantised; AlreadyExists if one
// of the files is there already, which is left as it is; ResourceExhausted if writing fails, leaving no file.
absl::StatusOr<std::string> QuantizeFile(const tune::v1::OperatorDescriptor& op, const QuantizeJob& job);

}  // namespace ladder

#endif  // LADDER_SERVER_OFFLINE_QUANTIZE_FILE_H_
