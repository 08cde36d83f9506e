#include "core/backend/cuda/cublaslt.h"

#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backend/cuda/status_macros.h"
#include "core/backend/dynamic_library.h"

namespace ladder::cuda {
namespace {

// The part of cublasLt's stable C interface used here, declared by hand: its header is in no small package.
constexpr int kCompute32F = 68, kCompute32I = 72;
constexpr int kReal32F = 0, kReal16F = 2, kReal8I = 3, kReal32I = 10, kReal16BF = 14, kRealE4M3 = 28;
constexpr int kDescriptorTransA = 3, kDescriptorTransB = 4, kDescriptorFastAccumulation = 25;
constexpr int kPreferenceMaxWorkspace = 1;
constexpr int32_t kTranspose = 1, kNoTranspose = 0;

struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

struct TypeInfo {
  int input, output, compute, scale;
  int64_t input_bytes, output_bytes;
};

TypeInfo Info(CublasType type) {
  switch (type) {
    case CublasType::kF16:
      return {kReal16F, kReal16F, kCompute32F, kReal32F, 2, 2};
    case CublasType::kBF16:
      return {kReal16BF, kReal16BF, kCompute32F, kReal32F, 2, 2};
    case CublasType::kFp8:
      return {kRealE4M3, kReal16F, kCompute32F, kReal32F, 1, 2};
    case CublasType::kInt8:
      break;
  }
  return {kReal8I, kReal32I, kCompute32I, kReal32I, 1, 4};
}

}  // namespace

int64_t CublasInputBytes(CublasType type) { return Info(type).input_bytes; }
int64_t CublasOutputBytes(CublasType type) { return Info(type).output_bytes; }

struct CublasLt::Api {
  int (*create)(void** handle) = nullptr;
  int (*destroy)(void* handle) = nullptr;
  int (*descriptor_create)(void** descriptor, int compute, int scale) = nullptr;
  int (*descriptor_destroy)(void* descriptor) = nullptr;
  int (*descriptor_set)(void* descriptor, int attribute, const void* value, size_t bytes) = nullptr;
  int (*layout_create)(void** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) = nullptr;
  int (*layout_destroy)(void* layout) = nullptr;
  int (*preference_create)(void** preference) = nullptr;
  int (*preference_destroy)(void* preference) = nullptr;
  int (*preference_set)(void* preference, int attribute, const void* value, size_t bytes) = nullptr;
  int (*heuristic)(void* handle, void* descriptor, void* a, void* b, void* c, void* d, void* preference, int wanted,
                   HeuristicResult* results, int* found) = nullptr;
  int (*matmul)(void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout, const void* b,
                void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                const Algorithm* algorithm, void* workspace, size_t workspace_bytes, CUstream_st* stream) = nullptr;
  void* handle = nullptr;
};

struct CublasLt::Plan::State {
  const Api* api;
  TypeInfo info;
  void* descriptor = nullptr;
  void* w_layout = nullptr;
  void* x_layout = nullptr;
  void* y_layout = nullptr;
  std::vector<HeuristicResult> algorithms;
  explicit State(const Api* a, TypeInfo i) : api(a), info(i) {}
  ~State() {
    if (descriptor != nullptr) api->descriptor_destroy(descriptor);
    for (void* layout : {w_layout, x_layout, y_layout}) {
      if (layout != nullptr) api->layout_destroy(layout);
    }
  }
};

CublasLt::CublasLt() : api_(std::make_unique<Api>()) {}

CublasLt::~CublasLt() {
  if (api_->handle != nullptr) api_->destroy(api_->handle);
}

absl::StatusOr<std::unique_ptr<CublasLt>> CublasLt::Open() {
  std::vector<std::string> paths;
  const char* const home = std::getenv("CUDA_HOME");
  for (const std::string& folder : {home != nullptr ? absl::StrCat(home, "/lib64/") : std::string(),
                                    std::string("/usr/local/cuda/lib64/"), std::string()}) {
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) paths.push_back(folder + name);
  }
  const absl::StatusOr<DynamicLibrary> library = DynamicLibrary::OpenFirst(paths);
  if (!library.ok()) {
    return absl::UnimplementedError(absl::StrCat("cuBLASLt is not installed: ", library.status().message()));
  }
  std::unique_ptr<CublasLt> opened(new CublasLt());
  Api& api = *opened->api_;
  for (const absl::Status& status :
       {library->Load("cublasLtCreate", api.create), library->Load("cublasLtDestroy", api.destroy),
        library->Load("cublasLtMatmulDescCreate", api.descriptor_create),
        library->Load("cublasLtMatmulDescDestroy", api.descriptor_destroy),
        library->Load("cublasLtMatmulDescSetAttribute", api.descriptor_set),
        library->Load("cublasLtMatrixLayoutCreate", api.layout_create),
        library->Load("cublasLtMatrixLayoutDestroy", api.layout_destroy),
        library->Load("cublasLtMatmulPreferenceCreate", api.preference_create),
        library->Load("cublasLtMatmulPreferenceDestroy", api.preference_destroy),
        library->Load("cublasLtMatmulPreferenceSetAttribute", api.preference_set),
        library->Load("cublasLtMatmulAlgoGetHeuristic", api.heuristic), library->Load("cublasLtMatmul", api.matmul)}) {
    LADDER_RETURN_IF_ERROR(status);
  }
  if (const int result = api.create(&api.handle); result != 0) {
    return absl::UnimplementedError(absl::StrCat("cuBLASLt does not start on this GPU: status ", result));
  }
  return opened;
}

