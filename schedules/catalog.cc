#include "schedules/catalog.h"

#include "core/store/keys.h"
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
  CanonicalText text("ladder-sources-1");
  for (const auto& [name, content] : catalog.sources) text.Field(name, content);
  catalog.sources_digest = text.Digest();
  return catalog;
}

}  // namespace ladder
