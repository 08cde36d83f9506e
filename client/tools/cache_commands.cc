#include "client/tools/cache_commands.h"

#include <grpcpp/client_context.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/grpc_status.h"
#include "client/tools/operator_input.h"
#include "client/tools/record_json.h"
#include "client/tools/roofline.h"
#include "client/tools/text_table.h"

namespace ladder::tools {

using client::FromGrpc;
using nlohmann::json;
namespace pb = tune::v1;

namespace {

void Print(const json& document) { std::cout << document.dump(2, ' ', false, json::error_handler_t::replace) << "\n"; }

std::string ShortKey(const std::string& key) { return key.substr(0, 12); }

std::string TimeText(int64_t unix_seconds) {
  return unix_seconds <= 0
             ? "-"
             : absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(unix_seconds), absl::LocalTimeZone());
}

json ToArray(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  return json(std::vector<std::string>(texts.begin(), texts.end()));
}

std::string WinnerText(const pb::TuningRecord& record) {
  return record.ranked_size() > 0 ? Describe(record.ranked(0).candidate()) : "none";
}

}  // namespace

absl::StatusOr<int64_t> ParseBytes(const std::string& option, const std::string& text) {
  struct Unit {
    const char* name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}, {"tib", 1099511627776.0},
                             {"kb", 1e3},     {"mb", 1e6},        {"gb", 1e9},           {"tb", 1e12},
                             {"k", 1024.0},   {"m", 1048576.0},   {"g", 1073741824.0},   {"b", 1.0}};
  std::string number = absl::AsciiStrToLower(text);
  double factor = 1;
  for (const Unit& unit : kUnits) {
    const std::string name = unit.name;
    if (number.size() > name.size() && number.compare(number.size() - name.size(), name.size(), name) == 0) {
      number.resize(number.size() - name.size());
      factor = unit.bytes;
      break;
    }
  }
  double value = 0;
  if (!absl::SimpleAtod(number, &value) || !(value >= 0) || value * factor > 9e18) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": \"", text, "\" is not a size; write 10GiB, 500MB or bytes"));
  }
  return static_cast<int64_t>(value * factor);
}

absl::Status CacheCommands::List(bool with_trace) {
  grpc::ClientContext context;
  pb::ListRequest request;
  request.set_with_trace(with_trace);
  const auto reader = admin_->List(&context, request);
  TextTable table;
  table.Column("key", TextTable::Align::kLeft).Column("kind", TextTable::Align::kLeft);
  table.Column("operator", TextTable::Align::kLeft).Column("M").Column("time us").Column("predicted us");
  table.Column("target", TextTable::Align::kLeft).Column("winner", TextTable::Align::kLeft);
  table.Column("made", TextTable::Align::kLeft);
  json records = json::array();
  pb::TuningRecord record;
  while (reader->Read(&record)) {
    if (json_) {
      records.push_back(RecordToJson(record, with_trace));
      continue;
    }
    const bool ranked = record.ranked_size() > 0;
    table.Row({ShortKey(record.key()), KindName(record.kind()), record.op_text(), absl::StrCat(record.m()),
               Digits(ranked ? record.ranked(0).measurement().median_us() : 0),
               Digits(ranked ? record.ranked(0).predicted_us() : 0), TargetName(record.target()), WinnerText(record),
               TimeText(record.created_unix())});
  }
  if (absl::Status status = FromGrpc(reader->Finish()); !status.ok()) return status;
  if (json_) {
    Print({{"records", std::move(records)}});
  } else {
    std::cout << (table.empty() ? "The cache is empty; ladder-tune fills it.\n" : table.ToString());
  }
  return absl::OkStatus();
}

absl::Status CacheCommands::Explain(const ExplainFlags& flags) {
  grpc::ClientContext context;
  pb::ExplainRequest request;
  if (flags.key.empty()) {
    *request.mutable_op() = flags.op;
    request.set_target(flags.target);
  } else {
    request.set_key(flags.key);
  }
  pb::ExplainResponse response;
  if (absl::Status status = FromGrpc(admin_->Explain(&context, request, &response)); !status.ok()) return status;
  json entries = json::array();
  for (const pb::ExplainResponse::Entry& entry : response.entries()) {
    if (json_) {
      json object = {
          {"m", entry.m()}, {"key", entry.key()}, {"key_text", entry.key_text()}, {"verdict", entry.verdict()}};
      if (entry.has_record()) object["record"] = RecordToJson(entry.record(), /*with_trace=*/false);
      entries.push_back(std::move(object));
      continue;
    }
    std::cout << "M = " << entry.m() << ": " << entry.verdict() << "\nkey " << entry.key() << ", made of\n";
    for (absl::string_view line : absl::StrSplit(entry.key_text(), '\n', absl::SkipEmpty())) {
      std::cout << "  " << line << "\n";
    }
    if (entry.has_record()) {
      std::cout << "record " << entry.record().generation() << ", " << KindName(entry.record().kind()) << ", "
                << TimeText(entry.record().created_unix()) << ", by " << entry.record().environment().compiler() << ": "
                << WinnerText(entry.record()) << "\n";
    }
    std::cout << "\n";
  }
  if (json_) Print({{"entries", std::move(entries)}});
  return absl::OkStatus();
}

