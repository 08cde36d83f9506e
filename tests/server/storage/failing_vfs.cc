#include "tests/server/storage/failing_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <cstring>
#include <new>

namespace ladder {
namespace {

std::atomic<int> writes_left = -1;  // -1: no fault
std::atomic<int> fault_code = SQLITE_FULL;
std::atomic<bool> struck = false;

bool Fails() {
  int left = writes_left;
  while (left > 0 && !writes_left.compare_exchange_weak(left, left - 1)) {
  }
  if (left != 0) return false;
  struck = true;
  return true;
}

// A file of ours, the real one right behind it.
struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

int Close(sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); }
int Read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) { return Real(f)->pMethods->xRead(Real(f), to, n, at); }
int Write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  if (Fails()) return fault_code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  return Real(f)->pMethods->xWrite(Real(f), from, n, at);
}
int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  if (Fails()) return SQLITE_IOERR_TRUNCATE;
  return Real(f)->pMethods->xTruncate(Real(f), size);
}
int Sync(sqlite3_file* f, int flags) {
  // A full disk shows at the write; what fails at the sync is an I/O error.
  if (fault_code != SQLITE_FULL && Fails()) return SQLITE_IOERR_FSYNC;
  return Real(f)->pMethods->xSync(Real(f), flags);
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

int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  File* file = new (f) File{};
  const int code = real_vfs->xOpen(real_vfs, name, file->real(), flags, out_flags);
  file->base.pMethods = file->real()->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}

sqlite3_vfs vfs;

}  // namespace

FailingVfs::FailingVfs() {
  real_vfs = sqlite3_vfs_find(nullptr);
  vfs = *real_vfs;
  vfs.zName = kName;
  vfs.pNext = nullptr;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + real_vfs->szOsFile;
  vfs.xOpen = Open;
  sqlite3_vfs_register(&vfs, /*makeDflt=*/0);
  Heal();
}

FailingVfs::~FailingVfs() {
  Heal();
  sqlite3_vfs_unregister(&vfs);
}

void FailingVfs::FailAfter(int writes, Kind kind) {
  struck = false;
  fault_code = kind == Kind::kFull ? SQLITE_FULL : SQLITE_IOERR;
  writes_left = writes;
}

bool FailingVfs::Heal() {
  writes_left = -1;
  return struck;
}

}  // namespace ladder
