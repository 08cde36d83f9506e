// The emulator's version of the header that schedules/matmul/wgmma_instruction.h generates: every N at once.
#pragma once
#include "schedules/device/ptx.cuh"

namespace ladder {

template <class Compute, int kN>
LADDER_DEVICE void wgmma_rs(typename SumOf<Compute>::Type (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor,
                            u32 accumulate) {
  emulator::runtime->wgmma(emulator::TypesOf(Compute{}, Compute{}), kN, reinterpret_cast<float*>(acc), a, 0,
                           b_descriptor, accumulate);
}
template <class Weight, class Compute, int kN>
LADDER_DEVICE void wgmma_rs(typename SumOf<Compute>::Type (&acc)[kN / 2], const u32 (&a)[4], u64 b_descriptor,
                            u32 accumulate) {
  emulator::runtime->wgmma(emulator::TypesOf(Weight{}, Compute{}), kN, reinterpret_cast<float*>(acc), a, 0,
                           b_descriptor, accumulate);
}
template <class Weight, class Compute, int kN>
LADDER_DEVICE void wgmma_ss(typename SumOf<Compute>::Type (&acc)[kN / 2], u64 a_descriptor, u64 b_descriptor,
                            u32 accumulate) {
  emulator::runtime->wgmma(emulator::TypesOf(Weight{}, Compute{}), kN, reinterpret_cast<float*>(acc), nullptr,
                           a_descriptor, b_descriptor, accumulate);
}

}  // namespace ladder
