// Early return on errors. Internal to this folder (and the programs that test it): never include it from a header.
#ifndef LADDER_CORE_BACKEND_CUDA_STATUS_MACROS_H_
#define LADDER_CORE_BACKEND_CUDA_STATUS_MACROS_H_

#define LADDER_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                          \
    if (::absl::Status ladder_status = (expression); !ladder_status.ok()) return ladder_status; \
  } while (false)

#define LADDER_JOIN_(a, b) a##b
#define LADDER_JOIN(a, b) LADDER_JOIN_(a, b)
#define LADDER_ASSIGN_OR_RETURN(target, expression) \
  LADDER_ASSIGN_OR_RETURN_(LADDER_JOIN(ladder_result_, __LINE__), target, expression)
#define LADDER_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                                \
  if (!result.ok()) return result.status();                  \
  target = *std::move(result)

#endif  // LADDER_CORE_BACKEND_CUDA_STATUS_MACROS_H_
