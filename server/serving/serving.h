// What the services work with: everything between them and the request path.
#ifndef LADDER_SERVER_SERVING_SERVING_H_
#define LADDER_SERVER_SERVING_SERVING_H_

#include <string>

#include "server/config/config.h"

namespace ladder {

class CallMetrics;
class Compiler;
class Executor;
class KernelStore;
class Machines;
class SqliteKernelStore;
class TuneRegistry;
class WatchHub;
struct ScheduleCatalog;

// References only; the host owns it all and outlives the services.
struct Serving {
  const Config& config;
  const ScheduleCatalog& catalog;
  KernelStore& store;        // what it puts is told to watchers
  SqliteKernelStore& cache;  // the same records, to look after
  Compiler& compiler;
  Machines& machines;
  Executor& quick;  // answers in about a second
  Executor& tuner;  // answers when the GPU has had its turn
  TuneRegistry& tunes;
  WatchHub& watches;
  CallMetrics& calls;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_SERVING_H_