absl::StatusOr<std::unique_ptr<CublasLt::Plan>> CublasLt::MakePlan(CublasType type, int64_t m, int64_t n, int64_t k,
                                                                   int most) const {
  const Api& api = *api_;
  auto state = std::make_unique<Plan::State>(&api, Info(type));
  const TypeInfo& info = state->info;
  // Column-major: Y^T[N, m] = (W stored K x N)^T * (X stored K x m).
  int failed = api.descriptor_create(&state->descriptor, info.compute, info.scale);
  if (failed == 0) failed = api.descriptor_set(state->descriptor, kDescriptorTransA, &kTranspose, sizeof(kTranspose));
  if (failed == 0)
    failed = api.descriptor_set(state->descriptor, kDescriptorTransB, &kNoTranspose, sizeof(kNoTranspose));
  if (failed == 0 && type == CublasType::kFp8) {
    const int8_t fast = 1;
    failed = api.descriptor_set(state->descriptor, kDescriptorFastAccumulation, &fast, sizeof(fast));
  }
  if (failed == 0) failed = api.layout_create(&state->w_layout, info.input, k, n, k);
  if (failed == 0) failed = api.layout_create(&state->x_layout, info.input, k, m, k);
  if (failed == 0) failed = api.layout_create(&state->y_layout, info.output, n, m, n);
  void* preference = nullptr;
  if (failed == 0) failed = api.preference_create(&preference);
  const auto workspace = static_cast<uint64_t>(kCublasWorkspaceBytes);
  if (failed == 0) failed = api.preference_set(preference, kPreferenceMaxWorkspace, &workspace, sizeof(workspace));
  int found = 0;
  state->algorithms.resize(most);
  if (failed == 0) {
    failed = api.heuristic(api.handle, state->descriptor, state->w_layout, state->x_layout, state->y_layout,
                           state->y_layout, preference, most, state->algorithms.data(), &found);
  }
  if (preference != nullptr) api.preference_destroy(preference);
  state->algorithms.resize(failed == 0 ? found : 0);
  std::erase_if(state->algorithms, [](const HeuristicResult& r) { return r.state != 0; });
  if (state->algorithms.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("cuBLASLt has no algorithm for ", m, " x ", n, " x ", k, " (status ", failed, ")"));
  }
  return std::unique_ptr<Plan>(new Plan(std::move(state)));
}

CublasLt::Plan::Plan(std::unique_ptr<State> state) : state_(std::move(state)) {}
CublasLt::Plan::~Plan() = default;

int CublasLt::Plan::algorithms() const { return static_cast<int>(state_->algorithms.size()); }

absl::Status CublasLt::Plan::Enqueue(int algorithm, DevicePointer x, DevicePointer w, DevicePointer y,
                                     DevicePointer workspace, const Stream& stream) const {
  const float one = 1, zero = 0;
  const int32_t integer_one = 1, integer_zero = 0;
  const bool integer = state_->info.scale == kReal32I;
  void* const output = reinterpret_cast<void*>(y);
  const int result = state_->api->matmul(
      state_->api->handle, state_->descriptor, integer ? static_cast<const void*>(&integer_one) : &one,
      reinterpret_cast<const void*>(w), state_->w_layout, reinterpret_cast<const void*>(x), state_->x_layout,
      integer ? static_cast<const void*>(&integer_zero) : &zero, output, state_->y_layout, output, state_->y_layout,
      &state_->algorithms[algorithm].algorithm, reinterpret_cast<void*>(workspace),
      static_cast<size_t>(kCublasWorkspaceBytes), stream.get());
  if (result == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cublasLtMatmul failed with status ", result));
}

}  // namespace ladder::cuda
