#include "traffic.h"

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

}  // namespace

Result<Traffic> TrafficOf(const model::Plan& plan, std::uint32_t dim, std::uint32_t n) {
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
  traffic.up = Framed(advertise) + Framed(shares) + Framed(masked) + Framed(unmask) +
               wire::kFrameHeaderLen + wire::Encode(wire::FetchModel{}).size();
  wire::ModelBlob blob;
  blob.blob.resize(plan.training.schema.coordinates() * sizeof(float));
  traffic.down = Framed(wire::Announce{wire::EncodePlan(plan), {}}) + Framed(roster) +
                 Framed(inbox) + Framed(confirm) + Framed(wire::Close{}) + wire::kFrameHeaderLen +
                 wire::Encode(blob).size();
  if (parameters.quorum > 0) AddConfirmation(parameters, &traffic);
  return traffic;
}

}  // namespace demur::sim
