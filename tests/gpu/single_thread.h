// Just enough of the device language to run grid-striding kernels as one thread of the host.
#ifndef LADDER_TESTS_GPU_SINGLE_THREAD_H_
#define LADDER_TESTS_GPU_SINGLE_THREAD_H_

#define LADDER_DEVICE inline
#define LADDER_KERNEL inline
#define __launch_bounds__(threads)

namespace ladder {

struct BlockSize {
  unsigned x;
};
inline constexpr BlockSize blockDim = {1};
inline unsigned block_id() { return 0; }
inline unsigned block_count() { return 1; }
inline unsigned thread_id() { return 0; }
inline void store_global_v4(void* p, Vec4 v) { *static_cast<Vec4*>(p) = v; }

}  // namespace ladder

#endif  // LADDER_TESTS_GPU_SINGLE_THREAD_H_
