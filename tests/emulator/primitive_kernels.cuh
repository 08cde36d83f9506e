// One small kernel per primitive. The same text runs in the emulator and on a GPU, from the same inputs, and has to
// write the same words. x and w are inputs, y the output, of 32-bit words; one block of 128 threads unless said
// otherwise.
#pragma once
#include "schedules/device/byte_decode.cuh"
#include "schedules/device/decode.cuh"
#include "schedules/device/pair_table.cuh"
#include "schedules/device/ptx.cuh"
#include "schedules/device/wgmma.cuh"
#include "schedules/device/widen.cuh"

namespace ladder {

LADDER_DEVICE u32 sum_bits(float sum) { return float_bits(sum); }
LADDER_DEVICE u32 sum_bits(int sum) { return static_cast<u32>(sum); }
LADDER_DEVICE const u32* words(const void* p) { return static_cast<const u32*>(p); }
LADDER_DEVICE void put(const MatmulArguments& p, u32 index, u32 value) {
  store_global_u32(static_cast<u32*>(p.y) + index, value);
}

// 128 pairs of words in, 8 words out each.
template <class T>
LADDER_DEVICE void arithmetic_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 a = load_global_u32(words(p.x) + t);
  const u32 b = load_constant_u32(words(p.w) + t);
  const u32 c = load_constant_u32(words(p.w) + (t + 1) % 128);
  const float f = bits_float((a & 0xbfffffffu) | 0x20000000u);
  put(p, 8 * t + 0, sub2(T{}, a, b));
  put(p, 8 * t + 1, mul2(T{}, a, b));
  put(p, 8 * t + 2, fma2(T{}, a, b, c));
  put(p, 8 * t + 3, float_bits(to_float(T{}, a & 0xffff)));
  put(p, 8 * t + 4, from_float(T{}, f));
  put(p, 8 * t + 5, from_float2(T{}, f, -f));
  put(p, 8 * t + 6, and_or<0x0f0f1234u, 0x64006400u>(a) + 3 * and_or(a, b, c) + 5 * and_xor(a, b, c));
  put(p, 8 * t + 7, byte_permute(a, b, c));
}

// Pairs of e4m3 codes in, of fp16 out; NaNs as one of them.
LADDER_DEVICE void conversion_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  u32 pair = e4m3_to_half2(load_global_u32(words(p.x) + t));
  if ((pair & 0x7fffu) > 0x7c00u) pair = (pair & 0xffff0000u) | 0x7e00u;
  if ((pair >> 16 & 0x7fffu) > 0x7c00u) pair = (pair & 0xffffu) | 0x7e000000u;
  put(p, t, pair);
}

// A float in, its approximations out.
LADDER_DEVICE void approximations_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const float x = bits_float(load_global_u32(words(p.x) + t));
  put(p, 3 * t + 0, float_bits(exp2_approx(x)));
  put(p, 3 * t + 1, float_bits(reciprocal_approx(x)));
  put(p, 3 * t + 2, float_bits(error_function(x)));
}

// Every position of every code: word w of x decoded, 4 words out.
template <class T, int kOffset>
LADDER_DEVICE void decode_integer_kernel(const MatmulArguments& p) {
  u32 a[4];
  const u32 offset[2] = {magic_offset<T>(kOffset), magic_offset<T>(kOffset)};
  decode_integer4<T>(load_global_u32(words(p.x) + thread_id()), offset, a);
  for (int i = 0; i < 4; i++) put(p, 4 * thread_id() + i, a[i]);
}
template <class Table>
LADDER_DEVICE void decode_table_kernel(const MatmulArguments& p) {
  u32 a[4];
  decode_table4<Table>(load_global_u32(words(p.x) + thread_id()), a);
  for (int i = 0; i < 4; i++) put(p, 4 * thread_id() + i, a[i]);
}

