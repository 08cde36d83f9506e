#include "tests/server/storage/power_loss_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace ladder {
namespace {

constexpr int64_t kSectorBytes = 512;

std::mutex mutex;
PowerLossVfs::Disks disks;
int64_t operation_count = 0;
int64_t capture_before = -1;
std::function<void(const PowerLossVfs::Disks&)> capture;

// A file of ours, the real one right behind it.
struct File {
  sqlite3_file base;
  std::string* path;  // null for temporary files, which no crash outlives
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real(); }

void Apply(std::string& bytes, const PowerLossVfs::Write& write) {
  if (write.truncated_to >= 0) {
    bytes.resize(static_cast<size_t>(write.truncated_to));
    return;
  }
  const size_t end = static_cast<size_t>(write.offset) + write.data.size();
  if (bytes.size() < end) bytes.resize(end);
  bytes.replace(static_cast<size_t>(write.offset), write.data.size(), write.data);
}

// The disk of a file about to be changed; null for temporary ones.
PowerLossVfs::Disk* Changing(sqlite3_file* file) {
  if (operation_count++ == capture_before) capture(disks);
  const std::string* const path = Of(file)->path;
  return path == nullptr ? nullptr : &disks[*path];
}

int Close(sqlite3_file* f) {
  delete Of(f)->path;
  return Real(f)->pMethods->xClose(Real(f));
}
int Read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) { return Real(f)->pMethods->xRead(Real(f), to, n, at); }
int Write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  const std::lock_guard lock(mutex);
  if (PowerLossVfs::Disk* const disk = Changing(f)) {
    disk->pending.push_back({at, std::string(static_cast<const char*>(from), static_cast<size_t>(n))});
  }
  return Real(f)->pMethods->xWrite(Real(f), from, n, at);
}
int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  const std::lock_guard lock(mutex);
  if (PowerLossVfs::Disk* const disk = Changing(f)) disk->pending.push_back({0, "", size});
  return Real(f)->pMethods->xTruncate(Real(f), size);
}
int Sync(sqlite3_file* f, int) {
  const std::lock_guard lock(mutex);
  if (PowerLossVfs::Disk* const disk = Changing(f)) {
    for (const PowerLossVfs::Write& write : disk->pending) Apply(disk->synced, write);
    disk->pending.clear();
    disk->exists = true;
  }
  return SQLITE_OK;  // the real file system is not what is tested
}
int FileSize(sqlite3_file* f, sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); }
int Lock(sqlite3_file* f, int level) { return Real(f)->pMethods->xLock(Real(f), level); }
int Unlock(sqlite3_file* f, int level) { return Real(f)->pMethods->xUnlock(Real(f), level); }
int CheckReserved(sqlite3_file* f, int* out) { return Real(f)->pMethods->xCheckReservedLock(Real(f), out); }
int Control(sqlite3_file* f, int op, void* argument) { return Real(f)->pMethods->xFileControl(Real(f), op, argument); }
int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
int Characteristics(sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); }
int ShmMap(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return Real(f)->pMethods->xShmMap(Real(f), page, size, extend, out);
}
int ShmLock(sqlite3_file* f, int offset, int n, int flags) {
  return Real(f)->pMethods->xShmLock(Real(f), offset, n, flags);
}
void ShmBarrier(sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); }
int ShmUnmap(sqlite3_file* f, int remove) { return Real(f)->pMethods->xShmUnmap(Real(f), remove); }

constexpr sqlite3_io_methods kMethods = {
    2,        Close,         Read,    Write,      Truncate,        Sync,   FileSize, Lock,
    Unlock,   CheckReserved, Control, SectorSize, Characteristics, ShmMap, ShmLock,  ShmBarrier,
    ShmUnmap, nullptr,       nullptr};

sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs vfs;

int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  File* file = new (f) File{};
  const int code = real_vfs->xOpen(real_vfs, name, file->real(), flags, out_flags);
  const bool kept = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
  if (code == SQLITE_OK && kept) file->path = new std::string(name);
  file->base.pMethods = file->real()->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}

int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
  const std::lock_guard lock(mutex);
  disks.erase(name);
  return real_vfs->xDelete(real_vfs, name, sync_folder);
}

}  // namespace

PowerLossVfs::PowerLossVfs() {
  real_vfs = sqlite3_vfs_find(nullptr);
  vfs = *real_vfs;
  vfs.zName = kName;
  vfs.pNext = nullptr;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + real_vfs->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  sqlite3_vfs_register(&vfs, /*makeDflt=*/0);
  const std::lock_guard lock(mutex);
  disks.clear();
  operation_count = 0;
  capture_before = -1;
}

PowerLossVfs::~PowerLossVfs() { sqlite3_vfs_unregister(&vfs); }

void PowerLossVfs::CaptureBefore(int64_t n, std::function<void(const Disks&)> captured) {
  const std::lock_guard lock(mutex);
  capture_before = operation_count + n;
  capture = std::move(captured);
}

int64_t PowerLossVfs::operations() const {
  const std::lock_guard lock(mutex);
  return operation_count;
}

std::string AfterPowerLoss(const PowerLossVfs::Disk& disk, std::mt19937_64& random) {
  std::string bytes = disk.synced;
  std::vector<PowerLossVfs::Write> pending = disk.pending;
  for (auto begin = pending.begin(); begin != pending.end();) {
    const auto end = std::find_if(begin, pending.end(), [](const auto& write) { return write.truncated_to >= 0; });
    std::shuffle(begin, end, random);
    begin = end == pending.end() ? end : end + 1;
  }
  for (PowerLossVfs::Write& write : pending) {
    const auto fate = random() % 4;
    if (fate == 0) continue;  // lost
    if (fate == 1 && write.truncated_to < 0) {
      // Some of its sectors only.
      const int64_t first_end = (write.offset / kSectorBytes + 1) * kSectorBytes - write.offset;
      const auto size = static_cast<int64_t>(write.data.size());
      for (int64_t at = 0, next = first_end; at < size; at = next, next += kSectorBytes) {
        if (random() % 2 == 0) continue;
        Apply(bytes, {write.offset + at,
                      write.data.substr(static_cast<size_t>(at), static_cast<size_t>(std::min(next, size) - at))});
      }
      continue;
    }
    Apply(bytes, write);
  }
  return bytes;
}

}  // namespace ladder
