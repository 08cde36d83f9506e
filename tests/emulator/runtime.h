// The runtime's side of the table.
#ifndef LADDER_TESTS_EMULATOR_RUNTIME_H_
#define LADDER_TESTS_EMULATOR_RUNTIME_H_

#include "tests/emulator/runtime_table.h"

namespace ladder::emulator {

// Functions that act on the block which the calling host thread runs.
const RuntimeTable& Runtime();

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_RUNTIME_H_