// For each block of the grid a packed block of 64 x 64 in, the four A fragments of each lane out: 16 words a thread, a
// warp for each row tile. The block's zero points are its word of w, as quantized ones come, unless kConstant. From
// global memory, or, as kernels with a ring have it, from shared memory.
template <class T, class Weight, bool kConstant, bool kSharedTable>
LADDER_DEVICE void decode_block_kernel(const MatmulArguments& p) {
  constexpr u32 kBytes = 512 * Weight::kBits;
  const u32 shared = (dynamic_shared() + 127) & ~127u;
  const u32 table = shared + kBytes, lane_table = table + 4 * lane_id();
  if constexpr (kSharedTable) build_shared_table<Weight>(table, thread_id(), 128);
  for (u32 i = thread_id(); i < kBytes / 4; i += 128) {
    store_shared_u32(shared + 4 * i, load_global_u32(words(p.x) + block_id() * (kBytes / 4) + i));
  }
  block_sync();
  u32 block[Weight::kBits], again[Weight::kBits];
  load_lane_words_shared(shared, thread_id(), again);
  const LaneWords<Weight::kBits> lane_words(static_cast<const u8*>(p.x) + block_id() * kBytes,
                                            static_cast<int>(thread_id() / 32), static_cast<int>(lane_id()));
  lane_words.load(0, 0, block);
  u32 differ = 0;
#pragma unroll
  for (int i = 0; i < Weight::kBits; i++) differ |= block[i] ^ again[i];
  u32 z = load_constant_u32(words(p.w) + block_id());
  if constexpr (kConstant && !Weight::kTable) z = Weight::kOffset;
  const u32 offset[2] = {decode_offset<T, Weight>(z), decode_offset<T, Weight>(z)};
#pragma unroll
  for (int step = 0; step < 4; step++) {
    u32 a[4];
    if constexpr (kSharedTable) {
      decode_shared_table<Weight>(block, step, lane_table, a);
    } else {
      decode_step<T, Weight, kConstant>(block, step, offset, a);
    }
    if (differ != 0) a[0] = ~a[0];  // an error that is sure to be seen
#pragma unroll
    for (int i = 0; i < 4; i++) put(p, 2048 * block_id() + 16 * thread_id() + 4 * step + i, a[i]);
  }
}

template <class WeightType, bool kZeroCodes>
struct ByteConfig {
  using Weight = WeightType;
  static constexpr Zeros kZeros = kZeroCodes ? Zeros::kQuantized : Zeros::kNone;
};

// The same of a block of 64 x 128 for activations of 8 bits; the exponent of the bytes' unit goes behind all of y.
template <class WeightType, bool kZeroCodes>
LADDER_DEVICE void decode_bytes_kernel(const MatmulArguments& p, u32 z) {
  if (block_id() == 0 && thread_id() == 0) {
    put(p, 2048 * static_cast<u32>(p.m), static_cast<u32>(WeightType::kExponent));
  }
  constexpr int kWords = kByteWords<WeightType>;
  u32 block[kWords];
  const LaneWords<kWords> lane_words(static_cast<const u8*>(p.x) + block_id() * 512 * kWords,
                                     static_cast<int>(thread_id() / 32), static_cast<int>(lane_id()));
  lane_words.load(0, 0, block);
  ByteDequantizer<ByteConfig<WeightType, kZeroCodes>> dequantize;
  dequantize.set(0, z | z << (WeightType::kBits > 4 ? 8 : 4));
#pragma unroll
  for (int step = 0; step < 4; step++) {
    u32 a[4];
    dequantize.decode(block, step, a);
#pragma unroll
    for (int i = 0; i < 4; i++) put(p, 2048 * block_id() + 16 * thread_id() + 4 * step + i, a[i]);
  }
}

// All 256 codes of an activation of 8 bits, eight a thread, in the compute type; times 2^(b - 127) in block b.
template <class XType, class ComputeType, int kScaled>
struct WidenConfig {
  using X = XType;
  using Compute = ComputeType;
  using XScale = E8M0;
  static constexpr int kK = 256, kXGroup = kScaled ? 32 : 0;
};
template <class Config>
LADDER_DEVICE void widen_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  if (t >= 32) return;
  const u32 first = 8 * t * 0x01010101u;
  const Vec4 v = widen<Config>({first + 0x03020100u, first + 0x07060504u, block_id()});
  put(p, 128 * block_id() + 4 * t, v.x);
  put(p, 128 * block_id() + 4 * t + 1, v.y);
  put(p, 128 * block_id() + 4 * t + 2, v.z);
  put(p, 128 * block_id() + 4 * t + 3, v.w);
}

template <class Table>
LADDER_DEVICE void decode_pair_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 table = (dynamic_shared() + 127) & ~127u;
  build_shared_table<Table>(table, t, 128);
  block_sync();
  u32 a[4];
  decode_pair_table(load_global_u32(words(p.x) + t), table + 4 * (t % 32), a);
  for (int i = 0; i < 4; i++) put(p, 4 * t + i, a[i]);
}

// Shuffles of 128 words, 2 words out each.
LADDER_DEVICE void shuffle_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 value = load_global_u32(words(p.x) + t);
  put(p, 2 * t, shuffle(value, (7 * t + 3) % 32));
  put(p, 2 * t + 1, shuffle_xor(value, 5));
}

// How many lanes of the block were elected.
LADDER_DEVICE void elect_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 shared = dynamic_shared();
  store_shared_u32(shared + 4 * t, elect_one() ? 1 : 0);
  block_sync();
  if (t == 0) {
    u32 count = 0;
    for (int i = 0; i < 128; i++) count += load_shared_u32(shared + 4 * i);
    put(p, 0, count);
  }
}

