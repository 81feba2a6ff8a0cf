#pragma once

#include <string>
#include <string_view>
#include <vector>

// The two plots of a report as inline SVG, coloured by the page's CSS classes so that they follow
// its light and dark theme. Stateless.
namespace demur::sim {

struct PlotLine {
  std::string label;
  std::string css;  // class of the stroke, for instance "c-federated"
  std::vector<std::pair<double, double>> points;
};
struct PlotLevel {
  std::string label;
  std::string css;
  double value = 0;
};
// Value over round, with levels as dashed lines named at the right edge. Empty when there is
// nothing to draw.
std::string CurvePlot(const std::vector<PlotLine>& lines, const std::vector<PlotLevel>& levels,
                      std::string_view x_title, std::string_view y_title);

struct PlotBar {
  std::string label;
  std::string css;
  double value = 0;
  double low = 0;  // interval; drawn when low < high
  double high = 0;
};
// One row a model: a dot with its interval on a common scale that starts at `origin`.
std::string DotPlot(const std::vector<PlotBar>& bars, std::string_view x_title, double origin);

}  // namespace demur::sim
