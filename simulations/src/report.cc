#include "demur/simulations/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "demur/base/file.h"

namespace demur::sim {
namespace {

constexpr std::string_view kTitles[] = {"random",         "popularity",   "like rate",
                                        "bias only",      "local only",   "federated",
                                        "federated + DP", "central twin", "oracle"};
static_assert(std::size(kTitles) == kModelNames.size());

Json ModelJson(const ModelResult& model) {
  Json out;
  for (std::size_t m = 0; m < kNumMetrics; ++m) out.Set(kMetricNames[m], model.mean[m]);
  Json intervals{Json::Object{}};
  for (std::size_t m = 0; m < kNumMetrics; ++m) {
    if (!std::isfinite(model.low[m]) || !std::isfinite(model.high[m])) continue;
    intervals.Set(kMetricNames[m], Json(Json::Array{model.low[m], model.high[m]}));
  }
  out.Set("ci95", std::move(intervals));
  return out;
}

Json EpsilonJson(const EpsilonReport& e) {
  Json out;
  out.Set("upper", e.upper)
      .Set("lower", e.lower)
      .Set("delta", e.delta)
      .Set("unit", e.unit)
      .Set("adjacency", e.adjacency)
      .Set("mechanism", e.mechanism)
      .Set("participation", e.participation)
      .Set("trusted_parties", e.trusted_parties)
      .Set("weak_privacy", e.weak_privacy);
  return out;
}

std::string Fixed(double value, int digits) {
  if (!std::isfinite(value)) return "";
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

}  // namespace

std::string_view ModelTitle(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kModelNames.size(); ++i) {
    if (kModelNames[i] == name) return kTitles[i];
  }
  return name;
}

std::string PrivacyLine(const std::optional<EpsilonReport>& epsilon) {
  if (!epsilon) return "secure aggregation only, no DP";
  char numbers[96];
  std::snprintf(numbers, sizeof(numbers), "epsilon <= %.3f at delta %.3g per %s", epsilon->upper,
                epsilon->delta, epsilon->unit.c_str());
  return std::string(numbers) + "; adjacency: " + epsilon->adjacency + "; " + epsilon->mechanism +
         "; " + epsilon->participation + "; trusted: " + epsilon->trusted_parties +
         (epsilon->weak_privacy ? "; WEAK PRIVACY was asked for" : "");
}

Json ReportJson(const Report& report) {
  Json out;
  Json seeds{Json::Array{}};
  for (const std::uint64_t seed : report.seeds) seeds.Append(seed);
  Json dataset;
  dataset.Set("name", report.dataset.name)
      .Set("users", report.dataset.users)
      .Set("items", report.dataset.items)
      .Set("events", report.dataset.events)
      .Set("negatives", report.dataset.negatives);
  Json cpu;
  cpu.Set("noise_off", report.cpu_us_noise_off).Set("noise_on", report.cpu_us_noise_on);
  Json models{Json::Object{}};
  for (const ModelResult& model : report.models) models.Set(model.name, ModelJson(model));
  out.Set("schema", Report::kSchema)
      .Set("scenario", report.scenario)
      .Set("seeds", std::move(seeds))
      .Set("git", report.git)
      .Set("dataset", std::move(dataset))
      .Set("mode", report.mode)
      .Set("noise", report.noise)
      .Set("secagg_profile", report.secagg_profile)
      .Set("identity_authority", report.identity_authority)
      .Set("cohort", report.cohort)
      .Set("rounds_committed", report.rounds_committed)
      .Set("rounds_abandoned", report.rounds_abandoned)
      .Set("clients_per_round", report.clients_per_round)
      .Set("epsilon", report.epsilon ? EpsilonJson(*report.epsilon) : Json())
      .Set("bytes_up_per_client", report.bytes_up_per_client)
      .Set("bytes_down_per_client", report.bytes_down_per_client)
      .Set("wall_seconds", report.wall_seconds)
      .Set("cpu_us_per_update", std::move(cpu))
      .Set("model_sha256", report.model_sha256)
      .Set("models", std::move(models));
  return out;
}

std::string MetricsCsv(const Report& report) {
  std::string out =
      "seed,model,round,committed,cohort,rows,left_before_masking,left_after_masking,untrained,"
      "update_norm,wall_ms,validation_auc\n";
  for (const RoundRow& row : report.rounds) {
    out += std::to_string(row.seed) + "," + row.model + "," + std::to_string(row.round) + "," +
           (row.committed ? "1" : "0") + "," + std::to_string(row.cohort) + "," +
           std::to_string(row.rows) + "," + std::to_string(row.before_masking) + "," +
           std::to_string(row.after_masking) + "," + std::to_string(row.untrained) + "," +
           Fixed(row.update_norm, 6) + "," + Fixed(row.wall_ms, 3) + "," + Fixed(row.auc, 6) + "\n";
  }
  return out;
}

Status WriteReport(const Report& report, const std::string& folder) {
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder));
  const std::string json = ReportJson(report).Dump(2) + "\n";
  DEMUR_RETURN_IF_ERROR(
      WriteFileAtomically(folder + "/report.json", AsBytes(json), FileMode::kPublic));
  DEMUR_RETURN_IF_ERROR(
      WriteFileAtomically(folder + "/metrics.csv", AsBytes(MetricsCsv(report)), FileMode::kPublic));
  return WriteFileAtomically(folder + "/report.html", AsBytes(ReportHtml(report)),
                             FileMode::kPublic);
}