// Loads and stores of each width, through shared memory: 512 words in and out.
LADDER_DEVICE void memory_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 shared = dynamic_shared();
  const Vec4 v = t % 2 ? load_stream(words(p.x) + 4 * t) : load_global_v4(words(p.x) + 4 * t);
  store_shared_v4(shared + 16 * t, v);
  block_sync();
  const u32 other = shared + 16 * (127 - t);
  Vec4 out;
  out.x = load_shared_u32(other);
  out.y = load_shared_u16(other + 6) | load_shared_u16(other + 4) << 16;
  out.z = load_shared_u8(other + 8) | load_shared_u8(other + 11) << 8;
  out.w = float_bits(load_shared_f32(other + 12));
  block_sync();
  store_shared_u16(shared + 16 * t, out.x >> 16);
  store_shared_f32(shared + 16 * t + 4, bits_float(out.y));
  warp_sync();
  out.x = load_shared_u16(shared + 16 * t);
  out.y = load_shared_v2(shared + 16 * t).y + load_shared_v4(shared + 16 * t).y;
  store_global_v4(static_cast<u32*>(p.y) + 4 * t, out);
}

// 64 rows of 16 bytes; warp w reads its four matrices, then two: 6 words out a thread.
LADDER_DEVICE void load_matrix_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 shared = dynamic_shared();
  store_shared_v4(shared + 16 * t, load_global_v4(words(p.x) + 4 * t));
  block_sync();
  u32 r[4], s[2];
  load_matrix_x4(r, shared + 16 * ((5 * t + 3) % 128));
  load_matrix_x2(s, shared + 16 * ((3 * t + 1) % 128));
  for (int i = 0; i < 4; i++) put(p, 6 * t + i, r[i]);
  for (int i = 0; i < 2; i++) put(p, 6 * t + 4 + i, s[i]);
}

// Four products of fragments, accumulated: a from x (4 words a thread), b from w (2), 4 floats out.
template <class T>
LADDER_DEVICE void mma_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const Vec4 v = load_global_v4(words(p.x) + 4 * t);
  const u32 a[4] = {v.x, v.y, v.z, v.w};
  float c[4] = {1, 2, 3, 4};
  for (int i = 0; i < 4; i++) {
    mma_16816(T{}, c, a, load_global_u32(words(p.w) + (2 * t + i) % 256),
              load_global_u32(words(p.w) + (2 * t + 1 + i) % 256));
  }
  for (int i = 0; i < 4; i++) put(p, 4 * t + i, float_bits(c[i]));
}

// The same of 8-bit types, one product: sums of it as fp32 or integer bits.
template <class A, class B>
LADDER_DEVICE void mma8_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const Vec4 v = load_global_v4(words(p.x) + 4 * t);
  const u32 a[4] = {v.x, v.y, v.z, v.w};
  typename SumOf<B>::Type c[4] = {1, 2, 3, 4};
  for (int i = 0; i < 2; i++) {
    mma_16832(A{}, B{}, c, a, load_global_u32(words(p.w) + (2 * t + i) % 256),
              load_global_u32(words(p.w) + (2 * t + 1 + i) % 256));
  }
  for (int i = 0; i < 4; i++) put(p, 4 * t + i, sum_bits(c[i]));
}

// Three stages of cp.async, two groups in flight; every third chunk zero-filled. 512 words in and out.
LADDER_DEVICE void copy_async_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 shared = dynamic_shared();
  for (u32 i = 0; i < 2; i++) {
    if (t < 64) copy_async_16(shared + 2048 * (i % 3) + 16 * t, words(p.x) + 256 * i + 4 * t, t % 3 == 0 ? 0 : 16);
    if (t >= 64)
      copy_async_4(shared + 2048 * (i % 3) + 1024 + 4 * (t - 64), words(p.w) + 64 * i + t - 64, t % 3 ? 0 : 4);
    copy_async_commit();
  }
  for (u32 i = 0; i < 2; i++) {
    if (i == 0) copy_async_wait<1>();
    if (i == 1) copy_async_wait<0>();
    block_sync();
    for (u32 j = t; j < 320; j += 128) put(p, 320 * i + j, load_shared_u32(shared + 2048 * i + 4 * j));
    block_sync();
  }
}

