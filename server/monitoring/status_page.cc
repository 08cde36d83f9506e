#include "server/monitoring/status_page.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace ladder {
namespace {

constexpr char kHead[] = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>ladderd</title><style>
:root{--ink:#1c2430;--soft:#667085;--line:#e3e7ed;--paper:#fff;--ground:#f5f7fa;--accent:#3b6fd4;--good:#1a8754;--bad:#c9372c}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2b3340;--paper:#171c24;--ground:#0f1319;
--accent:#7aa5ff;--good:#4cc38a;--bad:#ff7b72}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:14px/1.5 system-ui,sans-serif}
main{max-width:1100px;margin:0 auto;padding:24px 16px 48px}header{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
h1{font-size:22px;margin:0}h2{font-size:13px;margin:28px 0 8px;color:var(--soft);text-transform:uppercase;letter-spacing:.06em}
header span,.soft{color:var(--soft)}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;
margin-top:16px}.tile,.card{background:var(--paper);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 14px}.tile b{display:block;font-size:24px;font-weight:600;font-variant-numeric:tabular-nums}
.card{overflow-x:auto}table{width:100%;border-collapse:collapse}th,td{padding:7px 14px;text-align:left;white-space:nowrap}
th{font-weight:500;color:var(--soft);font-size:12px}tr+tr td{border-top:1px solid var(--line)}
thead+tbody tr:first-child td{border-top:1px solid var(--line)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.op{overflow-wrap:anywhere;font-family:ui-monospace,monospace;font-size:12px;white-space:normal;min-width:260px}
.bar{height:6px;border-radius:3px;background:var(--line);overflow:hidden;min-width:90px;margin-top:6px}
.bar i{display:block;height:100%;background:var(--accent)}.good{color:var(--good)}.bad{color:var(--bad)}
.empty{padding:12px 14px;color:var(--soft)}</style></head><body><main>
)";

std::string Escaped(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Digits in groups of three, with narrow spaces.
std::string Count(int64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') out += "\u202f";
    out += digits[i];
  }
  return out;
}

std::string Bytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

// "3 d 4 h", the two largest parts.
std::string Span(absl::Duration span) {
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(span));
  if (s < 60) return absl::StrCat(s, " s");
  if (s < 3600) return absl::StrCat(s / 60, " min ", s % 60, " s");
  if (s < 86400) return absl::StrCat(s / 3600, " h ", s % 3600 / 60, " min");
  return absl::StrCat(s / 86400, " d ", s % 86400 / 3600, " h");
}

std::string Microseconds(double us) { return us > 0 ? absl::StrFormat("%.2f µs", us) : ""; }

std::string Bar(double part) {
  return absl::StrFormat("<div class=\"bar\"><i style=\"width:%.1f%%\"></i></div>",
                         100 * std::min(1.0, std::max(0.0, part)));
}

std::string Tile(const std::string& name, const std::string& value, const std::string& below) {
  return absl::StrCat("<div class=\"tile\">", name, "<b>", value, "</b><span class=\"soft\">", below,
                      "</span></div>\n");
}

// Cells come escaped; a heading that starts with '#' is of numbers.
struct Table {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows = {};
  std::string empty;  // what to say without rows

