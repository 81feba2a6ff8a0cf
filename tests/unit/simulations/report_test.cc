#include "demur/simulations/report.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

// The page that people look at.
namespace demur::sim {
namespace {

ModelResult Model(std::string name, double auc) {
  ModelResult model;
  model.name = std::move(name);
  model.mean[0] = auc;
  model.low[0] = auc - 0.001;
  model.high[0] = auc + 0.001;
  return model;
}

// Texts of the ticks of the plot under `title`, in order.
std::vector<double> Ticks(const std::string& html, const std::string& title) {
  const std::size_t begin = html.find(title);
  const std::size_t end = html.find("</section>", begin);
  std::vector<double> out;
  const std::string mark = "class=\"tick\">";
  for (std::size_t at = html.find(mark, begin); at < end; at = html.find(mark, at + 1)) {
    out.push_back(std::stod(html.substr(at + mark.size(), 8)));
  }
  return out;
}

// A population whose random model falls below one half must not shift the axis under its numbers.
TEST(ReportTest, TicksOfTheBarsAreEvenAndSayWhereTheyStand) {
  for (const double lowest : {0.4984, 0.5, 0.4512, 0.53}) {
    Report report;
    report.models = {Model("random", lowest), Model("federated", 0.86), Model("oracle", 0.8829)};
    const std::vector<double> ticks = Ticks(ReportHtml(report), "AUC by model");
    ASSERT_GE(ticks.size(), 3U) << lowest;
    for (std::size_t i = 2; i < ticks.size(); ++i) {
      EXPECT_NEAR(ticks[i] - ticks[i - 1], ticks[1] - ticks[0], 1e-9) << lowest;
    }
  }
}
TEST(ReportTest, NamesAreEscaped) {
  Report report;
  report.title = "<script>alert(1)</script>";
  const std::string html = ReportHtml(report);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;"), std::string::npos);
}
// What is not measured is not a number, and JSON has none for it.
TEST(ReportTest, WhatWasNotMeasuredIsNull) {
  Report report;
  report.models = {Model("federated", 0.86)};
  const std::string json = ReportJson(report).Dump();
  EXPECT_NE(json.find("\"logloss\":null"), std::string::npos) << json;
  EXPECT_EQ(json.find("nan"), std::string::npos);
  EXPECT_NE(json.find("\"epsilon\":null"), std::string::npos);
}

}  // namespace
}  // namespace demur::sim