// A ring of two bulk copies fed by one warp and drained by three: p.m pieces of 256 words.
LADDER_DEVICE void copy_bulk_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 full = dynamic_shared(), empty = full + 16, data = full + 32;
  if (t == 0) {
    for (int i = 0; i < 2; i++) {
      barrier_init(full + 8 * i, 1);
      barrier_init(empty + 8 * i, 3);
    }
    barrier_init_fence();
  }
  block_sync();
  if (t < 32) {
    if (elect_one()) {
      for (int i = 0; i < p.m; i++) {
        const u32 stage = i % 2;
        barrier_wait(empty + 8 * stage, 1 ^ (i / 2 & 1));
        barrier_arrive_expect(full + 8 * stage, 1024);
        copy_bulk(data + 1024 * stage, words(p.x) + 256 * i, 512, full + 8 * stage);
        copy_bulk_keep(data + 1024 * stage + 512, words(p.x) + 256 * i + 128, 512, full + 8 * stage);
      }
    }
  } else {
    for (int i = 0; i < p.m; i++) {
      const u32 stage = i % 2;
      barrier_wait(full + 8 * stage, i / 2 & 1);
      for (u32 j = t - 32; j < 256; j += 96) put(p, 256 * i + j, load_shared_u32(data + 1024 * stage + 4 * j));
      warp_sync();
      if (t % 32 == 0) barrier_arrive(empty + 8 * stage);
    }
  }
}

// A box of x as the tensor map says, at column p.m, row -1: its bytes as they lie, kWords out.
template <int kWords>
LADDER_DEVICE void copy_tensor_kernel(const MatmulTmaArguments& p) {
  const u32 barrier = dynamic_shared(), data = (barrier + 8 + 1023) & ~1023u;
  if (thread_id() == 0) {
    prefetch_tensor_map(&p.x_map);
    barrier_init(barrier, 1);
    barrier_init_fence();
    barrier_arrive_expect(barrier, 4 * kWords);
    copy_tensor_2d(data, &p.x_map, barrier, p.base.m, -1);
  }
  block_sync();
  barrier_wait(barrier, 0);
  for (int i = thread_id(); i < kWords; i += 128) put(p.base, i, load_shared_u32(data + 4 * i));
}

// Two producers and two consumers on named barriers: 64 words reversed, four times.
LADDER_DEVICE void named_barrier_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 shared = dynamic_shared();
  for (int i = 0; i < 4; i++) {
    if (t < 64) {
      if (i > 0) named_sync(2, 128);
      store_shared_u32(shared + 4 * t, load_global_u32(words(p.x) + 64 * i + t));
      named_arrive(1, 128);
    } else {
      named_sync(1, 128);
      put(p, 64 * i + t - 64, load_shared_u32(shared + 4 * (127 - t)));
      if (i < 3) named_arrive(2, 128);
    }
  }
}

// Any number of blocks: each writes its share, the last to arrive adds them and clears the counter.
LADDER_DEVICE void last_arriver_kernel(const MatmulArguments& p) {
  const u32 t = thread_id();
  const u32 flag = dynamic_shared();
  float* partial = static_cast<float*>(p.workspace) + 32;
  wait_for_previous();
  launch_dependents();
  store_global_f32(partial + 128 * block_id() + t, static_cast<float>(block_id() * 128 + t));
  fence_device();
  block_sync();
  if (t == 0) store_shared_u32(flag, atomic_increment(p.workspace));
  block_sync();
  if (load_shared_u32(flag) + 1 != block_count()) return;
  fence_device();
  float sum = 0;
  for (u32 i = 0; i < block_count(); i++) sum += load_global_f32(partial + 128 * i + t);
  put(p, t, float_bits(sum));
  if (t == 0) store_global_u32(p.workspace, 0);
}

// Clusters: every block reads what the others have written. 3 words out a thread: rank, a word of the next block, one
// of the block after that.
LADDER_DEVICE void cluster_kernel(const MatmulArguments& p) {
  const u32 t = thread_id(), s = dynamic_shared(), at = block_id() * 128 + t;
  store_shared_u32(s + 4 * t, load_global_u32(words(p.x) + at));
  cluster_arrive();
  cluster_wait();
  put(p, 3 * at, cluster_rank());
  for (u32 i = 1; i <= 2; i++) {
    const Vec4 v = load_cluster_v4(s + t / 4 * 16, (cluster_rank() + i) % 4);
    put(p, 3 * at + i, t % 4 == 0 ? v.x : t % 4 == 1 ? v.y : t % 4 == 2 ? v.z : v.w);
  }
  cluster_arrive();  // nobody's memory goes away while others read it
  cluster_wait();
}

// A K-major tile of `rows` x 64 values from row-major words into shared memory, swizzled as TMA would.
LADDER_DEVICE void stage_tile(u32 shared, const void* from, int rows) {
  for (int i = thread_id(); i < rows * 8; i += 128) {
    const int row = i / 8, chunk = i % 8;
    store_shared_v4(shared + row * 128 + ((chunk ^ (row & 7)) << 4), load_global_v4(words(from) + 4 * i));
  }
}

template <int kN, class Sum>
LADDER_DEVICE void put_accumulators(const MatmulArguments& p, const Sum (&acc)[kN / 2]) {
  for (int i = 0; i < kN / 2; i++) put(p, thread_id() * (kN / 2) + i, sum_bits(acc[i]));
}

}  // namespace ladder