namespace {

double NumberAt(const Json& object, std::string_view key) {
  const Json* found = object.Find(key);
  if (found == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const auto number = found->Number();
  return number ? *number : std::numeric_limits<double>::quiet_NaN();
}

std::string TextAt(const Json& object, std::string_view key) {
  const Json* found = object.Find(key);
  return found != nullptr && found->text() != nullptr ? *found->text() : std::string();
}

std::optional<EpsilonReport> EpsilonOf(const Json& report) {
  const Json* e = report.Find("epsilon");
  if (e == nullptr || e->is_null()) return std::nullopt;
  EpsilonReport out;
  out.upper = NumberAt(*e, "upper");
  out.delta = NumberAt(*e, "delta");
  out.unit = TextAt(*e, "unit");
  out.adjacency = TextAt(*e, "adjacency");
  out.mechanism = TextAt(*e, "mechanism");
  out.participation = TextAt(*e, "participation");
  out.trusted_parties = TextAt(*e, "trusted_parties");
  const Json* weak = e->Find("weak_privacy");
  out.weak_privacy = weak != nullptr && weak->boolean() != nullptr && *weak->boolean();
  return out;
}

std::string Cell(std::string text, std::size_t width) {
  if (text.empty()) text = "-";
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

void AppendRows(const Json& report, std::string* out) {
  constexpr Metric kShown[] = {kAuc, kGaucImpr, kLogLoss, kHitRate, kNdcg, kDislikeShare};
  *out += "  model            ";
  for (const Metric metric : kShown) *out += Cell(std::string(kMetricNames[metric]), 17);
  *out += "\n";
  const Json& models = *report.Find("models");
  for (const std::string_view name : kModelNames) {
    const Json* model = models.Find(name);
    if (model == nullptr) continue;
    std::string title(ModelTitle(name));
    title.resize(17, ' ');
    *out += "  " + title;
    for (const Metric metric : kShown) {
      *out += Cell(Fixed(NumberAt(*model, kMetricNames[metric]), 4), 17);
    }
    *out += "\n";
  }
}

}  // namespace

Result<std::string> ClosingTable(const std::vector<Json>& reports) {
  std::string out;
  for (const Json& report : reports) {
    const Json* models = report.Find("models");
    const Json* dataset = report.Find("dataset");
    if (models == nullptr || models->object() == nullptr || dataset == nullptr) {
      return Error(ErrorCode::kInvalidArgument, "not a report.json of demur-sim");
    }
    char head[160];
    std::snprintf(head, sizeof(head), "%.0f people, %.0f items, %.0f rounds",
                  NumberAt(*dataset, "users"), NumberAt(*dataset, "items"),
                  NumberAt(report, "rounds_committed"));
    out += "\n" + TextAt(report, "scenario") + " (" + TextAt(*dataset, "name") + "): " + head +
           ", mode " + TextAt(report, "mode") + "\n";
    const auto epsilon = EpsilonOf(report);
    if (epsilon && models->Find("federated") != nullptr) {
      out += "  federated: " + PrivacyLine(std::nullopt) + "\n";
    }
    out += std::string("  ") + (epsilon ? "federated + DP: " : "") + PrivacyLine(epsilon) + "\n";
    AppendRows(report, &out);
  }
  return out;
}

}  // namespace demur::sim
