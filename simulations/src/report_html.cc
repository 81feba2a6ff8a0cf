#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "demur/base/html.h"
#include "demur/simulations/report.h"
#include "report_style.h"
#include "svg.h"

// report.html: one page that a person can read without this project, and mail to somebody else.
namespace demur::sim {
namespace {

std::string Fixed(double value, int digits) {
  if (!std::isfinite(value)) return "&ndash;";
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

std::string Grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string Kilobytes(std::uint64_t bytes) {
  return bytes < 1000 ? std::to_string(bytes) + " B"
                      : Fixed(static_cast<double>(bytes) / 1000, bytes < 100'000 ? 1 : 0) + " kB";
}

// CSS class of a model: what carries colour, and what stays in the background.
std::string_view Css(std::string_view model) {
  if (model == "federated") return "fed";
  if (model == "federated_dp") return "dp";
  if (model == "central" || model == "oracle") return model;
  return "base";
}

const ModelResult* Find(const Report& report, std::string_view name) {
  for (const ModelResult& model : report.models) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

constexpr std::string_view kHeads[kNumMetrics] = {
    "AUC",     "GAUC<small>impr</small>", "GAUC<small>pos</small>", "log-loss",   "HR@10",
    "NDCG@10", "Dislike&shy;Share@10",    "Neg&shy;Recall@10",      "signed GAUC"};

// Lower is better for these.
bool LowerIsBetter(std::size_t metric) {
  return metric == kLogLoss || metric == kDislikeShare || metric == kNegRecall;
}

void Tile(std::string* html, std::string_view css, const std::string& number,
          const std::string& text) {
  *html += "<div class=\"tile\"><b class=\"" + std::string(css) + "\">" + number + "</b><span>" +
           text + "</span></div>";
}

const ModelResult* BestBaseline(const Report& report) {
  const ModelResult* best = nullptr;
  for (const ModelResult& model : report.models) {
    if (Css(model.name) != "base" || !std::isfinite(model.mean[kAuc])) continue;
    if (best == nullptr || model.mean[kAuc] > best->mean[kAuc]) best = &model;
  }
  return best;
}

std::string Tiles(const Report& report) {
  std::string html = "<div class=\"tiles\">";
  const ModelResult* fed = Find(report, "federated");
  const ModelResult* dp = Find(report, "federated_dp");
  const ModelResult* central = Find(report, "central");
  const ModelResult* best = BestBaseline(report);
  if (fed != nullptr) {
    std::string text = "AUC, federated";
    if (best != nullptr) {
      text += "; best baseline " + Fixed(best->mean[kAuc], 3) + " (" +
              HtmlEscape(ModelTitle(best->name)) + ")";
    }
    Tile(&html, "fed", Fixed(fed->mean[kAuc], 3), text);
  }
  if (dp != nullptr) {
    Tile(&html, "dp", Fixed(dp->mean[kAuc], 3),
         "AUC, federated with differential privacy" +
             (report.epsilon ? " at &epsilon; &le; " + Fixed(report.epsilon->upper, 2)
                             : std::string()));
  }
  if (central != nullptr) {
    Tile(&html, "", Fixed(central->mean[kAuc], 3),
         "AUC of the same model trained centrally, with all events in one place");
  }
  Tile(&html, "", Kilobytes(report.bytes_up_per_client), "sent by a device in one round");
  return html + "</div>";
}

void Row(std::string* html, const Report& report, const ModelResult& model) {
  const std::string css(Css(model.name));
  *html += "<tr class=\"" + css + "\"><td><span class=\"swatch " + css + "\"></span>" +
           HtmlEscape(ModelTitle(model.name)) + "</td>";
  for (std::size_t m = 0; m < kNumMetrics; ++m) {
    // The best of the models that somebody could run: the oracle knows the truth.
    bool best = model.name != "oracle" && std::isfinite(model.mean[m]);
    for (const ModelResult& other : report.models) {
      if (other.name == "oracle" || !std::isfinite(other.mean[m])) continue;
      best = best &&
             (LowerIsBetter(m) ? other.mean[m] >= model.mean[m] : other.mean[m] <= model.mean[m]);
    }
    const bool interval = model.low[m] < model.high[m];
    *html +=
        std::string("<td") + (best ? " class=\"best\"" : "") + ">" + Fixed(model.mean[m], 4) +
        (interval ? "<small>&plusmn; " + Fixed((model.high[m] - model.low[m]) / 2, 4) + "</small>"
                  : std::string()) +
        "</td>";
  }
  *html += "</tr>";
}

std::string Results(const Report& report) {
  std::string html =
      "<section><h2>Results</h2><p class=\"sub\">Test events that no training and no choice of "
      "settings has seen. Green: the best of the models that could be deployed. &plusmn;: "
      "95&nbsp;% "
      "interval.</p><div class=\"scroll\"><table><thead><tr><th>model</th>";
  for (const std::string_view head : kHeads) html += "<th>" + std::string(head) + "</th>";
  html += "</tr></thead><tbody>";
  for (const std::string_view name : kModelNames) {
    if (const ModelResult* model = Find(report, name)) Row(&html, report, *model);
  }
  return html + "</tbody></table></div></section>";
}

std::string Bars(const Report& report) {
  std::vector<PlotBar> bars;
  for (const ModelResult& model : report.models) {
    if (!std::isfinite(model.mean[kAuc])) continue;
    bars.push_back({.label = std::string(ModelTitle(model.name)),
                    .css = std::string(Css(model.name)),
                    .value = model.mean[kAuc],
                    .low = model.low[kAuc],
                    .high = model.high[kAuc]});
  }
  std::stable_sort(bars.begin(), bars.end(),
                   [](const PlotBar& a, const PlotBar& b) { return a.value < b.value; });
  double origin = 0.5;
  for (const PlotBar& bar : bars) origin = std::min(origin, std::floor(bar.value * 20) / 20);
  return "<section><h2>AUC by model</h2><p class=\"sub\">How often a liked item is placed above a "
         "rejected one, over all pairs of the test set. The axis starts near chance.</p>" +
         DotPlot(bars, "AUC on the test set", origin) + "</section>";
}

std::string Curve(const Report& report) {
  std::vector<PlotLine> lines;
  for (const std::string_view name : {"federated", "federated_dp"}) {
    PlotLine line{
        .label = std::string(ModelTitle(name)), .css = std::string(Css(name)), .points = {}};
    for (const RoundRow& row : report.rounds) {
      if (row.model != name || row.seed != report.seeds.front() || !std::isfinite(row.auc)) {
        continue;
      }
      line.points.emplace_back(row.round, row.auc);
    }
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  std::vector<PlotLevel> levels;
  for (const std::string_view name :
       {"like_rate", "bias_only", "local_only", "central", "oracle"}) {
    const ModelResult* model = Find(report, name);
    if (model == nullptr || !std::isfinite(model->mean[kAuc])) continue;
    levels.push_back({std::string(ModelTitle(name)), std::string(Css(name)), model->mean[kAuc]});
  }
  const std::string plot = CurvePlot(lines, levels, "round", "AUC");
  if (plot.empty()) return "";
  return "<section><h2>Learning curve</h2><p class=\"sub\">Curves: validation events of a sample "
         "of "
         "people, first seed, after each measured round. Dashed: the finished models on the test "
         "set.</p>" +
         plot + "</section>";
}

std::string Privacy(const Report& report) {
  const bool both = report.epsilon && Find(report, "federated") != nullptr;
  std::string html;
  if (report.epsilon) {
    const EpsilonReport& e = *report.epsilon;
    char delta[32];
    std::snprintf(delta, sizeof(delta), "%.3g", e.delta);
    html = std::string("<section class=\"privacy\"><h2>Privacy") +
           (both ? " of federated + DP" : "") + "</h2><strong class=\"big\">&epsilon; &le; " +
           Fixed(e.upper, 3) + " at &delta; = " + delta + (e.weak_privacy ? " (weak)" : "") +
           "</strong><dl><dt>unit</dt><dd>" + HtmlEscape(e.unit) + "</dd><dt>adjacency</dt><dd>" +
           HtmlEscape(e.adjacency) + "</dd><dt>mechanism</dt><dd>" + HtmlEscape(e.mechanism) +
           "</dd><dt>participation</dt><dd>" + HtmlEscape(e.participation) +
           "</dd><dt>trusted parties</dt><dd>" + HtmlEscape(e.trusted_parties) +
           "</dd><dt>audited lower bound</dt><dd>" +
           (std::isfinite(e.lower) ? Fixed(e.lower, 3) : std::string("none was run")) + "</dd>";
    if (e.weak_privacy) {
      html += "<dt>weak privacy</dt><dd>An epsilon above 10 was asked for in so many words.</dd>";
    }
    html += "</dl></section>";
  }
  if (!report.epsilon || both) {
    html += std::string("<section class=\"privacy none\"><h2>Privacy") +
            (both ? " of federated" : "") +
            "</h2><strong class=\"big\">secure aggregation only, no DP</strong><p class=\"sub\">"
            "The server sees sums over a round and never one device's update. The sums themselves "
            "are exact, so they carry no bound on what can be inferred about one person.</p>"
            "</section>";
  }
  return html;
}

void Pair(std::string* html, std::string_view name, const std::string& value) {
  *html += "<dt>" + std::string(name) + "</dt><dd>" + value + "</dd>";
}

std::string Cost(const Report& report) {
  std::string html =
      "<section><h2>Cost</h2><p class=\"sub\">What one device and this machine paid."
      "</p><dl>";
  Pair(&html, "rounds",
       Grouped(report.rounds_committed) + " committed, " + Grouped(report.rounds_abandoned) +
           " abandoned");
  Pair(&html, "devices per round", Grouped(report.clients_per_round));
  Pair(&html, "sent per device and round", Kilobytes(report.bytes_up_per_client));
  Pair(&html, "received per device and round", Kilobytes(report.bytes_down_per_client));
  Pair(&html, "processor time per update",
       Fixed(report.cpu_us_noise_off, 1) + " &micro;s without noise, " +
           Fixed(report.cpu_us_noise_on, 1) + " &micro;s with (training to server step)");
  Pair(&html, "whole run", Fixed(report.wall_seconds, 1) + " s");
  return html + "</dl></section>";
}

std::string Made(const Report& report) {
  std::string seeds;
  for (const std::uint64_t seed : report.seeds) {
    seeds += (seeds.empty() ? "" : ", ") + std::to_string(seed);
  }
  std::string html = "<section><h2>How this was made</h2><dl>";
  Pair(&html, "scenario", HtmlEscape(report.scenario));
  Pair(&html, "mode", HtmlEscape(report.mode) + ", noise " + HtmlEscape(report.noise));
  Pair(&html, "secure aggregation", HtmlEscape(report.secagg_profile));
  Pair(&html, "identity authority", HtmlEscape(report.identity_authority));
  Pair(&html, "cohort", HtmlEscape(report.cohort));
  Pair(&html, "seeds", seeds);
  Pair(&html, "program", HtmlEscape(report.git));
  Pair(&html, "model SHA-256", "<code>" + HtmlEscape(report.model_sha256) + "</code>");
  html += "</dl>";
  if (!report.notes.empty()) {
    html += "<ul>";
    for (const std::string& note : report.notes) html += "<li>" + HtmlEscape(note) + "</li>";
    html += "</ul>";
  }
  return html + "</section>";
}

constexpr std::string_view kDefinitions =
    "<section><details><summary>Definitions</summary><dl>"
    "<dt>AUC</dt><dd>Probability that a random liked test event scores above a random rejected "
    "one, "
    "over all people together; ties count half.</dd>"
    "<dt>GAUC impr, pos</dt><dd>AUC inside each person, averaged with weights: number of labelled "
    "events, or number of likes. A person with one kind of label is left out. It shows what a "
    "per-person bias cannot carry.</dd>"
    "<dt>log-loss</dt><dd>Mean cross-entropy of the predicted like probability, clipped at "
    "10<sup>-7</sup>. Only for models that give one.</dd>"
    "<dt>HR@10</dt><dd>Share of people with at least one held-out like among the first ten of all "
    "items; train and validation items are masked, ties lose.</dd>"
    "<dt>NDCG@10</dt><dd>Position-discounted gain of held-out likes in the first ten, relative to "
    "the best possible order.</dd>"
    "<dt>DislikeShare@10</dt><dd>Share of the first ten that the person rejected in the test set. "
    "Lower is better.</dd>"
    "<dt>NegRecall@10</dt><dd>Share of held-out rejections that reach the first ten. Lower is "
    "better.</dd>"
    "<dt>signed GAUC</dt><dd>AUC of held-out likes against held-out explicit dislikes inside each "
    "person, weighted by likes.</dd>"
    "<dt>random, popularity, like rate</dt><dd>No model; number of likes of an item; smoothed "
    "share "
    "of likes among its reactions.</dd>"
    "<dt>bias only</dt><dd>Logistic model of one number per person and one per item.</dd>"
    "<dt>local only</dt><dd>Each device trains the model on its own events and shares nothing.</dd>"
    "<dt>central twin</dt><dd>The federated model trained on a server that has all events, with "
    "settings chosen on validation.</dd>"
    "<dt>oracle</dt><dd>The true like probability of a synthetic population: what no model can "
    "pass.</dd></dl></details></section>";

}  // namespace

std::string ReportHtml(const Report& report) {
  const std::string title = report.title.empty() ? report.scenario : report.title;
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>demur: " +
      HtmlEscape(title) + "</title><style>" + std::string(kReportStyle) +
      "</style></head><body><main><header><div class=\"kicker\">demur &middot; " +
      HtmlEscape(report.scenario) + "</div><h1>" + HtmlEscape(title) + "</h1><p class=\"lede\">" +
      Grouped(report.dataset.users) + " people, " + Grouped(report.dataset.items) + " items, " +
      Grouped(report.dataset.events) + " events, of which " + Grouped(report.dataset.negatives) +
      " are rejections. Every event stays with its owner. " + HtmlEscape(report.about) +
      "</p></header>";
  html += Tiles(report) + Results(report) + Curve(report) + Bars(report) + Privacy(report) +
          Cost(report) + Made(report) + std::string(kDefinitions);
  return html + "<footer>Written by demur-sim. Reproduce it with the scenario and seeds above." +
         "</footer></main></body></html>\n";
}

}  // namespace demur::sim
