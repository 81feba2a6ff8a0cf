#include <cstdio>
#include <fstream>
#include <string>

#include "secagg_transcript.h"

// Writes the golden files of tests/vectors/secagg, or prints the table of docs/protocol.md. Built
// on request only: cmake --build --preset release --target demur_secagg_vectors_writer

namespace demur::testing {
namespace {

bool Write(const std::string& path, const Json& document) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << document.Dump(0) << '\n';
  return out.good();
}

bool WriteAll(const std::string& folder) {
  return Write(folder + "/complete.json",
               SecAggTranscript(model::SecAggProfile::kMalicious).Document()) &&
         Write(folder + "/ring.json",
               SecAggTranscript(model::SecAggProfile::kSemiHonest).Document()) &&
         Write(folder + "/expander.json", ExpanderExample().Document());
}

// One row a roster size; gamma 0.05, delta 0.30, eta 20.
void PrintRow(std::uint32_t n, model::SecAggProfile profile, std::uint32_t sigma) {
  model::SecAggPlan plan{profile, 20, n, 50, 300, sigma, 20};
  const auto p = secagg::ComputeParameters(n, plan);
  if (!p) {
    std::printf("| %u | %s |\n", n, p.error().message().c_str());
    return;
  }
  const auto graph = secagg::ToString(p->graph);
  std::printf("| %u | %.*s | %u | %u, %u | %u | %u, %u |\n", n, static_cast<int>(graph.size()),
              graph.data(), sigma, p->neighbours, p->threshold, p->survivors_min, p->committee,
              p->quorum);
}

void PrintParameters() {
  using model::SecAggProfile;
  for (const std::uint32_t n : {20U, 60U, 100U, 190U, 300U, 1000U, 10000U}) {
    PrintRow(n, SecAggProfile::kSemiHonest, 40);
  }
  for (const std::uint32_t n : {20U, 60U, 100U, 200U}) PrintRow(n, SecAggProfile::kMalicious, 80);
  for (const std::uint32_t sigma : {40U, 80U}) {
    for (const std::uint32_t n : {201U, 300U, 500U, 1000U, 10000U}) {
      PrintRow(n, SecAggProfile::kMalicious, sigma);
    }
  }
}

}  // namespace
}  // namespace demur::testing

int main(int argc, char** argv) {
  const std::string argument = argc == 2 ? argv[1] : "";
  if (argument == "--parameters") {
    demur::testing::PrintParameters();
    return 0;
  }
  if (argument.empty() || argument.front() == '-') {
    std::fprintf(stderr, "usage: demur_secagg_vectors_writer FOLDER | --parameters\n");
    return 2;
  }
  if (demur::testing::WriteAll(argument)) return 0;
  std::fprintf(stderr, "cannot write to %s\n", argument.c_str());
  return 1;
}
