#include "demur/coordinator/status.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "demur/base/html.h"
#include "demur/coordinator/recovery.h"
#include "demur/dp/accountant.h"
#include "round_store_rows.h"

namespace demur::coordinator {
namespace {

std::string Number(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

// Epsilon is an upper bound: what is shown may not be below it.
std::string UpperText(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f", std::ceil(value * 1000) / 1000);
  return text;
}

// A Prometheus label value.
std::string Label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

class MetricsWriter {
 public:
  void Add(std::string_view name, std::string_view type, std::string_view help, double value,
           const std::string& labels = {}) {
    out_ += "# HELP demur_" + std::string(name) + " " + std::string(help) + "\n";
    out_ += "# TYPE demur_" + std::string(name) + " " + std::string(type) + "\n";
    out_ += "demur_" + std::string(name) + labels + " " + Number(value) + "\n";
  }
  std::string Take() && { return std::move(out_); }

 private:
  std::string out_;
};

std::string Seconds(std::int64_t started, std::int64_t ended) {
  if (ended == 0) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(ended - started) / 1000);
  return text;
}

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
.sub { opacity: .7; margin-top: .2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; }
dl div { border: 1px solid #8885; border-radius: .5rem; padding: .5rem .8rem; }
dt { font-size: .8rem; opacity: .7; }
dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
progress { width: 100%; height: .8rem; }
.committed { color: #2a8a4a; }
.abandoned { color: #b3402f; }
)css";

void AddTile(std::string* out, std::string_view name, const std::string& value) {
  *out += "<div><dt>" + std::string(name) + "</dt><dd>" + HtmlEscape(value) + "</dd></div>\n";
}

void AddCell(std::string* out, std::string_view css, std::string_view text) {
  out->append("<td class=").append(css).append(">").append(HtmlEscape(text)).append("</td>");
}

std::string RoundText(RoundId id) {
  return std::to_string(id.epoch) + "." + std::to_string(id.counter);
}

std::string SessionText(const RoundRow& round) {
  std::string text(model::ToString(round.kind));
  if (round.rows > 0) text += ": " + std::to_string(round.rows) + " rows";
  return text;
}

void AddRounds(std::string* out, const std::vector<RoundRow>& rounds) {
  *out +=
      "<h2>Rounds</h2>\n<table><tr><th>round</th><th>session</th><th>state</th><th "
      "class=n>invited</th>"
      "<th class=n>roster</th><th class=n>in the sum</th><th class=n>time</th><th>why</th></tr>\n";
  for (const RoundRow& round : rounds) {
    const std::string_view state = ToString(round.state);
    *out += "<tr>";
    AddCell(out, "id", RoundText(round.id));
    AddCell(out, "id", SessionText(round));
    AddCell(out, state, state);
    AddCell(out, "n", std::to_string(round.cohort));
    AddCell(out, "n", std::to_string(round.roster));
    AddCell(out, "n", std::to_string(round.survivors));
    AddCell(out, "n", Seconds(round.started_unix_ms, round.ended_unix_ms));
    AddCell(out, "why", round.reason);
    *out += "</tr>\n";
  }
  *out += "</table>\n";
}

Json BudgetJson(const std::optional<BudgetView>& budget) {
  if (!budget) return {};
  Json out;
  out.Set("upper", budget->epsilon_spent).Set("budget", budget->epsilon_budget);
  out.Set("delta", budget->delta).Set("unit", "enrolled identity, life of the task");
  out.Set("adjacency", dp::EpsilonReport::kAdjacency)
      .Set("mechanism", dp::EpsilonReport::kMechanism);
  out.Set("participation", Json().Set("max_rounds", budget->participations_max));
  out.Set("rounds_charged", budget->rounds_charged)
      .Set("weak_privacy", budget->weak_privacy)
      .Set("restored_from_backup", budget->restored);
  return out;
}

}  // namespace

Result<std::optional<BudgetView>> ViewBudget(const dp::Ledger& ledger, const PreparedTask& task,
                                             std::uint32_t epoch) {
  if (!ledger.policy().noise) return std::optional<BudgetView>();
  DEMUR_TRY(const std::uint64_t units, ledger.EpsilonUnits());
  const model::PrivacyPlan& plan = task.plan_template().privacy;
  BudgetView out;
  out.epsilon_spent = std::ldexp(static_cast<double>(units), -40);
  out.epsilon_budget = plan.epsilon;
  out.delta = plan.delta;
  out.participations_max = plan.participations_max;
  out.rounds_charged = static_cast<std::uint32_t>(ledger.rounds_charged());
  out.weak_privacy = plan.weak_privacy;
  out.restored = epoch > kFirstEpoch;
  // What was charged after the copy was made is not known; what the plan promises, devices keep.
  if (out.restored) out.epsilon_spent = std::max(out.epsilon_spent, plan.epsilon);
  return std::optional<BudgetView>(out);
}

Result<StatusView> StoredStatus(RoundStore& store, const PreparedTask& task,
                                const secagg::PopulationStatement* population) {
  DEMUR_TRY(const Snapshot snapshot, store.Load());
  DEMUR_RETURN_IF_ERROR(CheckTask(snapshot.task, task));
  const Result<dp::Ledger> ledger = ReplayLedger(snapshot, task);
  if (!ledger) return WithPlaceAndCure(ledger.error(), store.path());
  StatusView out;
  out.task_name = task.config().name;
  out.task_id = ToHex(task.id());
  out.algorithm = task.config().model.algorithm;
  out.secagg_profile = task.config().secagg.profile;
  out.cohort_rule = secagg::DescribeCohort(task.config().eligibility.RateUnits(), population);
  out.phase = snapshot.open_round ? ToString(snapshot.open_round->state) : "between rounds";
  out.epoch = snapshot.epoch;
  out.revocations = snapshot.revoked.sequence;
  out.round = snapshot.last_counter + (snapshot.open_round ? 0 : 1);
  out.rounds_max = task.config().rounds;
  out.rounds_committed = snapshot.committed;
  out.rounds_abandoned = snapshot.abandoned;
  out.model_version = snapshot.model.version;
  out.model_sha256 = ToHex(snapshot.model.hash);
  DEMUR_TRY(out.budget, ViewBudget(*ledger, task, snapshot.epoch));
  return out;
}

std::string DescribePrivacy(const std::optional<BudgetView>& budget) {
  if (!budget) return "secure aggregation only, no DP";
  const std::string restored = budget->restored ? "; restored from a backup: counted as spent "
                                                  "whole, as charges after the copy are not known"
                                                : "";
  return "epsilon <= " + UpperText(budget->epsilon_spent) + " of " +
         Number(budget->epsilon_budget) + " spent, delta " + Number(budget->delta) + ", per " +
         std::string(dp::EpsilonReport::kUnit) + " over the life of the task (" +
         std::string(dp::EpsilonReport::kAdjacency) + " adjacency), " +
         std::string(dp::EpsilonReport::kMechanism) + ", at most " +
         std::to_string(budget->participations_max) + " participations, no amplification" +
         (budget->weak_privacy ? ", WEAK PRIVACY asked for" : "") + restored;
}

Json ToJson(const RoundRow& round) {
  Json out;
  out.Set("epoch", round.id.epoch).Set("round", round.id.counter).Set("attempt", round.attempt);
  out.Set("session", model::ToString(round.kind)).Set("rows", round.rows);
  out.Set("state", ToString(round.state)).Set("reason", round.reason);
  out.Set("cohort", round.cohort).Set("roster", round.roster).Set("survivors", round.survivors);
  out.Set("survivors_sha256", ToHex(round.survivors_hash)).Set("sum_sha256", ToHex(round.sum_hash));
  out.Set("model_version_before", round.model_version);
  out.Set("started_unix_ms", round.started_unix_ms).Set("ended_unix_ms", round.ended_unix_ms);
  return out;
}

Json ToJson(const StatusView& status) {
  Json out;
  out.Set("schema", 1).Set("server", status.server_name).Set("task", status.task_name);
  out.Set("task_id", status.task_id).Set("algorithm", status.algorithm);
  out.Set("secagg_profile", status.secagg_profile).Set("phase", status.phase);
  out.Set("cohort_rule", status.cohort_rule);
  out.Set("epoch", status.epoch).Set("round", status.round).Set("rounds_max", status.rounds_max);
  out.Set("rounds_committed", status.rounds_committed);
  out.Set("rounds_abandoned", status.rounds_abandoned);
  out.Set("model_version", status.model_version).Set("model_sha256", status.model_sha256);
  out.Set("devices_connected", status.devices_connected);
  out.Set("devices_eligible", status.devices_eligible);
  out.Set("cohort", status.cohort).Set("answered", status.answered);
  out.Set("declined", status.declined_total).Set("faults", status.faults_total);
  out.Set("revocation_list", status.revocations);
  out.Set("revocation_lists_refused", status.revocations_refused);
  out.Set("certificate_not_after_unix_s", status.certificate_not_after);
  out.Set("bytes_received", status.bytes_received).Set("bytes_sent", status.bytes_sent);
  out.Set("privacy", DescribePrivacy(status.budget)).Set("epsilon", BudgetJson(status.budget));
  Json rounds{Json::Array{}};
  for (const RoundRow& round : status.rounds) rounds.Append(ToJson(round));
  out.Set("rounds", std::move(rounds));
  return out;
}

std::string RenderMetrics(const StatusView& status) {
  MetricsWriter out;
  out.Add("info", "gauge", "What this coordinator runs.", 1,
          "{server=\"" + Label(status.server_name) + "\",task=\"" + Label(status.task_name) +
              "\",algorithm=\"" + Label(status.algorithm) + "\",secagg_profile=\"" +
              Label(status.secagg_profile) + "\",cohort=\"" + Label(status.cohort_rule) + "\"}");
  out.Add("phase", "gauge", "1 for the phase the round machine is in.", 1,
          "{phase=\"" + Label(status.phase) + "\"}");
  out.Add("rounds_committed_total", "counter", "Rounds whose model was committed.",
          status.rounds_committed);
  out.Add("rounds_abandoned_total", "counter", "Rounds that ended without a model.",
          status.rounds_abandoned);
  out.Add("rounds_max", "gauge", "Rounds the task may run.", status.rounds_max);
  out.Add("model_version", "gauge", "Newest committed model.",
          static_cast<double>(status.model_version));
  out.Add("devices_connected", "gauge", "Devices with an open session.", status.devices_connected);
  out.Add("devices_eligible", "gauge", "Connected devices with participations left.",
          status.devices_eligible);
  out.Add("round_cohort_devices", "gauge", "Devices invited to the open round.", status.cohort);
  out.Add("round_answered_devices", "gauge", "Devices that answered in the current phase.",
          status.answered);
  out.Add("received_bytes_total", "counter", "Frames received, header included.",
          static_cast<double>(status.bytes_received));
  out.Add("sent_bytes_total", "counter", "Frames sent, header included.",
          static_cast<double>(status.bytes_sent));
  out.Add("connections_total", "counter", "Connections accepted.",
          static_cast<double>(status.connections_total));
  out.Add("connections_refused_total", "counter", "Connections that were not admitted.",
          static_cast<double>(status.connections_refused));
  out.Add("device_faults_total", "counter", "Messages that were refused.",
          static_cast<double>(status.faults_total));
  out.Add("invitations_declined_total", "counter",
          "Invitations that devices turned down before they advertised.",
          static_cast<double>(status.declined_total));
  out.Add("revocation_list", "gauge", "Sequence of the revocation list in force.",
          static_cast<double>(status.revocations));
  out.Add("revocation_lists_refused_total", "counter",
          "Times that revoked.json was missing, older or not the authority's.",
          static_cast<double>(status.revocations_refused));
  if (status.certificate_not_after > 0) {
    out.Add("certificate_not_after_seconds", "gauge",
            "When the coordinator's certificate expires, Unix time.",
            static_cast<double>(status.certificate_not_after));
  }
  out.Add("uptime_seconds", "gauge", "Since this process started serving.", status.uptime_seconds);
  if (status.budget) {
    const std::string labels = "{unit=\"" + std::string(dp::EpsilonReport::kUnit) +
                               "\",adjacency=\"" + std::string(dp::EpsilonReport::kAdjacency) +
                               "\",mechanism=\"skellam\","
                               "delta=\"" +
                               Number(status.budget->delta) + "\",participations_max=\"" +
                               std::to_string(status.budget->participations_max) + "\"}";
    out.Add("privacy_epsilon_spent", "gauge", "Upper bound of what is charged so far.",
            status.budget->epsilon_spent, labels);
    out.Add("privacy_epsilon_budget", "gauge", "What may be charged over the life of the task.",
            status.budget->epsilon_budget, labels);
  }
  return std::move(out).Take();
}

std::string RenderPage(const StatusView& status) {
  std::string out =
      "<!doctype html>\n<html lang=en><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width\"><meta http-equiv=refresh content=5>"
      "<title>demur coordinator</title>\n<style>" +
      std::string(kStyle) + "</style>\n";
  out += "<h1>" + HtmlEscape(status.task_name) + "</h1>\n<p class=sub>" +
         HtmlEscape(status.algorithm) + " on " + HtmlEscape(status.server_name) + ", " +
         HtmlEscape(status.secagg_profile) + " profile, epoch " + std::to_string(status.epoch) +
         "</p>\n<dl>\n";
  AddTile(&out, "phase", status.phase);
  AddTile(&out, "round", std::to_string(status.round));
  AddTile(
      &out, "committed / abandoned",
      std::to_string(status.rounds_committed) + " / " + std::to_string(status.rounds_abandoned));
  AddTile(&out, "devices connected", std::to_string(status.devices_connected));
  AddTile(&out, "eligible", std::to_string(status.devices_eligible));
  AddTile(&out, "answered / invited",
          std::to_string(status.answered) + " / " + std::to_string(status.cohort));
  AddTile(&out, "model version", std::to_string(status.model_version));
  AddTile(&out, "model SHA-256", status.model_sha256.substr(0, 12));
  out += "</dl>\n<h2>Task</h2>\n<p>" + std::to_string(status.rounds_committed) + " of " +
         std::to_string(status.rounds_max) +
         " rounds</p><progress max=" + std::to_string(status.rounds_max) +
         " value=" + std::to_string(status.rounds_committed) +
         "></progress>\n<h2>Privacy</h2>\n<p>cohort: " + HtmlEscape(status.cohort_rule) +
         "</p>\n<p>" + HtmlEscape(DescribePrivacy(status.budget)) + "</p>\n";
  if (status.budget) {
    out += "<progress max=" + Number(status.budget->epsilon_budget) +
           " value=" + Number(status.budget->epsilon_spent) + "></progress>\n";
  }
  AddRounds(&out, status.rounds);
  return out + "</html>\n";
}

}  // namespace demur::coordinator
