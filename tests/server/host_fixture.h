// A host with fake workers and a cache of its own, for tests of what the services answer.
#ifndef LADDER_TESTS_SERVER_HOST_FIXTURE_H_
#define LADDER_TESTS_SERVER_HOST_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/config/config.h"
#include "server/embedded_host.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {

inline Config TestConfig(const TemporaryFolder& folder, const std::string& worker) {
  Config config = DefaultConfig();
  config.listen.clear();
  config.cache_path = folder.path().string();
  config.compile_worker = worker;
  config.profile_worker = worker;
  config.compile_workers = 2;
  config.tuning_candidates = 3;
  config.log_level = "warning";
  return config;
}

// For the life of the object.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~EnvironmentVariable() { ::unsetenv(name_); }
  EnvironmentVariable(const EnvironmentVariable&) = delete;

 private:
  const char* name_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_HOST_FIXTURE_H_
