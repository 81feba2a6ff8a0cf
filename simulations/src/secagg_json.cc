#include <utility>

#include "demur/simulations/secagg_session.h"

namespace demur::sim {
namespace {

Json OrNull(const std::optional<std::uint32_t>& value) { return value ? Json(*value) : Json(); }

Json Fraction(std::uint32_t permille) { return Json(static_cast<double>(permille) / 1000.0); }

}  // namespace

Json ToJson(const SecAggParameters& parameters) {
  Json json;
  json.Set("k", parameters.neighbours).Set("t", parameters.threshold);
  json.Set("committee", OrNull(parameters.committee)).Set("q", OrNull(parameters.quorum));
  json.Set("label", parameters.label);
  return json;
}

Json ToJson(const SecAggOptions& options, const SecAggFigures& figures) {
  Json json = ToJson(figures.parameters);
  json.Set("profile", model::ToString(options.profile)).Set("clients", options.clients);
  json.Set("dim", options.dim).Set("bits", options.bits);
  json.Set("dropout", Fraction(options.dropout_permille));
  json.Set("corrupt", Fraction(options.corrupt_permille)).Set("seed", options.seed);
  json.Set("ok", figures.ok);
  json.Set("sum_exact", figures.exact ? Json(*figures.exact) : Json());
  json.Set("abort", figures.abort.empty() ? Json() : Json(figures.abort));
  json.Set("left", figures.left).Set("survivors", figures.survivors);
  json.Set("faults", figures.faults).Set("rounds", figures.rounds);
  Json cpu;
  cpu.Set("median", figures.client_cpu_ms.median).Set("p95", figures.client_cpu_ms.p95);
  json.Set("client_cpu_ms", std::move(cpu));
  json.Set("client_certificate_ms", figures.client_certificate_ms);
  json.Set("client_upload_bytes", figures.client_upload_bytes);
  json.Set("client_download_bytes", figures.client_download_bytes);
  json.Set("server_ingest_s", figures.server_ingest_s);
  json.Set("server_unmask_s", figures.server_unmask_s);
  json.Set("server_peak_bytes", figures.server_peak_bytes);
  Json phases;
  for (const auto& [name, seconds] : figures.server_cpu_s) phases.Set(name, seconds);
  json.Set("server_cpu_s", std::move(phases));
  return json;
}

}  // namespace demur::sim