absl::Status CacheCommands::Verify() {
  grpc::ClientContext context;
  pb::VerifyResponse response;
  if (absl::Status status = FromGrpc(admin_->Verify(&context, {}, &response)); !status.ok()) return status;
  if (json_) {
    Print({{"records", response.records()},
           {"binaries", response.binaries()},
           {"problems", ToArray(response.problems())}});
  } else {
    std::cout << response.records() << " records and " << response.binaries() << " binaries checked\n";
    for (const std::string& problem : response.problems()) std::cout << "problem: " << problem << "\n";
  }
  if (response.problems().empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(response.problems_size(),
                                          " problems were found; what is damaged was set aside and counts as a miss"));
}

absl::Status CacheCommands::Evict(const EvictFlags& flags) {
  pb::EvictRequest request;
  for (const std::string& key : flags.keys) request.add_keys(key);
  request.set_all(flags.all);
  if (!flags.down_to.empty()) {
    const absl::StatusOr<int64_t> bytes = ParseBytes("--down-to", flags.down_to);
    if (!bytes.ok()) return bytes.status();
    request.set_down_to_bytes(*bytes);
  }
  if (flags.keys.empty() && !flags.all && flags.down_to.empty()) {
    return absl::InvalidArgumentError("evict: say what: keys, --down-to SIZE or --all");
  }
  grpc::ClientContext context;
  pb::EvictResponse response;
  if (absl::Status status = FromGrpc(admin_->Evict(&context, request, &response)); !status.ok()) return status;
  if (json_) {
    Print({{"records", response.records()}, {"binaries", response.binaries()}, {"bytes", response.bytes()}});
  } else {
    std::cout << "Evicted " << response.records() << " records and " << response.binaries() << " binaries ("
              << HumanBytes(response.bytes()) << ").\n";
  }
  return absl::OkStatus();
}

absl::Status CacheCommands::Stats() {
  grpc::ClientContext context;
  pb::StatsResponse response;
  if (absl::Status status = FromGrpc(admin_->Stats(&context, {}, &response)); !status.ok()) return status;
  if (json_) {
    Print({{"path", response.path()},
           {"schema_version", response.schema_version()},
           {"generation", response.generation()},
           {"records", response.records()},
           {"seeds", response.seeds()},
           {"binaries", response.binaries()},
           {"binary_bytes", response.binary_bytes()},
           {"file_bytes", response.file_bytes()},
           {"limit_bytes", response.limit_bytes()},
           {"lookups", response.lookups()},
           {"hits", response.hits()},
           {"quarantined", response.quarantined()},
           {"public_key", response.public_key()},
           {"trusted_keys", ToArray(response.trusted_keys())}});
    return absl::OkStatus();
  }
  std::cout << "path         " << response.path() << "\nschema       " << response.schema_version() << "\ngeneration   "
            << response.generation() << "\nrecords      " << response.records() << ", of them ranked only "
            << response.seeds() << "\nbinaries     " << response.binaries() << ", "
            << HumanBytes(response.binary_bytes()) << "\nfile         " << HumanBytes(response.file_bytes()) << " of "
            << HumanBytes(response.limit_bytes()) << "\nlook-ups     " << response.lookups() << ", hits "
            << response.hits() << "\nquarantined  " << response.quarantined() << "\npublic key   "
            << response.public_key() << "\n";
  for (const std::string& key : response.trusted_keys()) std::cout << "trusts       " << key << "\n";
  return absl::OkStatus();
}

absl::Status CacheCommands::Trust(const std::string& key, bool remove) {
  grpc::ClientContext context;
  pb::TrustKeyRequest request;
  request.set_public_key(key);
  request.set_remove(remove);
  pb::TrustKeyResponse response;
  if (absl::Status status = FromGrpc(admin_->TrustKey(&context, request, &response)); !status.ok()) return status;
  if (json_) {
    Print({{"trusted_keys", ToArray(response.trusted_keys())}});
    return absl::OkStatus();
  }
  std::cout << "This cache trusts " << response.trusted_keys_size()
            << (response.trusted_keys_size() == 1 ? " key" : " keys")
            << (response.trusted_keys().empty() ? ".\n" : ":\n");
  for (const std::string& trusted : response.trusted_keys()) std::cout << "  " << trusted << "\n";
  return absl::OkStatus();
}

absl::Status CacheCommands::Quarantine() {
  grpc::ClientContext context;
  pb::QuarantineResponse response;
  if (absl::Status status = FromGrpc(admin_->Quarantine(&context, {}, &response)); !status.ok()) return status;
  json entries = json::array();
  TextTable table;
  table.Column("at", TextTable::Align::kLeft).Column("what", TextTable::Align::kLeft);
  table.Column("reason", TextTable::Align::kLeft);
  for (const pb::QuarantineResponse::Entry& entry : response.entries()) {
    entries.push_back({{"what", entry.what()}, {"reason", entry.reason()}, {"at_unix", entry.at_unix()}});
    table.Row({TimeText(entry.at_unix()), entry.what(), entry.reason()});
  }
  if (json_) {
    Print({{"entries", std::move(entries)}});
  } else {
    std::cout << (table.empty() ? "Nothing is quarantined.\n" : table.ToString());
  }
  return absl::OkStatus();
}

}  // namespace ladder::tools
