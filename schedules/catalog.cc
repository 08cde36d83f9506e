#include "schedules/catalog.h"

#include "schedules/embedded_sources.h"
#include "schedules/matmul/decode.h"
#include "schedules/matmul/dense.h"
#include "schedules/matmul/dense_wgmma.h"
#include "schedules/matmul/pipelined.h"
#include "schedules/matmul/pipelined_bytes.h"
#include "schedules/matmul/wgmma.h"
#include "schedules/matmul/wgmma_bytes.h"
#include "schedules/support/support.h"

namespace ladder {

ScheduleCatalog MakeCatalog() {
  ScheduleCatalog catalog;
  catalog.schedules.push_back(MakeDecodeSchedule());
  catalog.schedules.push_back(MakePipelinedSchedule());
  catalog.schedules.push_back(MakeWgmmaSchedule());
  catalog.schedules.push_back(MakePipelinedBytesSchedule());
  catalog.schedules.push_back(MakeWgmmaBytesSchedule());
  catalog.schedules.push_back(MakeDenseSchedule());
  catalog.schedules.push_back(MakeDenseWgmmaSchedule());
  catalog.support = SupportSource();
  catalog.sources = EmbeddedSources();
  catalog.sources_digest = EmbeddedSourcesDigest();
  return catalog;
}

}  // namespace ladder
