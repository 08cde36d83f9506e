// The services of proto/ladder/tune/v1/service.proto.
#ifndef LADDER_SERVER_GRPC_SERVICES_H_
#define LADDER_SERVER_GRPC_SERVICES_H_

#include <memory>

#include "server/grpc/caller_access.h"
#include "server/serving/serving.h"

namespace grpc {
class Service;
}

namespace ladder {

// `serving` outlives the service. Handlers never block a gRPC thread, and do nothing that `access` doesn't allow.
std::unique_ptr<grpc::Service> MakeKernelCacheService(const Serving& serving, const CallerAccess& access);
std::unique_ptr<grpc::Service> MakeTunerService(const Serving& serving, const CallerAccess& access);
std::unique_ptr<grpc::Service> MakeCacheAdminService(const Serving& serving, const CallerAccess& access);

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_SERVICES_H_
