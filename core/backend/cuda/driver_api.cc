#include "core/backend/cuda/driver_api.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/backend/cuda/driver.h"
#include "core/backend/dynamic_library.h"

namespace ladder::cuda {
namespace {

struct LoadedDriver {
  absl::Status status;
  DriverApi api;
};

LoadedDriver LoadDriver() {
  LoadedDriver driver;
  const absl::StatusOr<DynamicLibrary> library = DynamicLibrary::Open("libcuda.so.1");
  if (!library.ok()) {
    driver.status = absl::FailedPreconditionError(
        absl::StrCat("no NVIDIA driver on this machine (", library.status().message(), ")"));
    return driver;
  }
#define LADDER_LOAD(name, function, symbol) \
  if (driver.status.ok()) driver.status = library->Load(symbol, driver.api.name);
  LADDER_DRIVER_FUNCTIONS(LADDER_LOAD)
#undef LADDER_LOAD
  if (!driver.status.ok()) return driver;
  const CUresult result = driver.api.Init(0);
  if (result == CUDA_SUCCESS) return driver;
  const char* text = nullptr;
  driver.api.GetErrorString(result, &text);
  driver.status = absl::FailedPreconditionError(
      absl::StrCat("the NVIDIA driver does not start: ", text != nullptr ? text : "error ", static_cast<int>(result)));
  return driver;
}

const LoadedDriver& Loaded() {
  static const LoadedDriver* const driver = new LoadedDriver(LoadDriver());
  return *driver;
}

}  // namespace

absl::StatusOr<const DriverApi*> Driver() {
  if (!Loaded().status.ok()) return Loaded().status;
  return &Loaded().api;
}

const DriverApi& Api() { return Loaded().api; }

absl::Status DriverStatus() { return Loaded().status; }

int DeviceCount() {
  int count = 0;
  if (!Loaded().status.ok() || Api().DeviceGetCount(&count) != CUDA_SUCCESS) return 0;
  return count;
}

absl::Status ToStatus(CUresult result, absl::string_view what) {
  if (result == CUDA_SUCCESS) return absl::OkStatus();
  const char* name = nullptr;
  const char* text = nullptr;
  Api().GetErrorName(result, &name);
  Api().GetErrorString(result, &text);
  const std::string message = absl::StrCat(what, ": ", name != nullptr ? name : absl::StrCat("CUDA error ", result),
                                           " (", text != nullptr ? text : "unknown", ")");
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return absl::ResourceExhaustedError(message);
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_IMAGE:
      return absl::InvalidArgumentError(message);
    case CUDA_ERROR_NOT_FOUND:
      return absl::NotFoundError(message);
    case CUDA_ERROR_NOT_SUPPORTED:
      return absl::UnimplementedError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace ladder::cuda