  std::string Html() const {
    if (rows.empty()) return absl::StrCat("<div class=\"card empty\">", empty, "</div>\n");
    std::string out = "<div class=\"card\"><table><thead><tr>";
    for (const std::string& heading : headings) {
      const bool number = heading[0] == '#';
      absl::StrAppend(&out, number ? "<th class=\"n\">" : "<th>", heading.substr(number ? 1 : 0), "</th>");
    }
    absl::StrAppend(&out, "</tr></thead><tbody>\n");
    for (const std::vector<std::string>& row : rows) {
      absl::StrAppend(&out, "<tr>");
      for (size_t i = 0; i < row.size(); ++i) {
        const char* kind = headings[i][0] == '#'                                  ? "<td class=\"n\">"
                           : headings[i] == "operator" || headings[i] == "kernel" ? "<td class=\"op\">"
                                                                                  : "<td>";
        absl::StrAppend(&out, kind, row[i], "</td>");
      }
      absl::StrAppend(&out, "</tr>\n");
    }
    return absl::StrCat(out, "</tbody></table></div>\n");
  }
};

std::string Tiles(const Snapshot& s) {
  const StoreStats& cache = s.cache;
  const double rate = cache.lookups == 0 ? 0 : static_cast<double>(cache.hits) / static_cast<double>(cache.lookups);
  const double full = cache.limit_bytes == 0
                          ? 0
                          : static_cast<double>(cache.totals.binary_bytes) / static_cast<double>(cache.limit_bytes);
  std::string out = "<div class=\"tiles\">\n";
  absl::StrAppend(&out, Tile("Hit rate", cache.lookups == 0 ? "&ndash;" : absl::StrFormat("%.1f %%", 100 * rate),
                             absl::StrCat(Count(cache.hits), " of ", Count(cache.lookups), " look-ups", Bar(rate))));
  absl::StrAppend(
      &out, Tile("Cache", Bytes(cache.totals.binary_bytes),
                 absl::StrCat(cache.limit_bytes == 0 ? "no limit" : absl::StrCat("of ", Bytes(cache.limit_bytes)), ", ",
                              Bytes(cache.file_bytes), " on disk", Bar(full))));
  absl::StrAppend(&out, Tile("Records", Count(cache.totals.records),
                             absl::StrCat(Count(cache.totals.binaries), " binaries, ", Count(cache.totals.seeds),
                                          " rankings, generation ", cache.generation)));
  absl::StrAppend(&out, Tile("Tunes", Count(static_cast<int64_t>(s.tunes.size())),
                             absl::StrCat("now; ", Count(s.totals.done), " done, ", Count(s.totals.failed), " failed, ",
                                          Count(s.totals.cancelled), " cancelled")));
  if (cache.totals.quarantined > 0) {
    absl::StrAppend(&out,
                    Tile("Quarantine", absl::StrCat("<span class=\"bad\">", Count(cache.totals.quarantined), "</span>"),
                         "<code>ladder-cache quarantine</code> tells what"));
  }
  return absl::StrCat(out, "</div>\n");
}

std::string Gpus(const Snapshot& s) {
  Table table{{"GPU", "model", "driver", "state", "#worker deaths"}};
  table.empty = "None is configured: this service compiles and ranks.";
  for (const GpuState& gpu : s.gpus) {
    const std::string state = gpu.serving
                                  ? "<span class=\"good\">● serving</span>"
                                  : absl::StrCat("<span class=\"bad\">● not serving</span> ", Escaped(gpu.trouble));
    table.rows.push_back(
        {absl::StrCat(gpu.number), Escaped(gpu.model), Escaped(gpu.driver), state, Count(gpu.worker_deaths)});
  }
  return table.Html();
}

std::string Tuning(const Snapshot& s) {
  Table table{{"tune", "operator", "#M", "phase", "#best", "#time left", "#callers"}};
  table.empty = "Nothing is being tuned.";
  for (const TuneSummary& tune : s.tunes) {
    const TuningProgress& at = tune.latest.progress;
    const absl::string_view phase = Name(at.phase);
    const std::string counts =
        at.total > 0 ? absl::StrCat(" ", at.done, " of ", at.total, Bar(static_cast<double>(at.done) / at.total)) : "";
    table.rows.push_back({Escaped(tune.id), Escaped(tune.op_text), Count(tune.latest.m), absl::StrCat(phase, counts),
                          Microseconds(at.best_us), Span(absl::Milliseconds(tune.latest.eta_ms)), Count(tune.callers)});
  }
  return table.Html();
}

std::string Winners(const Snapshot& s) {
  Table table{{"#ago", "operator", "#M", "kernel", "#time"}};
  table.empty = "No tune has ended since the start.";
  for (const TuneWinner& winner : s.winners) {
    table.rows.push_back({Span(s.now - winner.at), Escaped(winner.op_text), Count(winner.m), Escaped(winner.candidate),
                          winner.median_us > 0 ? Microseconds(winner.median_us) : "not measured"});
  }
  return table.Html();
}

std::string Calls(const Snapshot& s) {
  Table table{{"call", "#ok", "#other", "#mean"}};
  table.empty = "Nobody has called yet.";
  for (const CallMetrics::Summary& call : s.calls) {
    table.rows.push_back(
        {Escaped(call.name), Count(call.ok), Count(call.failed), absl::StrFormat("%.2f ms", call.mean_ms)});
  }
  return table.Html();
}

}  // namespace

std::string StatusPage(const Snapshot& s) {
  return absl::StrCat(kHead, "<header><h1>ladderd</h1><span>", Escaped(s.version), " &middot; up ",
                      Span(s.now - s.started), " &middot; ",
                      s.compiler.empty() ? "no compiler known" : Escaped(s.compiler), " &middot; ",
                      Bytes(s.resident_bytes), " resident &middot; ", Escaped(s.cache.path), "</span></header>\n",
                      Tiles(s), "<h2>Tuning now</h2>\n", Tuning(s), "<h2>Last winners</h2>\n", Winners(s),
                      "<h2>GPUs</h2>\n", Gpus(s), "<h2>Calls since the start</h2>\n", Calls(s), "<p class=\"soft\">",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S", s.now, absl::UTCTimeZone()),
                      " UTC &middot; <a href=\"/metrics\">metrics</a></p></main></body></html>\n");
}

}  // namespace ladder
