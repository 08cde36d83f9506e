// What schedules/device/types.cuh needs to be read by the host compiler, when only its structs are wanted.
#ifndef LADDER_TESTS_CLIENT_HOST_QUALIFIERS_H_
#define LADDER_TESTS_CLIENT_HOST_QUALIFIERS_H_

#define LADDER_DEVICE inline
#define LADDER_KERNEL inline
#define LADDER_GRID_CONSTANT
#define LADDER_CONSTANT

#endif  // LADDER_TESTS_CLIENT_HOST_QUALIFIERS_H_
