#include "tests/emulator/block.h"

#include "absl/strings/str_cat.h"

namespace ladder::emulator {

Block::Block(const Launch& launch, Scheduler& scheduler, int slot)
    : launch_(launch),
      scheduler_(scheduler),
      first_thread_(slot * launch.threads),
      global_(launch, scheduler_),
      shared_(launch.shared_bytes, launch.threads, first_thread_, scheduler_) {}

void Block::Start(int64_t id, Cluster& cluster) {
  id_ = id;
  cluster_ = &cluster;
  live_ = launch_.threads;
  global_.StartBlock();
  shared_.StartBlock();
  threads_.assign(launch_.threads, Thread{});
  warps_.clear();
  warps_.resize(launch_.threads / 32);
  warp_groups_.assign((launch_.threads + 127) / 128, Rendezvous{});
  for (NamedBarrier& barrier : named_) barrier = NamedBarrier{};
  barriers_.clear();
  accumulators_.clear();
}

std::string Block::Leftovers() const {
  for (const auto& [address, barrier] : barriers_) {
    if (!barrier.copies.empty()) {
      return absl::StrCat("all threads have returned, but copies to the barrier at shared offset ",
                          address - SharedMemory::kBase, " were never waited for");
    }
  }
  for (size_t i = 0; i < 16; ++i) {
    if (named_[i].arrived > 0) {
      return absl::StrCat("all threads have returned, but barrier ", i, " has ", named_[i].arrived, " of ",
                          named_[i].expected, " arrivals");
    }
  }
  for (size_t i = 0; i < warps_.size(); ++i) {
    if (!warps_[i].open.empty() || !warps_[i].groups.empty()) {
      for (const auto& group : warps_[i].groups) {
        if (!group.empty()) return absl::StrCat("warp ", i, " returned without waiting for its wgmma");
      }
      if (!warps_[i].open.empty()) return absl::StrCat("warp ", i, " returned without committing its wgmma");
    }
  }
  return "";
}

}  // namespace ladder::emulator
