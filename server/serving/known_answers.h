// Look-ups answered from memory where the same bytes were asked before, with the bookkeeping of any other look-up.
#ifndef LADDER_SERVER_SERVING_KNOWN_ANSWERS_H_
#define LADDER_SERVER_SERVING_KNOWN_ANSWERS_H_

#include <memory>
#include <string>
#include <string_view>

#include "server/serving/answer_cache.h"
#include "server/serving/serving.h"

namespace ladder {

namespace tune::v1 {
class LookupRequest;
class LookupResponse;
}  // namespace tune::v1

// Thread-safe.
class KnownAnswers {
 public:
  explicit KnownAnswers(const Serving& serving);

  // To be read before anything that Recall or Write is then given it for.
  AnswerBasis Basis() const;
  // Null if nothing that holds is remembered for these bytes.
  std::shared_ptr<const KnownAnswer> Recall(std::string_view request_bytes, const AnswerBasis& basis);
  // Serializes a response, and remembers it if all of it was found: a miss may turn into a hit without a word.
  std::shared_ptr<const KnownAnswer> Write(std::string_view request_bytes, const AnswerBasis& basis,
                                           const tune::v1::LookupRequest& request,
                                           const tune::v1::LookupResponse& response);

 private:
  const Serving serving_;
  AnswerCache cache_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_SERVING_KNOWN_ANSWERS_H_
