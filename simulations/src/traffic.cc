#include "traffic.h"

#include <numeric>
#include <vector>

#include "demur/model/tables.h"
#include "demur/secagg/parameters.h"
#include "demur/wire/control.h"
#include "demur/wire/frame.h"
#include "demur/wire/plan_codec.h"
#include "demur/wire/secagg_messages.h"
#include "demur/wire/signed_body.h"

namespace demur::sim {
namespace {

constexpr std::size_t kTypicalCertificateLen = 350;  // DER, what the authority issues

// A message as it travels: signed body inside a frame.
template <class Message>
std::uint64_t Framed(const Message& message) {
  return wire::kFrameHeaderLen + wire::Encode(wire::SignedBody{wire::Encode(message), {}}).size();
}

// M7 and M8, for a member of the committee.
void AddConfirmation(const secagg::Parameters& parameters, Traffic* traffic) {
  wire::UnmaskRequest request;
  request.confirmations.resize(parameters.quorum);
  for (auto& one : request.confirmations) one.certificate.resize(kTypicalCertificateLen);
  traffic->up += Framed(wire::Confirm{});
  traffic->down += Framed(request);
}

// One session.
Result<Traffic> TrafficOf(const model::Plan& plan, std::uint32_t n) {
  DEMUR_TRY(const model::Layout layout,
            model::Layout::Create(plan.training.schema, plan.training.slice));
  const std::uint32_t dim = layout.dim();
  DEMUR_TRY(const secagg::Parameters parameters, secagg::ComputeParameters(n, plan.secagg));
  const std::size_t k = parameters.neighbours;
  const std::size_t bitmap = wire::BitmapLen(n);

  wire::Advertise advertise;
  advertise.certificate.resize(kTypicalCertificateLen);
  wire::Roster roster;
  roster.neighbours.resize(k);
  roster.committee.resize(parameters.committee > k + 1 ? parameters.committee * (n - k - 1) / n
                                                       : 0);
  for (auto& neighbour : roster.neighbours) neighbour.advertise.body = wire::Encode(advertise);
  wire::Shares shares;
  shares.items.resize(k);
  wire::Inbox inbox;
  inbox.shared.resize(bitmap);
  inbox.items.resize(k);
  wire::Masked masked;
  masked.dim = dim;
  masked.bits = plan.encoding.bits;
  masked.packed.resize(wire::PackedLen(dim, plan.encoding.bits));
  wire::ConfirmRequest confirm;
  confirm.survivors.resize(bitmap);
  wire::Unmask unmask;
  unmask.shares.resize(k);

  Traffic traffic;
  traffic.up = Framed(advertise) + Framed(shares) + Framed(masked) + Framed(unmask);
  traffic.down = Framed(wire::Announce{wire::EncodePlan(plan), {}}) + Framed(roster) +
                 Framed(inbox) + Framed(confirm) + Framed(wire::Close{});
  if (parameters.quorum > 0) AddConfirmation(parameters, &traffic);
  return traffic;
}

}  // namespace

Result<Traffic> TrafficOf(const coordinator::PreparedTask& task, std::uint32_t rows,
                          std::uint32_t n) {
  Traffic traffic;
  const auto add = [&](std::uint32_t attempt, const std::vector<std::uint32_t>& chosen) -> Status {
    DEMUR_TRY(const Traffic session,
              TrafficOf(coordinator::MakePlan(task, {{1, 1}, attempt}, {}, 1, chosen), n));
    traffic.up += session.up;
    traffic.down += session.down;
    return {};
  };
  if (task.counts_template()) DEMUR_RETURN_IF_ERROR(add(0, {}));
  std::vector<std::uint32_t> chosen(task.chooses_rows() ? rows : 0);
  std::iota(chosen.begin(), chosen.end(), 0U);
  DEMUR_RETURN_IF_ERROR(add(task.counts_template() ? 1 : 0, chosen));
  wire::ModelBlob blob;
  blob.blob.resize(task.schema().coordinates() * sizeof(float));
  traffic.up += wire::kFrameHeaderLen + wire::Encode(wire::FetchModel{}).size();
  traffic.down += wire::kFrameHeaderLen + wire::Encode(blob).size();
  return traffic;
}

}  // namespace demur::sim
