// The functions of hipRTC and of AMD's code object manager that are used, declared here because Debian and ROCm put
// their headers at different places and nothing else of them is needed. Both are C interfaces with version scripts: a
// name keeps its signature for as long as it exists. Internal to this folder.
#ifndef LADDER_CORE_BACKEND_HIP_API_H_
#define LADDER_CORE_BACKEND_HIP_API_H_

#include <cstddef>
#include <cstdint>

namespace ladder::hip {

// hip/hiprtc.h. Results are an enumeration; 0 is success.
using RtcResult = int;
using RtcProgram = struct RtcProgramObject*;
using RtcVersion = RtcResult (*)(int* major, int* minor);
using RtcGetErrorString = const char* (*)(RtcResult result);
using RtcCreateProgram = RtcResult (*)(RtcProgram* program, const char* source, const char* name, int headers,
                                       const char** header_texts, const char** header_names);
using RtcCompileProgram = RtcResult (*)(RtcProgram program, int count, const char** options);
using RtcDestroyProgram = RtcResult (*)(RtcProgram* program);
using RtcGetSize = RtcResult (*)(RtcProgram program, size_t* bytes);
using RtcGetText = RtcResult (*)(RtcProgram program, char* out);

// amd_comgr.h. Statuses are an enumeration; 0 is success. Handles are structures passed by value.
using ComgrStatus = int;
struct ComgrData {
  uint64_t handle = 0;
};
struct ComgrMetadata {
  uint64_t handle = 0;
};
inline constexpr int kComgrExecutable = 8;  // AMD_COMGR_DATA_KIND_EXECUTABLE
using ComgrGetIsaCount = ComgrStatus (*)(size_t* count);
using ComgrGetIsaName = ComgrStatus (*)(size_t index, const char** name);
using ComgrCreateData = ComgrStatus (*)(int kind, ComgrData* data);
using ComgrReleaseData = ComgrStatus (*)(ComgrData data);
using ComgrSetData = ComgrStatus (*)(ComgrData data, size_t bytes, const char* from);
using ComgrGetDataMetadata = ComgrStatus (*)(ComgrData data, ComgrMetadata* metadata);
using ComgrDestroyMetadata = ComgrStatus (*)(ComgrMetadata metadata);
using ComgrMetadataLookup = ComgrStatus (*)(ComgrMetadata map, const char* key, ComgrMetadata* value);
using ComgrGetMetadataListSize = ComgrStatus (*)(ComgrMetadata list, size_t* size);
using ComgrIndexListMetadata = ComgrStatus (*)(ComgrMetadata list, size_t index, ComgrMetadata* value);
using ComgrGetMetadataString = ComgrStatus (*)(ComgrMetadata text, size_t* bytes, char* out);

}  // namespace ladder::hip

#endif  // LADDER_CORE_BACKEND_HIP_API_H_
