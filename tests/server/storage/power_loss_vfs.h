// SQLite's file system as a disk sees it: what was synced stays, what was not may be lost, torn or reordered when the
// power goes.
#ifndef LADDER_TESTS_SERVER_STORAGE_POWER_LOSS_VFS_H_
#define LADDER_TESTS_SERVER_STORAGE_POWER_LOSS_VFS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace ladder {

// One at a time; registered as long as it lives, which must be longer than any database opened through it. Files are
// real ones; beside them it keeps what a disk would have.
class PowerLossVfs {
 public:
  static constexpr char kName[] = "power_loss";

  struct Write {
    int64_t offset = 0;
    std::string data;
    int64_t truncated_to = -1;  // not a write, but this
  };
  struct Disk {
    std::string synced;          // contents as of the last sync
    std::vector<Write> pending;  // since then, in order
    bool exists = false;         // certainly: it was synced once
  };
  using Disks = std::map<std::string, Disk>;  // by path

  PowerLossVfs();
  ~PowerLossVfs();

  // Calls `captured` with the disks' state just before the n-th write, truncation or sync from now.
  void CaptureBefore(int64_t n, std::function<void(const Disks&)> captured);
  // Writes, truncations and syncs so far.
  int64_t operations() const;
};

// What a disk may hold after the power went: of the pending writes some are lost, some torn at a sector, and those
// between two truncations come in any order.
std::string AfterPowerLoss(const PowerLossVfs::Disk& disk, std::mt19937_64& random);

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_STORAGE_POWER_LOSS_VFS_H_
