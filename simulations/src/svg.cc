#include "svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "demur/base/html.h"

namespace demur::sim {
namespace {

std::string Num(double value, int digits = 1) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

// Round steps of 1, 2 or 5 times a power of ten; about `wanted` of them between low and high.
double NiceStep(double low, double high, int wanted) {
  const double raw = (high - low) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

int DigitsOf(double step) {
  return std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
}

struct Axis {
  double low = 0;
  double high = 1;
  double from = 0;  // pixels
  double to = 1;

  double At(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

void Text(std::string* svg, double x, double y, std::string_view anchor, std::string_view css,
          std::string_view text) {
  *svg += "<text x=\"" + Num(x) + "\" y=\"" + Num(y) + "\" text-anchor=\"" + std::string(anchor) +
          "\" class=\"" + std::string(css) + "\">" + HtmlEscape(text) + "</text>";
}

void Line(std::string* svg, double x1, double y1, double x2, double y2, std::string_view css) {
  *svg += "<line x1=\"" + Num(x1) + "\" y1=\"" + Num(y1) + "\" x2=\"" + Num(x2) + "\" y2=\"" +
          Num(y2) + "\" class=\"" + std::string(css) + "\"/>";
}

struct Label {
  double y = 0;
  std::string css;
  std::string text;
};

// Moves labels apart so that none covers another, in order of their values.
void SpreadLabels(std::vector<Label>* labels, double gap, double top, double bottom) {
  std::sort(labels->begin(), labels->end(),
            [](const Label& a, const Label& b) { return a.y < b.y; });
  for (std::size_t i = 1; i < labels->size(); ++i) {
    (*labels)[i].y = std::max((*labels)[i].y, (*labels)[i - 1].y + gap);
  }
  double limit = bottom;
  for (std::size_t i = labels->size(); i-- > 0; limit -= gap) {
    (*labels)[i].y = std::max(top, std::min((*labels)[i].y, limit));
  }
}

}  // namespace

std::string CurvePlot(const std::vector<PlotLine>& lines, const std::vector<PlotLevel>& levels,
                      std::string_view x_title, std::string_view y_title) {
  constexpr double kWidth = 760;
  constexpr double kHeight = 340;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double last = 0;
  for (const PlotLine& line : lines) {
    for (const auto& [x, y] : line.points) {
      low = std::min(low, y);
      high = std::max(high, y);
      last = std::max(last, x);
    }
  }
  if (!(low <= high) || last <= 0) return "";
  for (const PlotLevel& level : levels) {
    low = std::min(low, level.value);
    high = std::max(high, level.value);
  }
  const double step = NiceStep(low, std::max(high, low + 1e-3), 5);
  const Axis y{.low = std::floor(low / step) * step,
               .high = std::ceil(high / step + 1e-9) * step,
               .from = kHeight - 40,
               .to = 14};
  const Axis x{.low = 0, .high = last, .from = 52, .to = kWidth - 150};

  std::string svg = "<svg viewBox=\"0 0 760 340\" role=\"img\" aria-label=\"" +
                    HtmlEscape(y_title) + " over " + HtmlEscape(x_title) + "\">";
  for (double tick = y.low; tick <= y.high + step / 2; tick += step) {
    Line(&svg, x.from, y.At(tick), x.to, y.At(tick), "grid");
    Text(&svg, x.from - 8, y.At(tick) + 4, "end", "tick", Num(tick, DigitsOf(step)));
  }
  const double x_step = std::max(1.0, NiceStep(0, last, 6));
  for (double tick = 0; tick <= last + 1e-9; tick += x_step) {
    Text(&svg, x.At(tick), y.from + 18, "middle", "tick", Num(tick, 0));
  }
  Text(&svg, (x.from + x.to) / 2, kHeight - 4, "middle", "axis", x_title);
  Text(&svg, x.from - 8, 8, "start", "axis", y_title);

  std::vector<Label> labels;
  for (const PlotLevel& level : levels) {
    Line(&svg, x.from, y.At(level.value), x.to, y.At(level.value), "level " + level.css);
    labels.push_back({y.At(level.value) + 4, level.css, level.label});
  }
  for (const PlotLine& line : lines) {
    if (line.points.empty()) continue;
    svg += "<polyline class=\"curve " + line.css + "\" points=\"";
    for (const auto& [px, py] : line.points) svg += Num(x.At(px)) + "," + Num(y.At(py)) + " ";
    svg += "\"/>";
    labels.push_back({y.At(line.points.back().second) + 4, line.css + " strong", line.label});
  }
  SpreadLabels(&labels, 15, 14, y.from + 4);
  for (const Label& label : labels) {
    Text(&svg, x.to + 10, label.y, "start", "series " + label.css, label.text);
  }
  return svg + "</svg>";
}

std::string DotPlot(const std::vector<PlotBar>& bars, std::string_view x_title, double origin) {
  if (bars.empty()) return "";
  constexpr double kRow = 30;
  double high = origin;
  for (const PlotBar& bar : bars) high = std::max({high, bar.value, bar.high});
  if (!(high > origin)) high = origin + 1;
  const double step = NiceStep(origin, high, 5);
  const double height = kRow * static_cast<double>(bars.size()) + 46;
  const Axis x{.low = origin, .high = std::ceil(high / step) * step, .from = 130, .to = 680};

  std::string svg = "<svg viewBox=\"0 0 760 " + Num(height, 0) + "\" role=\"img\" aria-label=\"" +
                    HtmlEscape(x_title) + " by model\">";
  const double bottom = height - 40;
  // At multiples of the step: a tick's text is where it stands.
  for (double tick = std::ceil(origin / step - 1e-9) * step; tick <= x.high + step / 2;
       tick += step) {
    Line(&svg, x.At(tick), 6, x.At(tick), bottom, "grid");
    Text(&svg, x.At(tick), bottom + 18, "middle", "tick", Num(tick, DigitsOf(step)));
  }
  Text(&svg, (x.from + x.to) / 2, height - 4, "middle", "axis", x_title);
  double y = 6 + kRow / 2;
  for (const PlotBar& bar : bars) {
    const double left = x.At(origin);
    const double right = x.At(std::max(origin, bar.value));
    Text(&svg, x.from - 12, y + 4, "end", "series strong", bar.label);
    svg += "<rect class=\"bar " + bar.css + "\" x=\"" + Num(left) + "\" y=\"" + Num(y - 8) +
           "\" width=\"" + Num(std::max(0.0, right - left)) + "\" height=\"16\" rx=\"3\"/>";
    if (bar.low < bar.high) {
      const double from = x.At(std::max(origin, bar.low));
      const double to = x.At(std::max(origin, bar.high));
      Line(&svg, from, y, to, y, "whisker");
      Line(&svg, from, y - 4, from, y + 4, "whisker");
      Line(&svg, to, y - 4, to, y + 4, "whisker");
    }
    Text(&svg, std::max(right, x.At(std::max(origin, bar.high))) + 8, y + 4, "start", "value",
         Num(bar.value, 4));
    y += kRow;
  }
  return svg + "</svg>";
}

}  // namespace demur::sim
