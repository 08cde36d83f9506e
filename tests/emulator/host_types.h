// Instead of primitives.h, where the runtime itself wants the types of schedules/device/types.cuh and no primitives.
