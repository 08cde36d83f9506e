// Preloaded: a machine on which no NVRTC can be opened, whatever is installed.
#include <dlfcn.h>

#include <cstring>

extern "C" void* dlopen(const char* file, int flags) {
  using Open = void* (*)(const char*, int);
  static const Open real = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
  // The real one fails, so that dlerror says what it would.
  return real(file != nullptr && std::strstr(file, "nvrtc") != nullptr ? "/nonexistent/libnvrtc.so" : file, flags);
}
